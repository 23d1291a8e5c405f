"""A vendor connects once; regions choose it. Regions below inherit the choice and can narrow it, never widen it.

The path of a region is itself, the regions above it, and the whole country (000000). A `no` on the path is the end of
it; without any `yes` the vendor is not chosen; what `only` says along the path is intersected.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Connection, delete, select

from app.access.audit import Act, note
from app.access.principal import acting, narrowed, unbound
from app.db import now
from app.platforms.stages import HARVESTED, named
from app.platforms.tables import choice, enrolment, platform
from app.protocol import vocab
from app.protocol.errors import BadRequest, Conflict, Forbidden, NotFound

COUNTRY: Final = "000000"
FACETS: Final = ("subject", "stage", "grade", "type", "edition", "language")
"""What a choice can be narrowed by: the facets that every record is found by."""


def path(region: str) -> tuple[str, ...]:
    """The regions whose word counts, the nearest first. Raises BadRequest for an unknown one."""
    if region == COUNTRY:
        return (COUNTRY,)
    if vocab.region(region) is None:
        raise BadRequest("region: not a code of GB/T 2260 that this hub knows")
    return (region, *vocab.ancestors(region), COUNTRY)


def choose(
    connection: Connection, code: str, region: str, chosen: bool, only: Mapping[str, Sequence[str]], reason: str
) -> dict[str, Any]:
    """A region's word on a vendor, instead of its former one; what follows from it there.

    Raises Forbidden outside of one's regions, NotFound, BadRequest, Conflict (`enrol.choice`: a region above said no).
    """
    above = path(region)[1:]
    rows = acting(connection).rows
    if not (rows.everything or any(vocab.under(region, mine) for mine in rows.regions)):
        raise Forbidden(f"region {region} is not one that you look after")
    _vendor(connection, code)
    _known(only)
    inherited = _decided(code, above, _words(connection, above, code))
    if chosen and inherited["refused_by"]:
        detail = f"region {inherited['refused_by']} above does not admit {code}; a choice below can only narrow"
        raise named(Conflict(detail), "enrol.choice")
    row = {"platform": code, "region": region, "chosen": int(chosen), "only": orjson.dumps(dict(only)).decode()}
    connection.execute(narrowed(delete(choice).where(choice.c.platform == code, choice.c.region == region)))
    by = {"reason": reason, "by": acting(connection).name, "at": now(connection)}
    connection.execute(choice.insert(), {**row, **by})
    note(connection, Act.CHOICE, code, region=region, chosen=chosen, only=dict(only), reason=reason)
    return effective(connection, code, region)


def _vendor(connection: Connection, code: str) -> None:
    # Over all rows: a region chooses among the vendors of all regions.
    query = select(enrolment.c.stage).join(platform, platform.c.code == enrolment.c.code)
    stage = connection.execute(unbound(query.where(platform.c.code == code, platform.c.level == "E"))).scalar()
    if stage is None:
        raise NotFound(f"there is no vendor {code}")
    if stage not in HARVESTED:
        raise named(Conflict(f"vendor {code} stands in {stage!r}; only admitted ones can be chosen"), "enrol.stage")


def _known(only: Mapping[str, Sequence[str]]) -> None:
    for scheme, codes in only.items():
        if scheme not in FACETS:
            raise BadRequest(f"only.{scheme}: a choice can be narrowed by {', '.join(FACETS)}")
        if strange := set(codes) - set(vocab.scheme(scheme).concepts):
            raise BadRequest(
                f"only.{scheme}: {', '.join(sorted(strange)[:5])} is not in the list /api/v1/vocab/{scheme}"
            )
        if not codes:
            raise BadRequest(f"only.{scheme}: an empty list leaves nothing; leave it out, or do not choose")


def effective(connection: Connection, code: str, region: str) -> dict[str, Any]:
    """What holds for a vendor in a region: `chosen`, `by` (the nearest region that said so), `refused_by`, `only`."""
    _readable(connection, code)
    above = path(region)
    return {"platform": code, "region": region, **_decided(code, above, _words(connection, above, code))}


def chosen(connection: Connection, region: str) -> list[dict[str, Any]]:
    """The vendors that hold in a region, by code; for a vendor only itself."""
    above = path(region)
    words = _words(connection, above)
    codes = sorted({code for code, _ in words if _may_read(connection, code)})
    found = [{"platform": code, "region": region, **_decided(code, above, words)} for code in codes]
    return [one for one in found if one["chosen"]]


def alternatives(connection: Connection, region: str) -> list[list[list[str]]]:
    """What a region has chosen as facet terms, whoever asks: of each vendor its platform and, of what it is narrowed to,
    one code each. Raises BadRequest for an unknown region."""
    above = path(region)
    words = _words(connection, above)
    held = [(code, _decided(code, above, words)) for code in sorted({code for code, _ in words})]
    return [
        [[f"platform={code}"], *([f"{scheme}={one}" for one in codes] for scheme, codes in found["only"].items())]
        for code, found in held
        if found["chosen"] and all(found["only"].values())
    ]


def _words(connection: Connection, regions: Iterable[str], code: str | None = None) -> dict[tuple[str, str], Any]:
    query = select(choice).where(choice.c.region.in_(list(regions)))
    if code is not None:
        query = query.where(choice.c.platform == code)
    return {(row.platform, row.region): row for row in connection.execute(unbound(query))}


def _decided(code: str, regions: Sequence[str], words: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    said = [words[code, region] for region in regions if (code, region) in words]
    refused = [row.region for row in said if not row.chosen]
    agreed = [row for row in said if row.chosen]
    only: dict[str, list[str]] = {}
    for row in agreed:
        for scheme, codes in orjson.loads(row.only).items():
            only[scheme] = sorted(set(codes) & set(only.get(scheme, codes)))
    return {
        "chosen": bool(agreed) and not refused, "by": agreed[0].region if agreed else None,
        "refused_by": refused[-1] if refused else None, "only": only,
    }  # fmt: skip


def _may_read(connection: Connection, code: str) -> bool:
    rows = acting(connection).rows
    return rows.everything or bool(rows.regions) or code in rows.platforms


def _readable(connection: Connection, code: str) -> None:
    if not _may_read(connection, code):
        raise NotFound(f"there is no vendor {code}")
