"""Public search and a record's public page."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Connection

from app.catalogue import queries
from app.catalogue.browse import browse
from app.clock import iso
from app.harvest import runs
from app.platforms import service as platforms
from app.protocol import jsonld, vocab
from app.protocol.errors import NotFound
from app.protocol.record import restore
from app.protocol.syndication import rendering
from app.settings import Settings

ROWS = 20
FACETS = ("stage", "grade", "subject", "edition", "type", "language", "platform")
TOLD = ("subject", "grade", "edition", "volume", "type")  # of a hit, in words
OFFERED = 12  # values a facet shows; the rest is reached by narrowing another


class Fields(dict[str, Any]):
    """A record for a template: a field it does not have is None."""

    def __missing__(self, name: str) -> None:
        return None


def fields(value: Any) -> Any:
    """The same content, its objects forgiving."""
    if isinstance(value, dict):
        return Fields((name, fields(inner)) for name, inner in value.items())
    return [fields(inner) for inner in value] if isinstance(value, list) else value


class Search(BaseModel):
    """What a visitor looks for; all of it stands in the address."""

    q: str = Field(default="", max_length=200)
    stage: str = Field(default="", max_length=100)
    grade: str = Field(default="", max_length=100)
    subject: str = Field(default="", max_length=100)
    edition: str = Field(default="", max_length=100)
    type: str = Field(default="", max_length=100)
    language: str = Field(default="", max_length=100)
    platform: str = Field(default="", max_length=16)
    before: int | None = Field(default=None, ge=0)

    def chosen(self) -> dict[str, str]:
        """The facets that are set."""
        return {name: getattr(self, name) for name in FACETS if getattr(self, name)}


def search(connection: Connection, query: Search, lang: str) -> dict[str, Any]:
    """Hits with facets and their counts."""
    chosen = query.chosen()
    terms = [f"{name}={code}" for name, code in chosen.items()]
    hits = browse(connection, words=query.q, terms=terms, before=query.before, limit=ROWS)
    names = platforms.names(connection)
    return {
        "query": query,
        "chosen": [(name, code, label(name, code, lang, names)) for name, code in chosen.items()],
        "hits": [_hit(row, lang) for row in hits.rows],
        "facets": _facets(hits.counts, chosen, lang, names),
        "exact": hits.exact,
        "count": _count(hits.counts, chosen, bool(query.q.strip())),
        "next": hits.before,
        "names": names,
    }


def _hit(row: Any, lang: str) -> dict[str, Any]:
    """A row of the list: its record, what it is in words (subject, grade, edition, type), and under which licence."""
    content = restore(bytes(row.document))
    coded = [text for kind, values in facts(content, lang) if kind in TOLD for _, text in values[:3]]
    rights = content.get("rights") or {}
    licence = rights.get("statement") or rights.get("licence_uri") or ""
    return {"row": row, "record": fields(content), "coded": coded, "licence": licence}


def atom(connection: Connection, query: Search, asked: str, settings: Settings) -> bytes:
    """The newest hits as an Atom feed; each entry is dated by its newest change."""
    terms = [f"{name}={code}" for name, code in query.chosen().items()]
    rows = browse(connection, words=query.q, terms=terms, before=None, limit=ROWS).rows
    address = f"{settings.public_url}/search.atom{'?' if asked else ''}{asked}"
    newest = max((row.modified_at for row in rows), default=0)
    about = {
        "id": address, "self": address, "title": query.q or settings.platform_name, "author": settings.platform_name,
        "updated": iso(newest),
    }  # fmt: skip
    return rendering.render(about, [(restore(bytes(row.document)), iso(row.modified_at)) for row in rows])


def _count(counts: Mapping[str, int], chosen: Mapping[str, str], words: bool) -> int:
    """How many live records were found: each counts once under its platform."""
    if not words and not chosen:
        return counts.get("live", 0)
    return sum(n for term, n in counts.items() if term.startswith("platform="))


def label(kind: str, code: str, lang: str, names: Mapping[str, str]) -> str:
    """A facet's value in words."""
    if kind == "platform":
        return names.get(code, code)
    return vocab.label(kind, code, "en" if lang == "en" else "zh").replace("_", " ")


def _facets(
    counts: Mapping[str, int], chosen: Mapping[str, str], lang: str, names: Mapping[str, str]
) -> list[tuple[str, list[tuple[str, str, int]], int]]:
    """Facet, its most frequent values (code, label, count), how many more there are; set facets are left out."""
    found: dict[str, list[tuple[str, str, int]]] = {name: [] for name in FACETS if name not in chosen}
    for term, n in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        kind, _, code = term.partition("=")
        if kind in found and code:
            found[kind].append((code, label(kind, code, lang, names), n))
    return [
        (kind, values[:OFFERED], max(0, len(values) - OFFERED)) for kind, values in found.items() if len(values) > 1
    ]


def record(connection: Connection, id: str, public_url: str, lang: str) -> tuple[dict[str, Any], int]:
    """A record's page and its status: 410 for a tombstone. Raises NotFound."""
    row = queries.by_id(connection, id)
    if row is None:
        raise NotFound(f"there is no record {id}")
    return shown(connection, row, restore(bytes(row.document)), public_url, lang), 200 if row.live else 410


def shown(connection: Connection, row: Any, content: Any, public_url: str, lang: str) -> dict[str, Any]:
    """What a record's page shows; of the row it needs id, platform, path, flags and run_id."""
    names = platforms.names(connection)
    return {
        "row": row,
        "record": fields(content),
        "facts": facts(content, lang),
        "platform": names.get(row.platform, row.platform),
        "enrolled": row.platform in names,
        "path": row.path.split(),
        "flags": row.flags.split(),
        "data": jsonld.script(jsonld.render(content, base=public_url)),
        "run": known_run(connection, row.run_id),
        "reasons": list(vocab.scheme("reason").concepts.values()),
    }


def known_run(connection: Connection, run_id: int) -> int | None:
    """A run's number where the run is still kept."""
    try:
        return int(runs.by_id(connection, run_id)["run"])
    except NotFound:
        return None


def facts(content: Mapping[str, Any], lang: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Coded fields as (field, [(code, label)]); each leads to a search."""
    fields = (("stage", "stage"), ("grade", "grade"), ("subject", "subject"), ("edition", "edition"),
              ("volume", "volume"), ("type", "type"), ("language", "languages"))  # fmt: skip
    found = []
    for kind, field in fields:
        value = content.get(field)
        codes: Sequence[str] = [value] if isinstance(value, str) else value or ()
        if codes:
            found.append((kind, [(code, label(kind, code, lang, {})) for code in codes]))
    return found
