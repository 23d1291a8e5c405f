"""A feed's mapping as a form and as JSON: what did not map, a trial on kept bytes, and what carrying it out would do."""

from typing import Any, Final, Literal

from pydantic import BaseModel
from sqlalchemy import Connection

from app.console import crosswalk
from app.console.crosswalk import Row, Term
from app.console.form import Form
from app.db import Database
from app.feeds import service as feeds
from app.harvest import inspection, queries, remap, runs
from app.harvest.discovery import kinds
from app.harvest.unmapped import code_of, offered, unmapped
from app.platforms import service as platforms
from app.protocol.errors import BadRequest
from app.protocol.mapping.model import FIELDS
from app.protocol.record import FACET_NAMES, TABLED, Record

NEW: Final[dict[str, Any]] = {"version": 1, "keep": True, "fields": {}}
SPARE: Final = 2  # empty rows at the end of the form, to be filled
TERMS: Final = 60
# In the order of the record, so that a reader of docs/records.md finds them.
ORDERED: Final = [
    name
    for field in Record.__annotations__
    for name in sorted(f for f in FIELDS if f == field or f.startswith(f"{field}."))
]


class Way(BaseModel):
    """How the editor is come to: by which entry of the quarantine, as what, after which runs."""

    entry: int | None = None
    view: Literal["form", "json"] = "form"
    live: int | None = None
    replayed: int | None = None


def editor(connection: Connection, feed_id: int, way: Way, lang: str, **more: Any) -> dict[str, Any]:
    """The page; `draft` instead of the feed's own mapping, `text` as it was typed, `error` and `trial` where they are."""
    feed = feeds.by_id(connection, feed_id)
    draft = more.get("draft") or feed["mapping"] or NEW
    simple = crosswalk.fits(draft)
    return {
        "feed": feed,
        "platform": platforms.by_code(connection, feed["platform"]),
        "native": kinds()[feed["connector"]].native,
        "view": way.view if simple else "json",
        "simple": simple,
        "rows": [*crosswalk.rows(draft), *[Row()] * SPARE] if simple else [],
        "terms": [*_terms(connection, feed_id, draft), Term("", "")] if simple else [],
        "others": crosswalk.others(draft),
        "draft": draft,
        "text": more.get("text"),
        "changed": draft != feed["mapping"],
        "error": more.get("error"),
        "trial": more.get("trial"),
        "done": [runs.by_id(connection, run) for run in (way.live, way.replayed) if run is not None],
        "entry": way.entry,
        "texts": inspection.texts(connection, feed, way.entry),
        "refused": queries.by_rule(connection, feed_id=feed_id),
        "codes": offered("en" if lang == "en" else "zh"),
        "schemes": {field: FACET_NAMES.get(field, field) for field in TABLED},
        "names": ORDERED,
        "sources": crosswalk.SOURCES,
        "shapes": crosswalk.SHAPES,
    }


def _terms(connection: Connection, feed_id: int, draft: dict[str, Any]) -> list[Term]:
    """Terms that did not map first, the most frequent at the top; then those that the mapping knows already."""
    known = {(term.field, term.term): term for term in crosswalk.terms(draft)}
    waiting = unmapped(connection, feed_id)[:TERMS]
    open_ones = [Term(u.field, u.term, known.pop((u.field, u.term), Term("", "")).code, u.records) for u in waiting]
    return [*open_ones, *known.values()]


def posted(database: Database, rules: str, feed: dict[str, Any], form: Form, lang: str) -> tuple[dict[str, Any], int]:
    """The page after a change of view or a trial, and its status: 422 with the draft as it was where it is wrong."""
    view: Literal["form", "json"] = "json" if form.one("do") == "json" or "json" in form.fields else "form"
    view = "form" if form.one("do") == "form" else view
    entry = form.one("entry")
    way = Way(view=view, entry=int(entry) if entry.isdigit() and len(entry) < 10 else None)
    try:
        draft = _coded(crosswalk.sent(form))
        found = remap.trial(database, feed, draft, rules) if form.one("do") == "try" else None
    except BadRequest as error:
        return _wrong(database, feed["id"], form, way, lang, error), error.status
    with database.read() as connection:
        return editor(connection, feed["id"], way, lang, draft=draft, trial=found), 200


def _wrong(database: Database, feed_id: int, form: Form, way: Way, lang: str, error: BadRequest) -> dict[str, Any]:
    """What was typed stays: as JSON text, or as the rows that could be read."""
    text = form.fields["json"][0] if "json" in form.fields else None
    try:
        draft = None if text is not None else crosswalk.sent(form)
    except BadRequest:
        draft = None
    with database.read() as connection:
        return editor(connection, feed_id, way, lang, draft=draft, text=text, error=error.detail)


def _coded(draft: dict[str, Any]) -> dict[str, Any]:
    """Codes that were given by their label (普通初中) as codes (3); what no list knows stays and is seen in the trial."""
    tables = draft.get("terms")
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        return draft
    coded = {
        field: {term: (code_of(field, code) or code) if isinstance(code, str) and field in TABLED else code
                for term, code in table.items()}
        for field, table in tables.items()
    }  # fmt: skip
    return {**draft, "terms": coded}


def applied(database: Database, rules: str, feed_id: int, form: Form, by: str) -> tuple[int, int]:
    """Gives the feed the mapping; the numbers of the runs over live and over quarantined bytes. Raises BadRequest."""
    asked = runs.Asked(by, form.reason(needed=True))
    done = remap.apply(database, feed_id, _coded(crosswalk.sent(form)), rules, asked=asked)
    return done["live"]["run"], done["quarantined"]["run"]
