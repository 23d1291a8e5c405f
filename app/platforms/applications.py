"""The applicant's side: apply, amend, submit, fetch the credential. Nothing here decides anything."""

import re
import secrets
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, select, update
from stdnum.cn import uscc

from app.access import keys
from app.access.principal import acting, narrowed
from app.access.scopes import Scope
from app.db import now
from app.platforms import moves
from app.platforms.history import evidence, write
from app.platforms.queries import enrolment_of, waiting
from app.platforms.schemas import Application, Submission
from app.platforms.stages import HARVESTED, SUBMITTED, Kind, Stage, Verdict, after, named
from app.platforms.tables import enrolment
from app.protocol import vocab
from app.protocol.errors import BadRequest, Conflict, Forbidden, NotFound, QuotaExceeded
from app.protocol.rules.identifiers import school
from app.settings import Settings

LEVELS = {Kind.VENDOR: "E", Kind.SCHOOL: "S"}
_REGION_LEVEL = {"P": 1, "C": 2, "D": 3}
_DOMAIN = re.compile(r"(?=.{1,253}(?::|\Z))[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*(:\d{1,5})?\Z")  # fmt: skip


class Applied(NamedTuple):
    """What an applicant gets, once: the identifier, the enrolment key, and what proves the domain."""

    id: str
    key: str
    challenge: str


def apply(connection: Connection, asked: Application, settings: Settings) -> Applied:
    """An application with a key that opens nothing but itself.

    Raises BadRequest (`enrol.credit_code`, `enrol.school_code`, `enrol.agreement`), Conflict (`enrol.taken`),
    Forbidden where the hub takes no applications, QuotaExceeded where too many wait unsubmitted.
    """
    if not settings.enrol_open:
        raise named(Forbidden("this hub takes no applications; write to its operator"), "enrol.closed")
    if waiting(connection) >= settings.enrol_waiting:
        raise named(_full(settings.enrol_waiting), "enrol.too_many")
    checked = _checked(connection, asked, settings)
    id, at = f"A-{asked.region}-{secrets.token_hex(4)[:7]}", now(connection)
    row = {**checked, "id": id, "stage": Stage.APPLIED, "challenge": secrets.token_hex(20)}
    connection.execute(enrolment.insert(), {**row, "created_at": at, "moved_at": at})
    write(connection, id, None, Verdict.MOVED, "", Stage.APPLIED, "", (), asked.model_dump())
    made = keys.issue(connection, id, label="enrolment", scopes=Scope.ENROL)
    return Applied(id, made.key, row["challenge"])


def _full(most: int) -> QuotaExceeded:
    return QuotaExceeded(f"{most} applications wait to be submitted; try again later", wait_s=3600, limit=most)


def _checked(connection: Connection, asked: Application, settings: Settings, id: str = "") -> dict[str, Any]:
    """An application as a row. Raises BadRequest, Conflict."""
    _agreed(asked.agreement, settings.enrol_agreement)
    level = LEVELS.get(asked.kind, asked.level)
    _placed(asked.region, level)
    _coded(asked)
    _first(connection, asked, id)
    domain = asked.domain.lower().rstrip(".")
    if not _DOMAIN.match(domain):
        raise BadRequest("domain: a host name such as resources.example.com (international ones as xn--...)")
    return {
        "kind": asked.kind, "level": level, "region": asked.region, "name": asked.name, "icp": asked.icp,
        "organisation": asked.organisation, "credit_code": asked.credit_code.upper(), "school_code": asked.school_code,
        "contacts": orjson.dumps([contact.model_dump() for contact in asked.contacts]).decode(),
        "domain": domain, "agreement": asked.agreement,
    }  # fmt: skip


def _agreed(accepted: str, current: str) -> None:
    if accepted != current:
        detail = f"agreement: the version in force is {current!r}; read it and accept that one"
        raise named(BadRequest(detail), "enrol.agreement")


def _placed(code: str, level: str) -> None:
    region = vocab.region(code)
    if region is None or region.until:
        raise BadRequest("region: not a code of GB/T 2260 that is in force")
    if not level:
        raise BadRequest("level: a platform is of a province (P), a city (C) or a county (D)")
    if level in _REGION_LEVEL and region.level != _REGION_LEVEL[level]:
        raise BadRequest(f"region: {region.name} is not of the level {level}")


def _coded(asked: Application) -> None:
    if asked.kind == Kind.SCHOOL and not school(asked.school_code):
        detail = "school_code: 学校(机构)标识码 has ten digits: two of the kind, two of the province, six of the number"
        raise named(BadRequest(detail, errors=[{"pointer": "body/school_code", "detail": detail}]), "enrol.school_code")
    if asked.kind == Kind.SCHOOL and not asked.credit_code:
        return
    if why := _wrong_credit_code(asked.credit_code.upper()):
        detail = f"credit_code: {why} (GB 32100-2015); compare with the certificate"
        raise named(BadRequest(detail, errors=[{"pointer": "body/credit_code", "detail": detail}]), "enrol.credit_code")


