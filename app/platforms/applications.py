"""The applicant's side: apply, amend, submit, withdraw. Nothing here decides anything.

What an applicant says is told to nobody before its domain is proved: whether an organisation is connected already is
answered at the submission, so that a stranger with a list of credit codes learns nothing.
"""

import base64
import secrets
from typing import Any, NamedTuple

from sqlalchemy import Connection, update

from app.access import keys, passwords, people
from app.access.principal import acting, narrowed, unbound
from app.access.quotas import bucket_of
from app.access.scopes import Role, Scope
from app.db import now
from app.platforms import moves
from app.platforms.checking import checked
from app.platforms.history import evidence, write
from app.platforms.once import unrivalled
from app.platforms.queries import applied_from, enrolment_of, steps, waiting
from app.platforms.schemas import Application, Submission
from app.platforms.stages import DAY_US, HARVESTED, SUBMITTED, Kind, Stage, Verdict, after, named
from app.platforms.tables import enrolment
from app.protocol.errors import BadRequest, Conflict, Forbidden, QuotaExceeded
from app.settings import Settings


class Applied(NamedTuple):
    """What an applicant gets, once: the identifier, the enrolment key, and what proves the domain."""

    id: str
    key: str
    challenge: str


def apply(connection: Connection, asked: Application, settings: Settings) -> Applied:
    """An application with a key that opens nothing but itself; it is a draft until it is submitted.

    Raises BadRequest (`enrol.credit_code`, `enrol.school_code`, `enrol.agreement`), Forbidden where the hub takes no
    applications, QuotaExceeded where too many wait unsubmitted or came from one address today.
    """
    if not settings.enrol_open:
        raise named(Forbidden("this hub takes no applications; write to its operator"), "enrol.closed")
    row = checked(asked, settings.enrol_agreement)
    id, at, origin = new_id(asked.region), now(connection), bucket_of(acting(connection).address) or ""
    _room(connection, origin, settings)
    row |= {"id": id, "stage": Stage.APPLIED, "challenge": secrets.token_hex(20), "origin": origin}
    # Whoever applies has no rows before.
    connection.execute(unbound(enrolment.insert()), {**row, "created_at": at, "moved_at": at})
    write(connection, id, None, Verdict.MOVED, "", Stage.APPLIED, "", (), asked.model_dump())
    made = keys.issue(connection, id, label="enrolment", scopes=Scope.ENROL)
    return Applied(id, made.key, row["challenge"])


def join(connection: Connection, asked: Application, password: str, settings: Settings) -> Applied:
    """`apply`, with the applicant's first person, whose account has the application's number for its name.

    Nobody chooses that name, so no stranger learns here which names are taken. Raises what `apply` raises, and
    BadRequest (`auth.password`).
    """
    passwords.check(password, asked.name)
    made = apply(connection, asked, settings)
    role = Role.VENDOR if asked.kind == Kind.VENDOR else Role.PLATFORM
    people.add(connection, made.id, password, [role], platforms=[made.id], initial=False)
    return made


def new_id(region: str) -> str:
    """`A-440000-` and seven letters or digits (35 bits): not to be guessed, and nothing opens without its key."""
    return f"A-{region}-{base64.b32encode(secrets.token_bytes(5)).decode().lower()[:7]}"


def _room(connection: Connection, origin: str, settings: Settings) -> None:
    if waiting(connection) >= settings.enrol_waiting:
        raise _full(f"{settings.enrol_waiting} applications wait to be submitted", settings.enrol_waiting, 3600)
    today = applied_from(connection, origin, now(connection) - DAY_US) if origin else 0
    if today >= settings.enrol_per_day:
        raise _full(f"{today} applications came from your address within a day", settings.enrol_per_day, 86_400)


def _full(what: str, most: int, wait_s: int) -> QuotaExceeded:
    return named(QuotaExceeded(f"{what}; try again later", wait_s=wait_s, limit=most), "enrol.too_many")


def amend(connection: Connection, reference: str, asked: Application, settings: Settings) -> None:
    """Puts a draft right; another domain must be proved anew. Raises Conflict (`enrol.stage`), BadRequest."""
    row = enrolment_of(connection, reference)
    after(Stage(row.stage), {Stage.APPLIED: Stage.APPLIED}, "amended")
    _amended(connection, row, asked, settings)
    write(connection, row.id, row.code, Verdict.AMENDED, row.stage, row.stage, "", (), asked.model_dump())


def submit(connection: Connection, reference: str, asked: Submission, settings: Settings) -> Stage:
    """To the reviewers, for the first time or again; the new stage. What was submitted before stays in the history.

    Raises Conflict (`enrol.stage`, `enrol.taken`, `enrol.domain_taken`), BadRequest (`enrol.incomplete`: what is missing).
    """
    row = enrolment_of(connection, reference)
    to = after(Stage(row.stage), SUBMITTED, "submitted")
    if asked.application is not None:
        row = _amended(connection, row, asked.application, settings)
    rests_on = evidence(connection, row, to, ())
    if to == Stage.REVIEW and row.proved_at is None:
        detail = f"the domain {row.domain} is not proved yet (POST .../proof)"
        raise named(BadRequest(detail), "enrol.incomplete")
    unrivalled(connection, row)
    given = asked.application.model_dump() if asked.application else {}
    return moves.go(connection, row, to, Verdict.MOVED, asked.note, rests_on, given)


def _amended(connection: Connection, row: Any, asked: Application, settings: Settings) -> Any:
    if row.code is not None:
        raise named(Conflict("an enrolment that has passed the review is changed by the operator"), "enrol.stage")
    values = checked(asked, settings.enrol_agreement)
    if asked.region != row.region or values["kind"] != row.kind:
        raise BadRequest("region and kind stay as they were applied for; withdraw this application and make another")
    if values["domain"] != row.domain:
        values |= {"proved_at": None, "proved_by": None, "challenge": secrets.token_hex(20)}
        moves.end_keys(connection, row.id, "test", "another domain")
    connection.execute(narrowed(update(enrolment).where(enrolment.c.id == row.id).values(values)))
    return enrolment_of(connection, row.id)


def withdraw(connection: Connection, reference: str, reason: str) -> Stage:
    """The applicant's own end, before anything of it was harvested. Raises Conflict (`enrol.stage`)."""
    row = enrolment_of(connection, reference)
    early = (Stage.APPLIED, Stage.REVIEW, Stage.SANDBOX, Stage.CONFORMANCE)
    to = after(Stage(row.stage), dict.fromkeys(early, Stage.RETIRED), "withdrawn")
    return moves.go(connection, row, to, Verdict.WITHDRAWN, reason or "withdrawn by the applicant", ())


def leave(connection: Connection, reference: str, settings: Settings, reason: str) -> Stage:
    """A member's own end, announced with the hub's grace period. Raises Conflict (`enrol.stage`)."""
    row = enrolment_of(connection, reference)
    if row.due_at is not None:
        raise named(Conflict(f"{row.due_stage} is announced already"), "enrol.stage")
    after(Stage(row.stage), dict.fromkeys(HARVESTED, Stage.RETIRED), "announced to leave")
    return moves.retire(connection, reference, settings, reason)


def stay(connection: Connection, reference: str, reason: str) -> Stage:
    """Takes one's own announcement back. Raises Forbidden for the hub's, Conflict where there is none."""
    row = enrolment_of(connection, reference)
    announced = [past["by"] for past in steps(connection, row.id) if past["verdict"] == Verdict.ANNOUNCED]
    if announced and announced[-1] != acting(connection).name:
        raise Forbidden("the hub has announced this; its operator takes it back")
    return moves.keep(connection, reference, reason)
