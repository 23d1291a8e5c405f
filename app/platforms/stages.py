"""The state machine of enrolment as data: stages, moves, what each move rests on. No I/O.

applied -> review -> sandbox -> conformance -> trial -> online -> suspended | retired
"""

from collections.abc import Collection
from enum import StrEnum
from typing import Final, TypeVar

from app.protocol.errors import BadRequest, CallerError, Conflict

E = TypeVar("E", bound=CallerError)


class Stage(StrEnum):
    """Where a member stands. In `sandbox` and `conformance` its feeds are looked at, never harvested."""

    APPLIED = "applied"
    REVIEW = "review"
    SANDBOX = "sandbox"
    CONFORMANCE = "conformance"
    TRIAL = "trial"
    ONLINE = "online"
    SUSPENDED = "suspended"
    RETIRED = "retired"


class Verdict(StrEnum):
    """What a row of the history says."""

    MOVED = "moved"
    REFUSED = "refused"
    VOTED = "voted"
    ANNOUNCED = "announced"
    WITHDRAWN = "withdrawn"
    AMENDED = "amended"
    PROVED = "proved"


class Kind(StrEnum):
    """Who applies."""

    PLATFORM = "platform"
    VENDOR = "vendor"
    SCHOOL = "school"


HARVESTED: Final = frozenset({Stage.TRIAL, Stage.ONLINE})
"""Only these are claimed by a worker."""

SUBMITTED: Final = {Stage.APPLIED: Stage.REVIEW, Stage.SANDBOX: Stage.CONFORMANCE}
"""The applicant's own moves, and a resubmission's."""

APPROVED: Final = {Stage.REVIEW: Stage.SANDBOX, Stage.CONFORMANCE: Stage.TRIAL, Stage.TRIAL: Stage.ONLINE}
"""The hub's moves."""

REFUSED: Final = {Stage.REVIEW: Stage.APPLIED, Stage.CONFORMANCE: Stage.SANDBOX, Stage.TRIAL: Stage.SANDBOX}
"""Where a refusal leads back to; from there the applicant submits again."""

FORGOTTEN_DAYS: Final = 30
"""So long an application waits for its applicant."""

DAY_US: Final = 86_400_000_000

EVIDENCE: Final = {Stage.CONFORMANCE: ("validation",), Stage.TRIAL: ("conformance", "validation")}
"""Kinds of document, one of which a move to this stage must rest on."""


def turn(stage: Stage) -> str | None:
    """Whose move is next: `applicant`, `hub`, or nobody's."""
    return "applicant" if stage in SUBMITTED else "hub" if stage in APPROVED else None


def missing(stage: Stage, proved: bool, kinds: Collection[str]) -> list[str]:
    """What the applicant's next submission lacks: `proof` of the domain, a `validation` report; empty: submit."""
    if stage == Stage.APPLIED:
        return [] if proved else ["proof"]
    asked = EVIDENCE.get(SUBMITTED[stage], ()) if stage in SUBMITTED else ()
    return list(asked) if asked and not set(asked) & set(kinds) else []


def after(stage: Stage, moves: dict[Stage, Stage], verb: str) -> Stage:
    """Where a move leads. Raises Conflict (`enrol.stage`)."""
    if stage not in moves:
        from_ = ", ".join(moves)
        raise named(Conflict(f"who stands in {stage!r} cannot be {verb}; that is possible in {from_}"), "enrol.stage")
    return moves[stage]


def state_of(stage: Stage) -> str:
    """The platform's state as the harvest and the lists know it: `active` is harvested, nothing else is."""
    if stage in HARVESTED:
        return "active"
    return stage if stage in (Stage.SUSPENDED, Stage.RETIRED) else "sandbox"


def reasoned(reason: str | None, verb: str) -> str:
    """The reason, which must be there. Raises BadRequest (`enrol.reason_missing`)."""
    if not (found := (reason or "").strip()):
        raise named(BadRequest(f"to be {verb} somebody must be told why: give a reason"), "enrol.reason_missing")
    return found


def named(error: E, kind: str) -> E:
    """The error with its kind (docs/problems.md)."""
    error.kind = kind
    return error
