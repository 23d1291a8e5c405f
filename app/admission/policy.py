"""Policies: for each platform and resource kind, who lets a record into the catalogue and what it takes.

The most specific one counts: platform and kind, platform, kind, all. A record of several kinds is under the strictest
of theirs. Without any policy every record that passes the rules is admitted.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, delete, select

from app.access.audit import Act, note
from app.access.principal import acting, narrowed, unbound, within
from app.admission.tables import policy as table
from app.protocol import vocab
from app.protocol.canonical import canonical
from app.protocol.errors import BadRequest, Forbidden, NotFound
from app.protocol.record import Prepared, Record
from app.protocol.words import platform_of
from app.statements import Fixed, upsert

LEVELS: Final = ("school", "district", "city", "province", "nation")
_OF_CODE: Final = {"N": "nation", "P": "province", "C": "city", "D": "district", "S": "school", "E": "school"}
MODES: Final = ("automatic", "sample", "every")  # the strictest last
MATTER: Final = (
    "title", "alt_titles", "description", "keywords", "contributors", "location", "rights", "type", "subject", "stage",
    "grade", "edition", "volume", "languages", "audience",
)  # fmt: skip


class Policy(NamedTuple):
    """What it takes; `people` decide by turns, `hold` are flags that stop a record, `fields` those that matter."""

    platform: str = "*"
    kind: str = "*"
    mode: str = "automatic"
    percent: int = 100
    people: int = 1
    hold: tuple[str, ...] = ()
    fields: tuple[str, ...] = MATTER
    visibility: str = "nation"
    audits: tuple[str, ...] = ("content",)
    salt: str = ""

    def open(self, level: str) -> bool:
        """Whether everything passes."""
        return self.mode == "automatic" and not self.hold and seen_at(self.visibility, level)

    def told(self) -> dict[str, Any]:
        """As people and programs read it; the salt stays here."""
        return {name: value for name, value in self._asdict().items() if name != "salt"}

    def matter(self, content: Mapping[str, Any]) -> str:
        """Hash of the fields whose change asks for another review."""
        return sha256(canonical({name: content[name] for name in self.fields if name in content})).hexdigest()

    def causes(self, record: Prepared, matter: str, level: str) -> list[str]:
        """Why a person must look, as rules of docs/problems.md with what they are about; empty: admitted by rules."""
        found = []
        if self.mode == "every":
            found.append("admission.every")
        elif self.mode == "sample" and self._drawn(record.id, matter):
            found.append("admission.sample")
        found += [f"admission.flag={flag}" for flag in record.flags.split() if self._stops(flag)]
        if not seen_at(self.visibility, level):
            found.append(f"admission.visibility={self.visibility}")
        return found

    def _drawn(self, id: str, matter: str) -> bool:
        """Always the same answer for the same content; the salt keeps it from being worked out beforehand."""
        draw = sha256(f"{self.salt}\0{id}\0{matter}".encode()).digest()
        return int.from_bytes(draw[:8], "big") < self.percent * (1 << 64) // 100

    def _stops(self, flag: str) -> bool:
        return any(flag == name or flag.startswith((f"{name}:", f"{name}.")) for name in self.hold)


class Policies:
    """All policies of a hub, with the level at which its public faces show records."""

    def __init__(self, rows: Sequence[Policy], level: str) -> None:
        self.level = level
        self._by_key = {(row.platform, row.kind): row for row in rows}

    def open(self, ids: Iterable[str]) -> bool:
        """Whether whatever comes from the platforms of these records is admitted."""
        closed = {policy.platform for policy in self._by_key.values() if not policy.open(self.level)}
        return not closed or ("*" not in closed and closed.isdisjoint(map(platform_of, ids)))

    def of(self, platform: str, content: Mapping[str, Any]) -> Policy:
        """The policy of a record."""
        kinds = content.get("type") or ["*"]
        return max((self._one(platform, kind) for kind in kinds), key=_strictness)

    def _one(self, platform: str, kind: str) -> Policy:
        keys = ((platform, kind), (platform, "*"), ("*", kind), ("*", "*"))
        return next((self._by_key[key] for key in keys if key in self._by_key), DEFAULT)


DEFAULT: Final = Policy()
_ALL: Final = select(*(table.c[name] for name in Policy._fields)).order_by(table.c.platform, table.c.kind)
_UNBOUND: Final = Fixed(unbound(_ALL))  # asked with every page


def _strictness(policy: Policy) -> tuple[int, int, int, int, int]:
    level = -LEVELS.index(policy.visibility)
    return MODES.index(policy.mode), policy.percent, level, len(policy.hold), policy.people


def level_of(code: str) -> str:
    """The level at which a hub with this platform code shows records; an enterprise's shows all it has."""
    return _OF_CODE[code[0]]


