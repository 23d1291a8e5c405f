"""The queue of reviewers, a record under review, policies."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Final, Literal

from pydantic import BaseModel, Field
from sqlalchemy import Connection

from app.access.principal import acting
from app.admission import policy, queue
from app.admission.decide import Decision, Item
from app.admission.policy import LEVELS, MATTER, MODES, Policy, level_of
from app.admission.queue import Sought
from app.catalogue import queries
from app.console.pages.records import shown
from app.platforms import service as platforms
from app.protocol import vocab
from app.protocol.errors import BadRequest
from app.protocol.record import restore
from app.settings import Settings

Form = Mapping[str, Sequence[str]]
ROWS: Final = 50
STAGES: Final = ("waiting", "second", "narrow", "rejected", "withdrawn", "ramp")
RULES: Final = ("every", "sample", "flag", "visibility", "decided", "withdrawn", "ramp")


class Narrowing(BaseModel):
    """What the queue can be narrowed by; `came` and `from_id` go on after a place."""

    stage: Literal["waiting", "second", "narrow", "rejected", "withdrawn", "ramp"] = "waiting"
    platform: str = Field(default="", max_length=16)
    rule: Literal["", "every", "sample", "flag", "visibility", "decided", "withdrawn", "ramp"] = ""
    mine: str = Field(default="", max_length=3)
    came: int = Field(default=0, ge=0)
    from_id: str = Field(default="", max_length=600)


class Chosen(BaseModel):
    """Which policy stands in the form."""

    platform: str = Field(default="", max_length=16)
    kind: str = Field(default="*", max_length=200)


def queue_page(connection: Connection, query: Narrowing) -> dict[str, Any]:
    """Rows with their causes, how many in each stage, and what can be chosen."""
    state, second = ("waiting", True) if query.stage == "second" else (query.stage, False)
    me = acting(connection).name
    rule = f"admission.{query.rule}" if query.rule else ""
    sought = Sought(state, query.platform, None, rule, second, me if query.mine else "")
    found = queue.waiting(connection, sought, after=(query.came, query.from_id), limit=ROWS + 1)
    rows = found[:ROWS]
    return {
        "query": query, "rows": rows, "more": rows[-1] if len(found) > ROWS else None, "stages": STAGES, "rules": RULES,
        "counts": queue.counts(connection), "names": platforms.names(connection), "me": me, **_codes(),
        "known": queue.origins(connection),
    }  # fmt: skip


def _codes() -> dict[str, Any]:
    return {
        "reasons": list(vocab.scheme("reason").concepts.values()), "items_of_audit": list(vocab.scheme("audit").concepts.values()),
        "levels": LEVELS,
    }  # fmt: skip


def candidate(connection: Connection, id: str, settings: Settings, lang: str) -> dict[str, Any]:
    """Content that is kept back on a record's page, beside the live content it would replace. Raises NotFound."""
    kept = queue.kept(connection, id)
    row = SimpleNamespace(**kept, live=1, modified_at=kept["came_at"])
    row.version, row.path, row.flags = kept["version"] or 1, " ".join(kept["path"]), " ".join(kept["flags"])
    live = queries.live_contents(connection, [id]).get(id)
    before = restore(bytes(live.document)) if live else {}
    names = sorted({*before, *kept["record"]}) if live else []
    moved = [(n, before.get(n), kept["record"].get(n)) for n in names if before.get(n) != kept["record"].get(n)]
    return {
        **shown(connection, row, kept["record"], settings.public_url, lang), "kept": kept, "moved": moved, "live": live is not None,
        "said": queue.verdicts(connection, id), "me": acting(connection).name, **_codes(),
    }  # fmt: skip


def one(form: Form, name: str) -> str:
    """The last value of a field; empty where there is none."""
    return (form.get(name) or [""])[-1].strip()


def decision(form: Form, by: str) -> Decision:
    """What a form asks for. An `item` is the hash that was looked at and the identifier. Raises BadRequest."""
    parts = [value.partition(" ") for value in form.get("item", [])]
    if not parts:
        raise BadRequest("no record was chosen: tick at least one")
    return Decision(
        one(form, "decision"), [Item(id, hash) for hash, _, id in parts], by, tuple(r for r in form.get("reason", []) if r),
        one(form, "text"), one(form, "visibility") or None, tuple(form.get("audit", [])) if "audits" in form else None,
        one(form, "institution")[:200],
    )  # fmt: skip


def policies(connection: Connection, query: Chosen, settings: Settings) -> dict[str, Any]:
    """Those in force, the one to edit, and what can be chosen."""
    found = policy.shown(connection)
    same = [row for row in found if (row.platform, row.kind) == (query.platform, query.kind)]
    edited = same[0] if same else Policy(platform=query.platform or "*", kind=query.kind)
    return {
        "found": found, "edited": edited, "modes": MODES, "fields": MATTER, "names": platforms.names(connection),
        "members": [p["code"] for p in platforms.platforms(connection)], "everything": acting(connection).rows.everything,
        "kinds": list(vocab.scheme("type").concepts.values()), "level": level_of(settings.platform_code), **_codes(),
    }  # fmt: skip


def wanted(form: Form) -> Policy:
    """The policy a form asks for. Raises BadRequest for a number that is none."""
    percent, people = one(form, "percent") or "100", one(form, "people") or "1"
    if not (percent.isdecimal() and people.isdecimal() and len(percent) < 4 and len(people) < 3):
        raise BadRequest("percent and people are whole numbers")
    return Policy(
        one(form, "platform") or "*", one(form, "kind") or "*", one(form, "mode"), int(percent), int(people),
        tuple(one(form, "hold").split()), tuple(form.get("fields", [])), one(form, "visibility"),
        tuple(form.get("audit", [])),
    )  # fmt: skip