def _wrong_credit_code(code: str) -> str:
    if len(code) != 18:
        return "统一社会信用代码 has 18 characters"
    if not re.fullmatch(r"[0-9A-HJ-NP-RTUW-Y]{2}\d{6}[0-9A-HJ-NP-RTUW-Y]{10}", code):
        return "digits and capital letters without I, O, S, V and Z; the third to the eighth are a region code"
    return (
        "" if uscc.is_valid(code) else "校验位不符: the last character does not fit the other 17, one of them is wrong"
    )


def _first(connection: Connection, asked: Application, id: str) -> None:
    """A vendor connects once, a school has one space; only who was admitted keeps others out."""
    if asked.kind == Kind.PLATFORM:
        return
    mine = enrolment.c.school_code if asked.kind == Kind.SCHOOL else enrolment.c.credit_code
    value = asked.school_code if asked.kind == Kind.SCHOOL else asked.credit_code.upper()
    living = select(enrolment.c.code).where(mine == value, enrolment.c.kind == asked.kind, enrolment.c.id != id)
    living = living.where(enrolment.c.stage.in_([*HARVESTED, Stage.SUSPENDED]))
    if (code := connection.execute(narrowed(living)).scalar()) is not None:
        detail = f"this organisation is connected already as {code}: one technical connection serves all regions"
        raise named(Conflict(detail), "enrol.taken")


def submit(connection: Connection, reference: str, asked: Submission, settings: Settings) -> Stage:
    """To the reviewers, for the first time or again; the new stage. What was submitted before stays in the history.

    Raises Conflict (`enrol.stage`), BadRequest (`enrol.incomplete`: what is missing).
    """
    row = enrolment_of(connection, reference)
    to = after(Stage(row.stage), SUBMITTED, "submitted")
    if asked.application is not None:
        row = _amended(connection, row, asked.application, settings)
    rests_on = evidence(connection, row, to, ())
    if to == Stage.REVIEW and row.proved_at is None:
        detail = f"the domain {row.domain} is not proved yet (POST .../proof)"
        raise named(BadRequest(detail), "enrol.incomplete")
    given = asked.application.model_dump() if asked.application else {}
    return moves.go(connection, row, to, Verdict.MOVED, asked.note, rests_on, given)


def _amended(connection: Connection, row: Any, asked: Application, settings: Settings) -> Any:
    if row.code is not None:
        raise named(Conflict("an enrolment that has passed the review is changed by the operator"), "enrol.stage")
    values = _checked(connection, asked, settings, row.id)
    if asked.region != row.region or values["kind"] != row.kind:
        raise BadRequest("region and kind stay as they were applied for; withdraw this application and make another")
    if values["domain"] != row.domain:
        values |= {"proved_at": None, "proved_by": None, "challenge": secrets.token_hex(20)}
    connection.execute(narrowed(update(enrolment).where(enrolment.c.id == row.id).values(values)))
    return enrolment_of(connection, row.id)


def withdraw(connection: Connection, reference: str, reason: str) -> Stage:
    """The applicant's own end, before anything of it was harvested. Raises Conflict (`enrol.stage`)."""
    row = enrolment_of(connection, reference)
    early = (Stage.APPLIED, Stage.REVIEW, Stage.SANDBOX, Stage.CONFORMANCE)
    to = after(Stage(row.stage), dict.fromkeys(early, Stage.RETIRED), "withdrawn")
    return moves.go(connection, row, to, Verdict.WITHDRAWN, reason or "withdrawn by the applicant", ())


SANDBOX_SCOPES = f"{Scope.FEEDS_MANAGE} {Scope.OPS_READ} {Scope.ENROL}"


def credential(connection: Connection, reference: str) -> dict[str, str]:
    """A key of the platform, shown to the applicant alone: for the sandbox, or from the trial on for everything.

    Raises Conflict (`enrol.stage`) before the review is passed or while suspended, NotFound for anybody else.
    """
    row, rows = enrolment_of(connection, reference), acting(connection).rows
    if not (rows.everything or {row.id, row.code} & rows.platforms):
        raise NotFound(f"there is no enrolment {reference}")
    stage = Stage(row.stage)
    if stage not in HARVESTED | {Stage.SANDBOX, Stage.CONFORMANCE}:
        raise named(Conflict(f"who stands in {stage!r} has no platform key"), "enrol.stage")
    label, scopes = ("main", "") if stage in HARVESTED else ("sandbox", SANDBOX_SCOPES)
    made = keys.issue(connection, row.code, label=label, scopes=scopes)
    return {"platform": row.code, "label": label, **made._asdict()}
