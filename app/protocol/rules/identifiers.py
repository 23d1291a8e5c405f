"""Identifiers with a check digit or a fixed form: ISBN, ISSN, 统一社会信用代码, 学校标识码."""

import re
from collections.abc import Callable, Iterator
from typing import Final

from stdnum import isbn, issn
from stdnum.cn import uscc

from app.protocol import vocab
from app.protocol.rules.declare import Check, Content, Found, Rule, Severity, declare

CATEGORIES: Final = frozenset("11 21 22 31 32 33 34 35 36 37 41 42 51 91 92 93".split())  # noqa: SIM905
_SCHOOL: Final = re.compile("[0-9]{10}")
_PREFIX: Final = re.compile(r"(?:urn:)?(?:isbn|issn)[:\s]\s*", re.IGNORECASE)


def _numbered(catalogs: frozenset[str], good: Callable[[str], bool]) -> Check:
    """A check of all identifiers whose catalogue has one of these names."""

    def check(content: Content) -> Iterator[Found]:
        for number, item in enumerate(content.get("identifiers", ())):
            entry = item["entry"]
            if item.get("catalog", "").strip().upper() in catalogs and not good(_PREFIX.sub("", entry.strip())):
                yield f"identifiers[{number}].entry", entry[:200]

    return check


def school(code: str) -> bool:
    """A school code: two digits of the kind, two of the province, six of the school's own."""
    return bool(_SCHOOL.fullmatch(code)) and code[:2] in CATEGORIES and vocab.region(f"{code[2:4]}0000") is not None


declare(Rule(
    "id.isbn", Severity.WARNING, "ISBN 校验位不符。", "The ISBN's check digit is wrong.",
    "978-7-107-00000-0", "核对书号。", "Compare with the book.", "ISO 2108", _numbered(frozenset({"ISBN"}), isbn.is_valid),
))  # fmt: skip
declare(Rule(
    "id.issn", Severity.WARNING, "ISSN 校验位不符。", "The ISSN's check digit is wrong.",
    "0378-5956", "核对刊号。", "Compare with the journal.", "ISO 3297", _numbered(frozenset({"ISSN"}), issn.is_valid),
))  # fmt: skip
declare(Rule(
    "id.credit_code", Severity.WARNING, "统一社会信用代码不合法（18 位，含校验位）。", "The unified social credit code is wrong (18 characters with a check digit).",
    "91110000600037341X", "核对营业执照或法人证书。", "Compare with the certificate.", "GB 32100-2015",
    _numbered(frozenset({"USCC", "统一社会信用代码", "社会信用代码"}), uscc.is_valid),
))  # fmt: skip
declare(Rule(
    "id.school", Severity.WARNING, "学校（机构）标识码不合法：2 位类别、2 位省份、6 位序号。", "The school code is wrong: two digits of kind, two of province, six of number.",
    "4199010003", "核对教育部学校（机构）代码。", "Compare with the ministry's list of schools.", "教育部《学校（机构）代码管理办法》2011",
    _numbered(frozenset({"学校标识码", "学校(机构)标识码", "学校（机构）标识码", "SCHOOL"}), school),
))  # fmt: skip
