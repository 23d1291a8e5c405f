"""A first mapping from samples of a source: by the names of its members and by what stands in them, with evidence."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from app.protocol import vocab
from app.protocol.mapping import dates, paths
from app.protocol.record import CODED, MANDATORY
from app.protocol.text import simplified

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "title": ("title", "name", "标题", "名称", "题名", "资源名称", "课程名称", "resource_name", "course_title"),
    "alt_titles": ("alt_title", "alternative", "subtitle", "副标题", "其他题名"),
    "description": ("description", "abstract", "summary", "intro", "introduction", "full_description", "content", "简介", "摘要", "描述", "内容简介", "paragraphs"),
    "keywords": ("keywords", "keyword", "tags", "tag", "labels", "关键词", "关键字", "标签", "topics"),
    "languages": ("language", "languages", "lang", "inlanguage", "语种", "语言"),
    "subject": ("subject", "subject_name", "discipline", "course", "学科", "科目"),
    "stage": ("stage", "phase", "period", "level", "educationlevel", "学段"),
    "grade": ("grade", "grades", "grade_name", "年级"),
    "edition": ("edition", "version_name", "press", "版本", "教材版本"),
    "volume": ("volume", "term", "semester", "册次", "分册"),
    "type": ("type", "resource_type", "resource_type_code", "resource_type_code_name", "learningresourcetype", "类型", "资源类型"),
    "contributors": ("author", "authors", "creator", "creators", "teacher", "teachers", "provider", "provider_list", "instructor", "instructors", "作者", "教师", "主讲教师", "提供者"),
    "location": ("url", "link", "href", "location", "preview", "webpage", "地址", "链接", "访问地址"),
    "format": ("format", "mime", "mimetype", "mime_type", "格式"),
    "size_bytes": ("size", "size_bytes", "file_size", "文件大小"),
    "published": ("published", "published_at", "publish_time", "create_time", "created", "created_at", "online_time", "date", "发布日期", "发布时间", "创建时间"),
    "rights.statement": ("rights", "copyright", "版权", "权利"),
    "rights.licence_uri": ("license", "licence", "license_url", "许可", "授权协议"),
    "audience": ("audience", "适用对象", "受众"),
    "price": ("price", "价格"),
}  # fmt: skip
FORMS: Final = (
    "yyyy-MM-ddTHH:mm:ss.SSSZ", "yyyy-MM-ddTHH:mm:ssZ", "yyyy-MM-dd HH:mm:ss", "yyyy-MM-ddTHH:mm:ss", "yyyy-MM-dd",
    "yyyy/MM/dd", "yyyy/M/d", "yyyy.MM.dd", "yyyy年M月d日", "yyyy年M月", "yyyyMMdd", "yyyy-MM", "yyyy", "epoch_ms",
)  # fmt: skip
DEPTH, PATHS, KINDS, ENOUGH = 4, 400, 40, 0.5
_MARKUP: Final = re.compile(r"</?[a-z][^<>]{0,200}>", re.IGNORECASE)
_HAN: Final = re.compile("[\u4e00-\u9fff]")
_SPLITS: Final = ("、", "；", ";", "|", "，", ",")


class Guess(NamedTuple):
    """One field of a proposal: the rule, how sure (0 to 100), why, and values as they stand at the source."""

    field: str
    rule: dict[str, Any]
    certainty: int
    reasons: list[str]
    examples: list[str]


class Column(NamedTuple):
    """All that stands at one path in the samples: the values of each object that has any."""

    path: str
    rows: list[list[Any]]
    share: float

    @property
    def values(self) -> list[Any]:
        """All values."""
        return [value for row in self.rows for value in row]


def propose(samples: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], list[Guess], list[str]]:
    """A mapping document, its evidence, and the mandatory fields that nothing was found for."""
    columns = list(_columns(samples))
    guesses: list[Guess] = []
    for field in NAMES:
        rated = [guess for column in columns if (guess := _rated(field, column)) is not None]
        if rated:
            guesses.append(max(rated, key=lambda guess: guess.certainty))
    guesses = [guess for guess in guesses if not _better_elsewhere(guess, guesses)]
    if not any(guess.field == "languages" for guess in guesses):
        guesses += _script(columns)
    fields = {guess.field: guess.rule for guess in guesses}
    found = {name.partition(".")[0] for name in fields}
    return {"version": 1, "fields": fields}, guesses, [name for name in ("title", *MANDATORY) if name not in found]


def _better_elsewhere(guess: Guess, guesses: list[Guess]) -> bool:
    """One path fills one field: the one it fits best, the earlier of equals."""
    path = guess.rule.get("path")
    rivals = [other for other in guesses if path and other.rule.get("path") == path]
    return bool(rivals) and max(rivals, key=lambda other: other.certainty) is not guess


def _columns(samples: Sequence[Mapping[str, Any]]) -> Iterator[Column]:
    found: dict[str, list[list[Any]]] = defaultdict(list)
    for path in list(dict.fromkeys(path for sample in samples for path in _paths(sample)))[:PATHS]:
        read = paths.reader(path)
        for sample in samples:
            if values := [v for v in read(sample) if isinstance(v, str | int) and str(v).strip()]:
                found[path].append(values)
    for path, rows in found.items():
        yield Column(path, rows, len(rows) / len(samples))


def _paths(value: Any, path: str = "", depth: int = DEPTH) -> Iterator[str]:
    """Paths to plain values; a list of objects told apart by a short code gives one path for each code."""
    for name, item in value.items() if isinstance(value, dict) and depth else ():
        here = f"{path}.{name}".lstrip(".")
        if not paths.PATH.fullmatch(here):
            continue
        for below in item if isinstance(item, list) else [item]:
            if isinstance(below, dict):
                yield from _paths(below, here, depth - 1)
                yield from _selections(below, here)
            elif below is not None:
                yield here


def _selections(item: dict[str, Any], path: str) -> Iterator[str]:
    for key, code in item.items():
        if not (
            key.endswith(("_id", "_type", "dimension", "scheme", "kind"))
            and isinstance(code, str)
            and len(code) < KINDS
        ):
            continue
        for name, value in item.items():
            selection = f"{path}[{key}={code}].{name}"
            if name != key and isinstance(value, str) and paths.PATH.fullmatch(selection):
                yield selection


def _rated(field: str, column: Column) -> Guess | None:
    """How well a path fits a field: half for its name, half for what stands there; None below `ENOUGH`."""
    name = _name_fit(field, column.path)
    value, why, extra = _judges(field)(column)
    if value is None:
        return None
    fit = 0.5 * name + 0.5 * value
    # Only terms of a code list speak for themselves; any text could be a title, any address a picture.
    if fit < ENOUGH or (not name and (field not in CODED or value < 0.8)) or column.share < 0.02:
        return None
    rule = {"path": column.path, **extra}
    if field not in ("size_bytes", *_LISTED) and any(len(row) > 1 for row in column.rows):
        rule |= {"join": "\n"} if field == "description" else {"first": True}
    reasons = [f"the name {column.path!r}"] * bool(name) + [why, f"filled in {column.share:.0%}"]
    examples = [str(text)[:80] for text in dict.fromkeys(map(str, column.values))][:3]
    return Guess(field, rule, round(100 * fit * (0.8 + 0.2 * column.share)), reasons, examples)


_LISTED: Final = (
    "alt_titles",
    "keywords",
    "languages",
    "grade",
    "type",
    "contributors",
    "location",
    "format",
    "audience",
)


def _name_fit(field: str, path: str) -> float:
    """1 where the last member has one of the field's names, less where one above it has."""
    steps = [step.name.lower() for step in paths.parse(path)]
    if steps[-1] in NAMES[field]:
        return 1.0 if len(steps) == 1 else 0.8
    nested = len(steps) > 1 and steps[-1] in ("name", "label", "title", "value", "zh-cn") and steps[-2] in NAMES[field]
    return 0.9 if nested else 0.0


