"""The hub's side: approve, refuse, suspend, resume, retire. Every move is a row of the history and of the audit chain."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from app.access import keys, people
from app.access.audit import Act, note
from app.access.principal import acting, narrowed, unbound
from app.db import now
from app.platforms import notices, trials
from app.platforms.history import evidence, write
from app.platforms.once import unrivalled
from app.platforms.queries import enrolment_of, steps
from app.platforms.stages import APPROVED, DAY_US, HARVESTED, REFUSED, Stage, Verdict, after, named, reasoned, state_of
from app.platforms.tables import enrolment, platform
from app.platforms.trials import Gather
from app.protocol.errors import BadRequest, Conflict, Forbidden
from app.settings import Settings

_STOPPED = (Stage.SUSPENDED, Stage.RETIRED)


def approve(
    connection: Connection, reference: str, settings: Settings, gather: Gather, reason: str = "",
    rests_on: Sequence[str] = (), waive: bool = False,
) -> Stage:  # fmt: skip
    """One stage on; where the setting asks for two people the first one's word is kept and the stage stays.

    Out of the trial it rests on what the hub has gathered of it; `waive` lets what is missing pass, with a reason.
    Raises Conflict (`enrol.stage`, `enrol.second_person`, `enrol.taken`, `enrol.not_ready`), BadRequest
    (`enrol.incomplete`), Forbidden.
    """
    row, given, found = enrolment_of(connection, reference), dict[str, Any](), list[str]()
    to = after(Stage(row.stage), APPROVED, "approved")
    if to == Stage.ONLINE:
        report, given = trials.ended(connection, gather, settings.documents, row.code, reason, waive)
        found = [report]
    found = sorted({*found, *evidence(connection, row, to, rests_on)})
    if to == Stage.TRIAL:
        unrivalled(connection, row)
    if to in settings.enrol_two_people.split(",") and not _seconded(connection, row):
        write(connection, row.id, row.code, Verdict.VOTED, row.stage, to, reason, found, given)
        return Stage(row.stage)
    return go(connection, row, to, Verdict.MOVED, reason, found, given)


def _seconded(connection: Connection, row: Any) -> bool:
    """Whether somebody else has said yes to this step since the last move."""
    me, voters = acting(connection).name, set()
    if not me.startswith(("person:", "cli:")):
        detail = "this step takes two different people; a key is not one: sign in"
        raise named(Forbidden(detail), "enrol.person_needed")
    for past in reversed(steps(connection, row.id)):
        if past["verdict"] in (Verdict.MOVED, Verdict.REFUSED):
            break
        if past["verdict"] == Verdict.VOTED:
            voters.add(past["by"])
    if me in voters:
        raise named(Conflict("you have approved this step already; somebody else must too"), "enrol.second_person")
    return bool(voters)


def refuse(connection: Connection, reference: str, reason: str, rests_on: Sequence[str] = ()) -> Stage:
    """Back to where the applicant can submit again. Raises BadRequest (`enrol.reason_missing`), Conflict."""
    row = enrolment_of(connection, reference)
    to, why = after(Stage(row.stage), REFUSED, "refused"), reasoned(reason, "refused")
    return go(connection, row, to, Verdict.REFUSED, why, evidence(connection, row, None, rests_on))


def suspend(connection: Connection, reference: str, reason: str, days: int | None = None) -> Stage:
    """At once, or announced `days` ahead; with a notice either way. Feeds stop within one page, keys within a second."""
    row, why = enrolment_of(connection, reference), reasoned(reason, "suspended")
    if row.code is None or row.stage in _STOPPED:
        raise named(Conflict(f"who stands in {row.stage!r} cannot be suspended"), "enrol.stage")
    if days:
        return announce(connection, row, Stage.SUSPENDED, why, days)
    notices.send(connection, "已暂停接入 suspended", why, [row.code])
    return go(connection, row, Stage.SUSPENDED, Verdict.MOVED, why, ())


def resume(connection: Connection, reference: str, reason: str = "") -> Stage:
    """Back to the stage that the suspension began in. Raises Conflict."""
    row = enrolment_of(connection, reference)
    if row.stage != Stage.SUSPENDED:
        raise named(Conflict(f"who stands in {row.stage!r} is not suspended"), "enrol.stage")
    return go(connection, row, Stage(row.before or Stage.ONLINE), Verdict.MOVED, reason, ())


def retire(connection: Connection, reference: str, settings: Settings, reason: str, days: int | None = None) -> Stage:
    """Ends a membership for good; what others harvest from is announced, with at least the grace period.

    Raises BadRequest (`enrol.grace`, `enrol.reason_missing`), Conflict (`enrol.stage`).
    """
    row, why, grace = enrolment_of(connection, reference), reasoned(reason, "retired"), settings.enrol_grace_days
    if row.stage == Stage.RETIRED:
        raise named(Conflict("this one is retired already"), "enrol.stage")
    days = grace if days is None else days
    if row.stage not in HARVESTED:
        return go(connection, row, Stage.RETIRED, Verdict.MOVED, why, ())
    if days < grace:
        detail = f"others rely on it: at least {grace} days between notice and end; suspend at once if it must be"
        raise named(BadRequest(detail), "enrol.grace")
    return (
        announce(connection, row, Stage.RETIRED, why, days)
        if days
        else go(connection, row, Stage.RETIRED, Verdict.MOVED, why, ())
    )


def announce(connection: Connection, row: Any, to: Stage, reason: str, days: int) -> Stage:
    """Keeps a move for later and gives notice of it; `duties` carries it out. The stage as it is."""
    due = now(connection) + days * DAY_US
    values = {"due_at": due, "due_stage": to, "due_reason": reason}
    connection.execute(narrowed(update(enrolment).where(enrolment.c.id == row.id).values(values)))
    write(connection, row.id, row.code, Verdict.ANNOUNCED, row.stage, to, reason, (), {"due_at": due})
    word = "暂停接入 suspension" if to == Stage.SUSPENDED else "终止接入 end of the connection"
    notices.send(connection, f"预告 announced: {word}", f"{reason}\n{days} 日后生效 in {days} days", [row.code], due)
    return Stage(row.stage)


def keep(connection: Connection, reference: str, reason: str) -> Stage:
    """Takes an announcement back. Raises Conflict where there is none."""
    row = enrolment_of(connection, reference)
    if row.due_at is None:
        raise named(Conflict("nothing is announced for this one"), "enrol.stage")
    none = {"due_at": None, "due_stage": None, "due_reason": None}
    connection.execute(narrowed(update(enrolment).where(enrolment.c.id == row.id).values(none)))
    write(connection, row.id, row.code, Verdict.WITHDRAWN, row.stage, row.due_stage, reasoned(reason, "kept"), ())
    return Stage(row.stage)


def go(
    connection: Connection, row: Any, to: Stage, verdict: Verdict, reason: str, rests_on: Iterable[str],
    given: Mapping[str, Any] | None = None,
) -> Stage:  # fmt: skip
    """Carries a move out: the stage, the platform that follows from it, who is let in, history and audit.

    Raises Conflict (`enrol.stage`) when somebody else moved it meanwhile.
    """
    code = row.code or (_coded(connection, row) if to == Stage.SANDBOX else None)
    values = {"stage": to, "code": code, "moved_at": now(connection), "due_at": None, "due_stage": None, "due_reason": None}  # fmt: skip
    if to == Stage.SUSPENDED:
        values["before"] = row.stage
    mine = update(enrolment).where(enrolment.c.id == row.id, enrolment.c.stage == row.stage).values(values)
    if not connection.execute(narrowed(mine)).rowcount:
        raise named(Conflict("somebody else has moved this enrolment meanwhile; look again"), "enrol.stage")
    keys.suspend(connection, row.id, to == Stage.RETIRED)
    if to == Stage.SANDBOX and row.stage == Stage.REVIEW:
        end_keys(connection, row.id, "test", "the sandbox has a key of its own")
    if code is not None:
        _follow(connection, code, Stage(row.stage), to, reason)
    write(connection, row.id, code, verdict, row.stage, to, reason, rests_on, given)
    return to


def _follow(connection: Connection, code: str, before: Stage, to: Stage, reason: str) -> None:
    """What the harvest and the gate know of a platform, after its stage."""
    values = {"state": state_of(to), "reason": reason or None}
    connection.execute(narrowed(update(platform).where(platform.c.code == code).values(values)))
    if (before in _STOPPED) != (to in _STOPPED):
        keys.suspend(connection, code, to in _STOPPED)
    if to == Stage.TRIAL:
        end_keys(connection, code, "sandbox", "the sandbox is over")
    if state_of(before) != state_of(to):
        note(connection, Act.PLATFORM_STATE, code, state=state_of(to), stage=to, reason=reason or None)


def end_keys(connection: Connection, owner: str, label: str, why: str) -> None:
    """Revokes the keys with this label of a platform, or of an application."""
    for key in keys.keys(connection, owner):
        if key["label"] == label and key["state"] == "live":
            keys.revoke(connection, key["prefix"], why)


def _coded(connection: Connection, row: Any) -> str:
    """The platform, under the lowest free number of its level and region. Raises Conflict when all 99 are given."""
    stem = f"{row.level}-{row.region}-"
    taken = connection.execute(unbound(select(platform.c.code).where(platform.c.code.like(f"{stem}%"))))
    numbers = {int(code[-2:]) for code in taken.scalars()}
    number = next((number for number in range(1, 100) if number not in numbers), None)
    if number is None:
        raise Conflict(f"all 99 codes {stem}NN are given; enrol under the code of a city or county of the region")
    code, applied = f"{stem}{number:02}", row.id
    row = {"code": code, "name": row.name, "level": row.level, "region": row.region, "state": "sandbox"}
    connection.execute(platform.insert(), {**row, "created_at": now(connection)})
    note(connection, Act.PLATFORM_ADDED, code, name=row["name"], region=row["region"], parent=None)
    people.follow(connection, applied, code)
    return code