@cache
def seen_at(visibility: str, level: str) -> bool:
    """Whether the public faces of a hub at `level` show a record of this visibility."""
    return LEVELS.index(visibility) >= LEVELS.index(level)


def policies(connection: Connection) -> list[Policy]:
    """All policies by platform and kind, whoever asks: the gate's view."""
    return [_policy(row) for row in _UNBOUND.all(connection)]


def shown(connection: Connection) -> list[Policy]:
    """The policies that bear on the acting principal's rows: those of their platforms, and those for all."""
    own = connection.execute(within(connection, _ALL.where(table.c.platform != "*"), table.c.platform)).all()
    common = connection.execute(narrowed(_ALL.where(table.c.platform == "*"))).all()
    return [_policy(row) for row in (*common, *own)]


def _policy(row: Any) -> Policy:
    platform, kind, mode, percent, people, hold, fields, visibility, audits, salt = row
    listed = tuple(hold.split()), tuple(fields.split()), visibility, tuple(audits.split())
    return Policy(platform, kind, mode, percent, people, *listed, salt)


def choose(connection: Connection, wanted: Policy) -> None:
    """Sets a policy for what comes from now on; what waits stays until somebody decides. Raises BadRequest, Forbidden."""
    _check(wanted)
    _covered(connection, wanted.platform)
    key = (table.c.platform == wanted.platform, table.c.kind == wanted.kind)
    salt = connection.execute(narrowed(select(table.c.salt).where(*key))).scalar() or secrets.token_hex(16)
    row = wanted._asdict() | {name: " ".join(getattr(wanted, name)) for name in ("hold", "fields", "audits")}
    names = [name for name in row if name not in ("platform", "kind")]
    connection.execute(upsert(connection, table, ("platform", "kind"), names), [{**row, "salt": salt}])
    told = {name: value for name, value in row.items() if name not in ("platform", "kind", "salt")}
    note(connection, Act.POLICY_SET, f"policy:{wanted.platform}/{wanted.kind}", **told)


def drop(connection: Connection, platform: str, kind: str) -> None:
    """Takes a policy back; the next wider one counts. Raises NotFound, Forbidden."""
    _covered(connection, platform)
    gone = delete(table).where(table.c.platform == platform, table.c.kind == kind)
    if not connection.execute(narrowed(gone)).rowcount:
        raise NotFound(
            f"there is no policy for platform {platform} and kind {kind}; `hutong admission policy` lists them"
        )
    note(connection, Act.POLICY_SET, f"policy:{platform}/{kind}", mode=None)


def _covered(connection: Connection, platform: str) -> None:
    rows = acting(connection).rows
    if not (rows.everything or (platform != "*" and rows.cover(platform, platform[2:8]))):
        raise Forbidden(f"the policy of platform {platform} is set by whoever looks after it")


def _check(wanted: Policy) -> None:
    _one_of("mode", (wanted.mode,), MODES)
    _one_of("visibility", (wanted.visibility,), LEVELS)
    _one_of("fields", wanted.fields, tuple(Record.__annotations__))
    _one_of("audits", wanted.audits, tuple(vocab.scheme("audit").concepts))
    if not 1 <= wanted.percent <= 100 or wanted.people not in (1, 2):
        raise BadRequest("a policy takes percent 1 to 100 and one or two people")
    if not wanted.fields:
        raise BadRequest("fields: name at least one field whose change asks for another review")
    if bad := [word for word in (*wanted.hold, wanted.platform) if word.split() != [word]]:
        raise BadRequest(f"{bad[0]!r}: a platform and a flag are words without blanks")


def _one_of(name: str, given: Sequence[str], known: Sequence[str]) -> None:
    if wrong := [value for value in given if value not in known]:
        raise BadRequest(f"{name}: {wrong[0][:100]!r} is none of {', '.join(known)}")