Judged = tuple[float | None, str, dict[str, Any]]


def _judges(field: str) -> Callable[[Column], Judged]:
    if field in CODED or field == "languages":
        return partial(_coded, field)
    return {"published": _dated, "location": _addressed, "rights.licence_uri": _addressed, "description": _described,
            "keywords": _keyed, "contributors": _named, "size_bytes": _counted}.get(field, _worded)  # fmt: skip


def _texts(column: Column) -> list[str]:
    return [value for value in column.values if isinstance(value, str)]


def _coded(field: str, column: Column) -> Judged:
    """By how many of the distinct terms a code list knows; bare numbers mean too many things to count."""
    terms = list(dict.fromkeys(text.strip() for text in _texts(column)))
    words = [term for term in terms if not term.isdigit()]
    if len(words) * 2 < len(terms) or not words or len(words) > 300:
        return None, "", {}
    resolve = vocab.language if field == "languages" else partial(vocab.resolve, field)
    known = sum(1 for term in words if resolve(term) is not None)
    if field == "languages" and not _name_fit(field, column.path):
        return None, "", {}
    return known / len(words), f"{known} of {len(words)} terms are in the code list", {}


def _dated(column: Column) -> Judged:
    texts = [str(value).strip() for value in column.values]
    forms = [form for form in FORMS if any(dates.compiled(form)(text) for text in texts)]
    read = sum(1 for text in texts if any(dates.compiled(form)(text) for form in forms))
    if not read or not _name_fit("published", column.path):
        return None, "", {}
    return read / len(texts), f"{read} of {len(texts)} are dates", {"date": forms}


