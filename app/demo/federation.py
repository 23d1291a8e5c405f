"""Who is in the demonstration: forty platforms of every level and kind, and how seven of them misbehave."""

from typing import NamedTuple

from app.demo.catalogue import DemoPlatform
from app.protocol import vocab


class _Member(NamedTuple):
    """A platform; `size` is its share of all records. A province is named by its region."""

    code: str
    kind: str
    form: str = ""
    size: int = 10
    fault: str | None = None
    name: str = ""


# Every kind stands among the first fourteen, so that a small demonstration shows them too.
MEMBERS = (
    _Member("P-110000-01", "oai-pmh", "oai_dc", 16),
    _Member("P-120000-01", "ix"),
    _Member("P-130000-01", "static-parts", size=12),
    _Member("P-310000-01", "resourcesync", size=14),
    _Member("P-330000-01", "json", size=14),
    _Member("P-320000-01", "ndjson", size=15),
    _Member("P-370000-01", "csv", "utf-8", 13),
    _Member("D-320583-01", "excel", size=3, name="昆山市教育资源目录"),
    _Member("D-370881-01", "csv", "gb18030", 3, "bad records", "曲阜市教育资源目录"),
    _Member("C-330200-01", "ckan", size=5, name="宁波市教育数据开放平台"),
    _Member("C-440300-01", "sitemap", size=3, name="深圳市教育资源平台"),
    _Member("E-110000-01", "moochub", size=5, name="京师云课"),
    _Member("E-310000-01", "syndication", size=4, name="申学在线"),
    _Member("E-440000-01", "upload", size=4, name="岭南智教"),
    _Member("P-140000-01", "oai-pmh", "lom"),
    _Member("P-150000-01", "oai-pmh", "mods", 9),
    _Member("P-210000-01", "oai-pmh", "marcxml", 11, "bad records"),
    _Member("P-220000-01", "oai-pmh", "oai_dc", 10, "throttled"),
    _Member("P-230000-01", "ix", fault="bad records"),
    _Member("P-340000-01", "ix", size=12),
    _Member("P-350000-01", "static-parts", size=11),
    _Member("P-360000-01", "oai-pmh", "lom"),
    _Member("P-410000-01", "ix", size=16),
    _Member("P-420000-01", "oai-pmh", "oai_dc", 13, "truncated"),
    _Member("P-430000-01", "resourcesync", size=13),
    _Member("P-440000-01", "ix", size=18),
    _Member("P-450000-01", "oai-pmh", "mods"),
    _Member("P-460000-01", "static-parts", size=6, fault="vanishes"),
    _Member("P-500000-01", "json", size=11),
    _Member("P-510000-01", "oai-pmh", "oai_dc", 15),
    _Member("P-520000-01", "oai-pmh", "oai_dc", 9, "down"),
    _Member("P-530000-01", "ix", size=10),
    _Member("P-540000-01", "oai-pmh", "oai_dc", 5),
    _Member("P-610000-01", "ckan", size=11),
    _Member("P-620000-01", "ix", size=9),
    _Member("P-630000-01", "oai-pmh", "marcxml", 5),
    _Member("P-640000-01", "static-parts", size=6),
    _Member("P-650000-01", "oai-pmh", "oai_dc", 12),
    _Member("P-660000-01", "ix", size=6),
    _Member("E-510000-01", "ndjson", size=5, name="蜀光数字教材"),
)


def platforms(number: int = len(MEMBERS), records: int = 20_000) -> list[DemoPlatform]:
    """As many platforms as asked for, at most forty; their records are `records` together, by their sizes."""
    chosen = MEMBERS[:number]
    whole = sum(member.size for member in chosen)
    shares = [records * member.size // whole for member in chosen]
    shares[0] += records - sum(shares)
    return [
        DemoPlatform(member.code, _name(member), member.kind, member.fault, share, member.form)
        for member, share in zip(chosen, shares, strict=True)
    ]


def _name(member: _Member) -> str:
    region = vocab.region(member.code[2:8])
    return member.name or f"{region.name if region else member.code}教育资源公共服务平台"
