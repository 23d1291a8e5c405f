"""Obligations of GB/T 41469-2022 beyond the mandatory fields, which are flagged while a record is prepared."""

from collections.abc import Iterator
from typing import Final

from app.protocol.rules.declare import Content, Found, Rule, Severity, declare

RECOMMENDED: Final = ("description", "keywords")
"""Mandatory in the standard (4 and 5); recommended here, since most real feeds lack them."""
SCHOOL: Final = frozenset("234")
DESCRIPTION_LIMIT: Final = 2000


def _recommended(content: Content) -> Iterator[Found]:
    for name in RECOMMENDED:
        if name not in content:
            yield name, ""


def _grade(content: Content) -> Iterator[Found]:
    if content.get("stage") in SCHOOL and not content.get("grade"):
        yield "grade", ""


def _stage(content: Content) -> Iterator[Found]:
    if content.get("grade") and not content.get("stage"):
        yield "stage", ""


def _long(content: Content) -> Iterator[Found]:
    if len(text := str(content.get("description", ""))) > DESCRIPTION_LIMIT:
        yield "description", f"{len(text)} characters"


def _role(content: Content) -> Iterator[Found]:
    for number, person in enumerate(content.get("contributors", ())):
        if not person.get("role"):
            yield f"contributors[{number}].role", ""


declare(Rule(
    "obligation.recommended", Severity.ADVICE, "缺少摘要或关键词。", "The description or the keywords are missing.",
    '{"title": "草原"}', "补充摘要与关键词，便于检索。", "Add them: they are what people search by.", "GB/T 41469-2022 4, 5", _recommended,
))  # fmt: skip
declare(Rule(
    "obligation.grade", Severity.WARNING, "中小学资源缺少年级。", "A resource for schools names no grade.",
    '{"stage": "2"}', "补充年级；一资源可属多个年级。", "Name its grade or grades.", "GB/T 41469-2022 17.1 (C)", _grade,
))  # fmt: skip
declare(Rule(
    "obligation.stage", Severity.ADVICE, "有年级而无学段。", "A grade is named but no stage.",
    '{"grade": ["P3"]}', "补充学段。", "Name the stage as well.", "GB/T 41469-2022 17.1 (C)", _stage,
))  # fmt: skip
declare(Rule(
    "obligation.long_description", Severity.ADVICE, "摘要超过 2000 字。", "The description has more than 2,000 characters.",
    "a whole lesson plan as description", "缩写为摘要，全文放在资源内。", "Shorten it; the full text belongs into the resource.", "GB/T 41469-2022 4", _long,
))  # fmt: skip
declare(Rule(
    "obligation.role", Severity.ADVICE, "贡献者没有说明角色。", "A contributor has no role.",
    '{"contributors": [{"name": "王老师"}]}', "写明主编、作者、出版者等角色；映射用 `each`。", "Say author, editor or publisher; `each` in the mapping does.", "GB/T 41469-2022 7", _role,
))  # fmt: skip
