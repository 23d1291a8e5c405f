"""Keys that an enrolment gives, each for its stage: test, sandbox, main. Shown once, to the applicant alone."""

from typing import Any, Final

from sqlalchemy import Connection, select

from app.access import keys
from app.access.principal import acting, narrowed
from app.access.scopes import Scope
from app.platforms.queries import enrolment_of
from app.platforms.stages import HARVESTED, Stage, named
from app.platforms.tables import enrolment
from app.protocol.errors import Conflict, NotFound

TEST: Final = f"{Scope.FEEDS_MANAGE} {Scope.ENROL}"
SANDBOX: Final = f"{Scope.FEEDS_MANAGE} {Scope.OPS_READ} {Scope.ENROL}"


def credential(connection: Connection, reference: str) -> dict[str, str]:
    """A key as the stage allows: `test` once the domain is proved, `sandbox` after the review, `main` from the trial on.

    A test key probes, previews and validates at the proved domain and is of the application; the others are of the
    platform. Raises Conflict (`enrol.stage`) where the stage has none, NotFound for anybody else.
    """
    row, rows = enrolment_of(connection, reference), acting(connection).rows
    if not (rows.everything or {row.id, row.code} & rows.platforms):
        raise NotFound(f"there is no enrolment {reference}")
    owner, label, scopes = _kept(row)
    made = keys.issue(connection, owner, label=label, scopes=scopes)
    return {"platform": owner, "label": label, **made._asdict()}


def _kept(row: Any) -> tuple[str, str, str]:
    stage = Stage(row.stage)
    if stage in HARVESTED:
        return row.code, "main", ""
    if stage in (Stage.SANDBOX, Stage.CONFORMANCE):
        return row.code, "sandbox", SANDBOX
    if stage in (Stage.APPLIED, Stage.REVIEW):
        if row.proved_at is None:
            detail = f"a test key is given once the domain {row.domain} is proved (POST .../proof)"
            raise named(Conflict(detail), "enrol.stage")
        return row.id, "test", TEST
    raise named(Conflict(f"who stands in {stage!r} has no key"), "enrol.stage")


def domain_of_applicant(connection: Connection) -> str | None:
    """The proved domain to which a test key is bound; None for everybody who is more than an applicant."""
    rows = acting(connection).rows
    if rows.everything or rows.regions or not all(code.startswith("A-") for code in rows.platforms):
        return None
    mine = enrolment.c.id.in_(sorted(rows.platforms)) & enrolment.c.proved_at.is_not(None)
    return connection.execute(narrowed(select(enrolment.c.domain).where(mine))).scalar() or ""
