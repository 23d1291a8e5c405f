"""What a verdict moves: candidates into the catalogue, records out of it, and their annotation records.

An annotation record is this hub's own (id, origin, version): it names the record, the hash that was looked at and the
audits of GB/T 41469 section 15. It is a record like any other and travels over IX/1; the foreign one stays untouched.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection

from app.admission.policy import Policies, policies
from app.admission.service import COLUMNS
from app.admission.states import WITHDRAWN
from app.catalogue import originals, service
from app.catalogue.arrivals import Arrival, Origin, Outcome
from app.clock import iso
from app.db import now
from app.feeds import service as feeds
from app.protocol.connector import Fault
from app.protocol.record import prepare, rebuilt, restore
from app.protocol.vocab import province_of
from app.protocol.words import ID_LIMIT, record_id
from app.statements import load

ANNOTATION: Final = "annotation"
"""The resource type of annotation records: a facet tells them apart."""
OURS: Final = 0  # the feed and the run of what the hub itself writes


def show(connection: Connection, rows: Sequence[Any]) -> list[Outcome]:
    """Candidates become records, each with a position of its own; their bytes are kept with them. What became of them."""
    groups: dict[Origin, list[Any]] = defaultdict(list)
    for row in rows:
        groups[Origin(row.feed_id, row.run_id, row.province, bool(row.native))].append(row)
    outcomes = [service.apply(connection, list(map(arrival, group)), origin) for origin, group in groups.items()]
    stored = service.known(connection, [row.id for row in rows])
    kept = [(stored[row.id].pk, bytes(row.raw), bytes(row.context)) for row in rows if row.raw]
    originals.put(connection, kept)
    return outcomes


def arrival(row: Any) -> Arrival:
    """A candidate as it would have arrived."""
    record = rebuilt(row.id, bytes(row.document), row.flags)
    return Arrival(record, bytes(row.source_hash), row.stamp, row.version, tuple(row.path.split()))


def hide(connection: Connection, rows: Sequence[Any], hub: str) -> None:
    """Live records leave the catalogue with all their content, and what was said of them with them."""
    service.withdraw(connection, {row.id: ours(connection, row) for row in rows})
    service.remove(connection, [annotation_id(hub, row.id) for row in rows], OURS)


def ours(connection: Connection, row: Any) -> bool:
    """Whether this hub numbers a record's versions: that of a bridged feed, which stands under the feed's key."""
    if row.feed_id == OURS:
        return True
    return bool(row.id.startswith(record_id(*feeds.place(connection, row.feed_id), "")))


def keep(connection: Connection, rows: Sequence[Any]) -> None:
    """Live records that leave are kept back as they are, so that they can come back."""
    chosen, at = Policies(policies(connection), "nation"), now(connection)
    made = [_kept(connection, chosen, row, at) for row in rows]
    load(connection, "candidate", COLUMNS, [tuple(row[name] for name in COLUMNS) for row in made], ("id",))


def _kept(connection: Connection, chosen: Policies, row: Any, at: int) -> dict[str, Any]:
    content = restore(bytes(row.document))
    policy = chosen.of(row.platform, content)
    raw, context = originals.of_record(connection, row.pk) or (b"", b"")
    native = not ours(connection, row)
    same = ("id", "platform", "feed_id", "run_id", "province", "hash", "stamp", "path", "flags")
    return {name: getattr(row, name) for name in same} | {
        "native": int(native), "version": row.version if native else None, "matter": policy.matter(content),
        "source_hash": bytes(row.source_hash), "document": bytes(row.document), "raw": raw,
        "context": originals.mark(connection, context), "causes": '["admission.withdrawn"]', "state": WITHDRAWN,
        "people": policy.people, "visibility": policy.visibility, "audits": " ".join(policy.audits), "came_at": at,
        "first_by": None, "claimed_by": None, "claimed_until": 0, "held_id": None, "draw": 0,
    }  # fmt: skip


def annotate(
    connection: Connection, rows: Sequence[Any], audits: Mapping[str, Sequence[str]], institution: str, hub: str
) -> None:
    """Writes the annotation record of each admitted record whose verdict attests something."""
    date, arrivals = iso(now(connection))[:10], []
    for row in rows:
        if not audits[row.id]:
            continue
        content: dict[str, Any] = {
            "id": annotation_id(hub, row.id), "title": "资源评估准入审核结论 Admission verdict", "languages": ["zh-Hans"],
            "type": [ANNOTATION], "contributors": [{"role": "审核机构", "name": institution}],
            "audits": [
                {"item": item, "institution": institution, "date": date, "result": "admitted"} for item in audits[row.id]
            ],
            "relations": [{"type": "annotates", "target": row.id}],
            "identifiers": [{"catalog": "sha256", "entry": row.hash}],
        }  # fmt: skip
        record = prepare(content, annotation_id(hub, row.id), native=True)
        if isinstance(record, Fault):
            raise AssertionError(record.detail)
        arrivals.append(Arrival(record, b""))
    service.apply(connection, arrivals, Origin(OURS, OURS, province_of(hub[2:8])))


def annotation_id(hub: str, id: str) -> str:
    """The annotation's own id; of a very long target by its hash."""
    made = record_id(hub, "admission", id)
    return made if len(made) <= ID_LIMIT else record_id(hub, "admission", sha256(id.encode()).hexdigest())
