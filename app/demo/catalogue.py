"""Made-up catalogues, the same for the same seed: lessons of the national curriculum, as platforms title them."""

import csv
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from app.protocol import vocab

LESSONS = Path(__file__).parent / "lessons.csv"
STAGES = {"P": "2", "J": "3", "S": "4"}
TYPES = ("lesson_video", "courseware", "lesson_plan", "exercise", "learning_task", "master_lesson")
EDITIONS = {
    "13": ("tongbian",), "21": ("tongbian",), "x01": ("tongbian",), "14": ("renjiao", "beishida", "sujiao"),
    "41": ("renjiao", "waiyanshe"), "15": ("jiaoke", "sujiao"), "24": ("renyin",), "25": ("renmei",),
}  # fmt: skip
"""Chinese, history and morality have one edition in the whole country; the others are chosen by the schools."""
SCIENCE = ("renjiao", "beishida", "huke", "lujiao")
BILINGUAL: dict[str, tuple[str, str, dict[str, str]]] = {
    "65": ("ug", "دەرس", {"13": "تىل-ئەدەبىيات", "14": "ماتېماتىكا", "16": "فىزىكا", "17": "خىمىيە", "18": "بىئولوگىيە", "20": "جۇغراپىيە", "21": "تارىخ"}),
    "66": ("ug", "دەرس", {"13": "تىل-ئەدەبىيات", "14": "ماتېماتىكا", "21": "تارىخ"}),
    "54": ("bo", "སློབ་ཚན", {"13": "སྐད་ཡིག", "14": "རྩིས་རིག", "16": "དངོས་ཁམས", "17": "རྫས་འགྱུར", "21": "ལོ་རྒྱུས"}),
    "15": ("mn-Mong", "ᠬᠢᠴᠢᠶᠡᠯ", {"13": "ᠬᠡᠯᠡ ᠪᠢᠴᠢᠭ", "21": "ᠲᠡᠦᠬᠡ"}),
    "22": ("ko", "수업", {"13": "조선어문", "14": "수학", "16": "물리", "17": "화학", "18": "생물", "20": "지리", "21": "력사"}),
    "51": ("ii", "ꌠ", {"13": "ꆈꌠꁱꂷ"}),
}  # fmt: skip
"""By the first digits of a platform's region: a language, its word for a lesson, its names of subjects."""


class DemoPlatform(NamedTuple):
    """One platform of the demonstration; `fault` is how it misbehaves, `form` which form its kind takes (a prefix, an
    encoding)."""

    code: str
    name: str
    kind: str
    fault: str | None
    records: int
    form: str = ""


class Lesson(NamedTuple):
    """A lesson of a textbook."""

    grade: str
    volume: str
    subject: str
    topic: str


@cache
def lessons() -> tuple[Lesson, ...]:
    """Every lesson of the list."""
    with LESSONS.open(encoding="utf-8", newline="") as rows:
        listed = [(row, topic) for row in csv.DictReader(rows) for topic in row["topics"].split("|")]
    return tuple(Lesson(row["grade"], row["volume"], row["subject"], topic) for row, topic in listed)


def records(platform: DemoPlatform) -> Iterator[dict[str, Any]]:
    """The platform's records with codes, plus `local`, its own identifier."""
    chance = Random(platform.code)
    for number in range(platform.records):
        yield _record(platform, number, chance)


def _record(platform: DemoPlatform, number: int, chance: Random) -> dict[str, Any]:
    lesson, kind = chance.choice(lessons()), chance.choice(TYPES)
    edition = chance.choice(EDITIONS.get(lesson.subject, SCIENCE))
    book, subject = (
        f"{vocab.label('edition', edition)}{vocab.label('subject', lesson.subject)}",
        vocab.label("subject", lesson.subject),
    )
    grade = f"{vocab.label('grade', lesson.grade)}{vocab.label('volume', lesson.volume)}"
    period, shape = chance.randint(1, 3), vocab.label("type", kind)
    record: dict[str, Any] = {
        "local": f"{number:06d}", "title": f"{book} {grade}《{lesson.topic}》第{period}课时 {shape}",
        "subject": lesson.subject, "stage": STAGES[lesson.grade[0]], "grade": [lesson.grade], "edition": edition,
        "volume": lesson.volume, "type": [kind], "languages": ["zh-Hans"], "keywords": [lesson.topic, subject],
        "audience": [chance.choice(("学生", "教师"))],
        "description": f"{platform.name}组织教研员与一线教师制作的{shape}，对应{book}{grade}《{lesson.topic}》第{period}课时。",
        "contributors": [{"role": "creator", "name": f"{chance.choice('王李张刘陈杨赵黄周吴')}老师"}, {"role": "publisher", "name": platform.name}],
        "location": [f"https://res.example.edu.cn/{platform.code.lower()}/{number}"],
        "rights": {"statement": "免费开放，仅限教育用途"}, "published": f"202{chance.randint(0, 5)}-0{chance.randint(1, 9)}-15",
    }  # fmt: skip
    if (second := BILINGUAL.get(platform.code[2:4])) and number % 3 == 0 and lesson.subject in second[2]:
        record["languages"] = ["zh-Hans", second[0]]
        record["alt_titles"] = [f"{second[2][lesson.subject]} {second[1]} {chance.randint(1, 28)}"]
    return record
