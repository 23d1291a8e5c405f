"""Forms of values: addresses, dates with their precision, language tags."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from app.protocol.mapping import dates
from app.protocol.rules.declare import Content, Found, Rule, Severity, declare, texts
from app.protocol.vocab.languages import registered

SCRIPTS: Final = {"zh": "zh-Hans", "mn": "mn-Mong", "kk": "kk-Arab", "ky": "ky-Arab", "az": "az-Arab", "uz": "uz-Arab"}
"""Languages written in more than one script in the federation, with an example of the tag that says which."""


def _addresses(content: Content) -> Iterator[Found]:
    for number, url in enumerate(content.get("location", ())):
        yield f"location[{number}]", url
    rights = content.get("rights") or {}
    if "licence_uri" in rights:
        yield "rights.licence_uri", rights["licence_uri"]


def _url(content: Content) -> Iterator[Found]:
    for path, url in _addresses(content):
        if not _good(url):
            yield path, url[:200]


def _good(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and not set(url) & set(" \t\n")
        )
    except ValueError:
        return False


def _plain(content: Content) -> Iterator[Found]:
    for path, url in _addresses(content):
        if url.startswith("http://") and path.startswith("location"):
            yield path, url[:200]


def _dates(content: Content) -> Iterator[Found]:
    if "published" in content:
        yield "published", content["published"]
    for field in ("contributors", "audits"):
        for number, item in enumerate(content.get(field, ())):
            if "date" in item:
                yield f"{field}[{number}].date", item["date"]


def _date(content: Content) -> Iterator[Found]:
    for path, text in _dates(content):
        if dates.iso(text) is None:
            yield path, text[:200]


@lru_cache(maxsize=4096)
def _valid(tag: str) -> bool:
    return tag.isascii() and registered(tag)


def _tag(content: Content) -> Iterator[Found]:
    for path, tag in texts(content.get("languages"), "languages"):
        if not _valid(tag):
            yield path, tag[:200]


def _script(content: Content) -> Iterator[Found]:
    for path, tag in texts(content.get("languages"), "languages"):
        if tag in SCRIPTS:
            yield path, tag


declare(Rule(
    "url.malformed", Severity.WARNING, "地址不是完整的 http(s) 网址。", "An address is not a complete http(s) URL.",
    "www.example.edu.cn/a.mp4", "写全协议与域名；空格须编码为 %20。", "Write scheme and host; a blank is %20.", "RFC 3986", _url,
))  # fmt: skip
declare(Rule(
    "url.plain", Severity.ADVICE, "资源地址未用 https。", "The resource is reached without TLS.",
    "http://example.edu.cn/a.mp4", "启用 https；浏览器会拦截网页内的 http 内容。", "Serve https: browsers block plain content inside https pages.", "", _plain,
))  # fmt: skip
declare(Rule(
    "date.form", Severity.WARNING, "日期不是 ISO 8601（年、年月、年月日或时间）。", "A date is not ISO 8601 text of a year, month, day or time.",
    "2024年3月, 2024-02-30", "在映射中用 `date` 写明源的日期格式。", "Name the source's pattern with `date` in the mapping.", "GB/T 7408; GB/T 41469-2022 15", _date,
))  # fmt: skip
declare(Rule(
    "language.tag", Severity.WARNING, "语种标签不是合法的 BCP 47。", "A language tag is not valid BCP 47.",
    "x!, 某语", "使用 BCP 47 标签；源若用 GB/T 4881 等代码，请在映射写 `language_scheme`。", "Use BCP 47; where the source has codes of GB/T 4881, say so with `language_scheme`.", "BCP 47; GB/T 4880.1", _tag,
))  # fmt: skip
declare(Rule(
    "language.script", Severity.ADVICE, "该语种有多种文字，标签未说明哪一种。", "The language has several scripts and the tag does not say which.",
    "mn (mn-Mong or mn-Cyrl?)", "注明文字，如 mn-Mong、kk-Arab、zh-Hans。", "Name the script: mn-Mong, kk-Arab, zh-Hans.", "BCP 47", _script,
))  # fmt: skip