def _addressed(column: Column) -> Judged:
    texts = _texts(column)
    good = sum(1 for text in texts if text.startswith(("http://", "https://")))
    return (good / len(texts), f"{good} of {len(texts)} are addresses", {}) if good else (None, "", {})


def _described(column: Column) -> Judged:
    texts = _texts(column)
    if not texts or not _name_fit("description", column.path):
        return None, "", {}
    marked = sum(1 for text in texts if _MARKUP.search(text))
    length = sum(map(len, texts)) / len(column.rows)
    return min(length / 20, 1.0), f"{length:.0f} characters on average", {"html": True} if marked else {}


def _keyed(column: Column) -> Judged:
    texts = _texts(column)
    if not texts or not _name_fit("keywords", column.path):
        return None, "", {}
    several = [mark for mark in _SPLITS if sum(1 for text in texts if mark in text) * 2 > len(texts)]
    return 1.0, "short texts", {"split": several} if several else {}


def _named(column: Column) -> Judged:
    texts = _texts(column)
    if not texts or not _name_fit("contributors", column.path) or any(len(text) > 200 for text in texts):
        return None, "", {}
    return 1.0, "names", {"each": {"role": "creator"}}


def _counted(column: Column) -> Judged:
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value in column.values)
    return (1.0, "whole numbers", {}) if whole else (None, "", {})


def _worded(column: Column) -> Judged:
    texts = _texts(column)
    short = [text for text in texts if len(text) <= 1000]
    return (len(short) / len(texts), "texts", {}) if texts else (None, "", {})


def _script(columns: list[Column]) -> list[Guess]:
    """Without a language of its own, a source whose texts are Han is Chinese; its characters say which."""
    text = "".join(str(value) for column in columns for value in column.values[:50])[:20_000]
    han = len(_HAN.findall(text))
    if han * 2 < len(re.sub(r"[\s!-~]", "", text)) or not han:
        return []
    moved = sum(1 for a, b in zip(text, simplified(text), strict=False) if a != b)
    tag = "zh-Hant" if moved * 20 > han else "zh-Hans"
    return [Guess("languages", {"constant": [tag]}, 60, [f"{han} Han characters, {moved} of them traditional"], [])]
