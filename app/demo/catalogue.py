"""Made-up catalogues, the same for the same seed: believable titles built from the code lists."""

from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

from app.protocol import vocab

CITIES = (("C-440300-01", "深圳市"), ("C-330200-01", "宁波市"), ("C-370200-01", "青岛市"), ("C-210200-01", "大连市"))
VENDORS = (
    ("E-110000-01", "京师云课"),
    ("E-310000-01", "申学在线"),
    ("E-440000-01", "岭南智教"),
    ("E-510000-01", "蜀光数字教材"),
)
KINDS = ("oai-pmh", "ix", "static-parts")
FAULTS = {3: "throttled", 7: "truncated", 10: "bad records", 13: "down", 17: "bad records", 20: "vanishes"}
SCHOOL = (
    ("2", "P", 6, ("13", "14", "41", "15", "24", "25", "x01")),
    ("3", "J", 3, ("13", "14", "41", "16", "18", "20", "21")),
    ("4", "S", 3, ("13", "14", "41", "16", "17", "18", "20", "21")),
)
TYPES = ("lesson_video", "courseware", "lesson_plan", "exercise", "learning_task", "master_lesson")
EDITIONS = ("tongbian", "renjiao", "beishida", "sujiao", "zhejiao", "waiyanshe")
TOPICS = {
    "13": ("古诗三首", "荷塘月色", "草原", "桂林山水", "背影"), "14": ("二次函数", "分数的意义", "勾股定理", "认识时间"),
    "41": ("My School", "Seasons", "Food Festival"), "16": ("牛顿第一定律", "浮力", "欧姆定律"),
    "17": ("氧化还原反应", "元素周期律"), "18": ("光合作用", "细胞的结构"), "20": ("季风气候", "地球的运动"),
    "21": ("辛亥革命", "丝绸之路"), "15": ("水的三态", "简单电路"), "24": ("茉莉花", "歌唱祖国"),
    "25": ("剪纸", "水墨画"), "x01": ("我们的国家", "规则与秩序"),
}  # fmt: skip
BILINGUAL = {
    "650000": ("ug", "ماتېماتىكا دەرسى"), "660000": ("ug", "تىل-ئەدەبىيات"), "540000": ("bo", "བོད་ཡིག་སློབ་ཚན།"),
    "150000": ("mn-Mong", "ᠮᠣᠩᠭᠣᠯ ᠬᠡᠯᠡ"), "220000": ("ko", "조선어문 수업"), "510000": ("ii", "ꆈꌠꁱꂷ"),
}  # fmt: skip


class DemoPlatform(NamedTuple):
    """One platform of the demonstration; `fault` is how it misbehaves, or None."""

    code: str
    name: str
    kind: str
    fault: str | None
    records: int


def platforms(number: int = 40, records: int = 20_000) -> list[DemoPlatform]:
    """32 provincial platforms, then cities and enterprises, as many as asked for."""
    provincial = [(f"P-{region.code}-01", f"{region.name}教育资源公共服务平台") for region in vocab.hub_provinces()]
    cities = [(code, f"{name}教育资源平台") for code, name in CITIES]
    every = (provincial + cities + list(VENDORS))[:number]
    share, rest = divmod(records, len(every))
    return [
        DemoPlatform(code, name, KINDS[n % 3], _fault(n), share + (n < rest)) for n, (code, name) in enumerate(every)
    ]


def _fault(number: int) -> str | None:
    return FAULTS.get(number)


def records(platform: DemoPlatform) -> Iterator[dict[str, Any]]:
    """The platform's records with codes, plus `local`, its own identifier."""
    chance = Random(platform.code)
    for number in range(platform.records):
        yield _record(platform, number, chance)


def _record(platform: DemoPlatform, number: int, chance: Random) -> dict[str, Any]:
    stage, letter, grades, subjects = chance.choice(SCHOOL)
    subject, grade = chance.choice(subjects), f"{letter}{chance.randint(1, grades)}"
    edition, volume, kind = chance.choice(EDITIONS), chance.choice(("upper", "lower")), chance.choice(TYPES)
    names = [
        vocab.label(n, c) for n, c in (("edition", edition), ("subject", subject), ("grade", grade), ("volume", volume))
    ]
    lesson, topic = chance.randint(1, 28), chance.choice(TOPICS[subject])
    record: dict[str, Any] = {
        "local": f"{number:06d}",
        "title": f"{names[0]} {names[1]} {names[2]}{names[3]} 第{lesson}课 {topic} {vocab.label('type', kind)}",
        "subject": subject, "stage": stage, "grade": [grade], "edition": edition, "volume": volume, "type": [kind],
        "languages": ["zh-Hans"], "keywords": [topic, names[1]], "audience": ["学生"],
        "description": f"{platform.name}第{number + 1}号资源：{names[2]}{names[1]}《{topic}》。",
        "contributors": [{"role": "creator", "name": f"{chance.choice('王李张刘陈杨赵黄')}老师"}, {"role": "publisher", "name": platform.name}],
        "location": [f"https://res.example.edu.cn/{platform.code.lower()}/{number}"],
        "rights": {"statement": "免费开放，仅限教育用途"}, "published": f"202{chance.randint(0, 6)}-0{chance.randint(1, 9)}-15",
    }  # fmt: skip
    if (second := BILINGUAL.get(platform.code[2:8])) and number % 5 == 0:
        record["languages"], record["alt_titles"] = ["zh-Hans", second[0]], [f"{second[1]} {lesson}"]
    return record
