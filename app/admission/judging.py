"""One arrival against what is kept back and what is live under its id. Pure."""

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from app.admission.hosts import host, leads_elsewhere
from app.admission.policy import Policies, Policy
from app.admission.ramp import Step
from app.admission.states import ASIDE, BEYOND, BRAKED, DECIDED, DECLINED, MOVED, OLDER, RAMP, TILL_THE_END, WAITING
from app.catalogue.arrivals import Arrival, Origin, older
from app.protocol.record import Prepared, restore
from app.protocol.words import platform_of

CAUSES: Final = {MOVED: "brake.host", OLDER: "record.older"}


class Gate(NamedTuple):
    """What a page is judged by: the policies, where it comes from, and how far new records of its feed are let in."""

    chosen: Policies
    origin: Origin
    step: Step | None = None


@dataclass(slots=True)
class Split:
    """A page after the gate: what goes on, rows to keep back, ids that are not kept back any more."""

    admitted: list[Arrival] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    freed: list[str] = field(default_factory=list)
    repeated: list[dict[str, Any]] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    declined: list[str] = field(default_factory=list)
    superseded: int = 0  # put aside earlier in this run and replaced: the run has counted them as held
    twice: list[str] = field(default_factory=list)  # ids of those, and of what came older than what was put aside


def judge(split: Split, gate: Gate, arrival: Arrival, held: Any, live: Any) -> None:
    """One arrival against what is kept back and what is live under its id (`held`, `live`)."""
    record = arrival.record
    if held is not None and held.native and arrival.version is not None and arrival.version <= held.version:
        same = held.hash == record.hash
        if arrival.version == held.version and not same:
            split.conflicts.append(record.id)
            return
        if not same:  # older than what we know of it
            split.repeated.append({"key": record.id, "source": bytes(held.source_hash), "told": held.stamp})
            return
    state = _put_aside(arrival, gate.origin, live)
    if held is not None and held.state in ASIDE:
        _judge_aside(split, gate, arrival, held, live, state)
        return
    if held is not None and held.hash == record.hash:
        split.repeated.append({"key": record.id, "source": arrival.source_hash, "told": arrival.stamp})
        return
    policy, matter = _policy_of(gate.chosen, record)
    if held is not None and policy.matter(restore(bytes(held.document))) == matter:
        split.rows.append(_row(gate, arrival, policy, matter, orjson.loads(held.causes)) | _standing(held))
        return
    causes = _causes(gate.chosen, policy, arrival, matter, held, live)
    if live is None and gate.step is not None and not gate.step.lets(record.id):
        split.rows.append(_row(gate, arrival, policy, matter, [BEYOND, *causes]) | {"state": RAMP})
        return
    if causes or state:
        split.rows.append(_row(gate, arrival, policy, matter, causes or [CAUSES[state]]) | _waits(causes, state))
        return
    split.admitted.append(arrival)
    if held is not None:
        split.freed.append(record.id)


def is_put_aside(arrival: Arrival, origin: Origin, live: Any) -> bool:
    """Whether this content of a live record (`document`, `stamp`; None where it is not) waits for its run's end."""
    return bool(_put_aside(arrival, origin, live))


def _put_aside(arrival: Arrival, origin: Origin, live: Any) -> str:
    if live is None or arrival.record.id not in origin.standing:
        return ""
    if leads_elsewhere(arrival.record.document, bytes(live.document)):
        return MOVED
    # A source that lists one id twice, with the newer stamp last, would otherwise change it back and forth at every run.
    late = arrival.version is None and older(arrival.stamp, live.stamp) and arrival.record.id not in origin.again
    return OLDER if late and arrival.record.document != bytes(live.document) else ""


def _judge_aside(split: Split, gate: Gate, arrival: Arrival, held: Any, live: Any, state: str) -> None:
    """The same where a content is put aside already (`states.ASIDE`): it came after what is live.

    Bytes that are run again from quarantine come with a person's word, those of live records do not: both say nothing
    of the source, so only what leads to the waiting host takes its place.
    """
    record, origin = arrival.record, gate.origin
    same_host, ours = host(record.document) == host(bytes(held.document)), held.run_id == origin.run_id
    if ours and older(arrival.stamp, held.stamp):
        split.twice.append(record.id)
    elif held.state == DECLINED and state == MOVED and same_host:
        split.declined.append(record.id)
    elif held.state != DECLINED and state and held.hash == record.hash:
        split.repeated.append({"key": record.id, "source": arrival.source_hash, "told": arrival.stamp})
    elif held.state == BRAKED and state == MOVED and same_host:
        split.rows.append(_row(gate, arrival, *_policy_of(gate.chosen, record), [CAUSES[MOVED]]) | _standing(held))
    else:
        if held.state in TILL_THE_END and ours:
            split.superseded += 1
            split.twice.append(record.id)
        judge(split, gate, arrival, None, live)
        if split.admitted[-1:] == [arrival] and (same_host or record.id in origin.standing or live is None):
            split.freed.append(record.id)


def _policy_of(chosen: Policies, record: Prepared) -> tuple[Policy, str]:
    content = restore(record.document)
    policy = chosen.of(platform_of(record.id), content)
    return policy, policy.matter(content)


def _causes(chosen: Policies, policy: Policy, arrival: Arrival, matter: str, held: Any, live: Any) -> list[str]:
    """Why this content must wait. What is live as it is, or differs from it in nothing that matters, need not."""
    if live is not None and policy.matter(restore(bytes(live.document))) == matter:
        return []
    causes = policy.causes(arrival.record, matter, chosen.level)
    if not causes and held is not None and held.state in DECIDED:
        return [f"admission.decided={held.state}"]
    return causes


def _row(gate: Gate, arrival: Arrival, policy: Policy, matter: str, causes: list[str]) -> dict[str, Any]:
    record, origin = arrival.record, gate.origin
    return {
        "id": record.id, "platform": platform_of(record.id), "feed_id": origin.feed_id, "run_id": origin.run_id,
        "province": origin.province, "native": int(origin.native), "version": arrival.version, "hash": record.hash,
        "matter": matter, "source_hash": arrival.source_hash, "stamp": arrival.stamp, "path": " ".join(arrival.path),
        "flags": record.flags, "document": record.document, "causes": orjson.dumps(causes).decode(), "held_id": None, "state": WAITING,
        "people": policy.people, "visibility": policy.visibility, "audits": " ".join(policy.audits),
        "came_at": 0, "first_by": None, "claimed_by": None, "claimed_until": 0,
        "draw": gate.step.draw(record.id) if gate.step is not None else 0,
    }  # fmt: skip


def _waits(causes: list[str], state: str) -> dict[str, Any]:
    return {"state": WAITING if causes else state}


def _standing(held: Any) -> dict[str, Any]:
    """What a change that does not matter leaves as it was."""
    names = ("held_id", "state", "people", "visibility", "audits", "came_at", "first_by", "claimed_by", "claimed_until")
    return {name: getattr(held, name) for name in names}
