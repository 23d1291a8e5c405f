"""Personal data in texts: identity numbers, mobile numbers, e-mail addresses. A catalogue needs none of them.

What is found is shown masked: a report of leaks must not leak.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import re2
from stdnum.cn import ric

from app.protocol.rules.declare import Check, Content, Found, Rule, Severity, declare, texts

FIELDS: Final = (
    "title", "alt_titles", "description", "keywords", "contributors", "textbook_node", "curriculum_standard", "tech_req",
    "rights", "audits",
)  # fmt: skip
# One linear scan of the canonical bytes decides whether either number can be there (RE2: four times as fast as `re`).
_DIGITS: Final = re2.compile(rb"1[3-9][0-9][- ]?[0-9]{4}[- ]?[0-9]{4}|[1-9][0-9]{16}")
_IDENTITY: Final = re.compile(r"(?<![0-9A-Za-z])[1-9][0-9]{5}(?:18|19|20)[0-9]{9}[0-9Xx](?![0-9A-Za-z])")
# Not inside an address or a longer number.
_MOBILE: Final = re.compile(r"(?<![0-9A-Za-z/=_.-])1[3-9][0-9][- ]?[0-9]{4}[- ]?[0-9]{4}(?![0-9A-Za-z])")
_EMAIL: Final = re.compile(r"(?<![\w.+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,5}[A-Za-z]{2,24}")


def masked(value: str) -> str:
    """The first three and the last two characters."""
    return f"{value[:3]}{'*' * max(len(value) - 5, 1)}{value[-2:]}"


def _searching(shape: re.Pattern[str], good: Callable[[str], Any] = bool) -> Check:
    def check(content: Content) -> Iterator[Found]:
        for field in FIELDS:
            for path, text in texts(content.get(field), field):
                for found in shape.finditer(text):
                    if good(found[0]):
                        yield path, masked(found[0])

    return check


declare(Rule(
    "personal.identity", Severity.WARNING, "文本含 18 位居民身份证号（校验位相符）。", "A text holds an identity number whose check digit is right.",
    "张老师 11010519491231002X", "从源数据中删除该号码。", "Remove the number at the source.", "GB 11643-1999; 个人信息保护法",
    _searching(_IDENTITY, lambda text: ric.is_valid(text.upper())), _DIGITS.search,
))  # fmt: skip
declare(Rule(
    "personal.mobile", Severity.WARNING, "文本含 11 位手机号码。", "A text holds a mobile number.",
    "咨询 13800138000", "改用单位电话或办公邮箱，放在平台信息中。", "Name an office, on the platform and not on its records.", "个人信息保护法",
    _searching(_MOBILE), _DIGITS.search,
))  # fmt: skip
declare(Rule(
    "personal.email", Severity.WARNING, "文本含电子邮箱地址。", "A text holds an e-mail address.",
    "teacher@example.edu.cn", "从标题与摘要中删除。", "Remove it from titles and descriptions.", "个人信息保护法",
    _searching(_EMAIL), lambda document: b"@" in document,
))  # fmt: skip
