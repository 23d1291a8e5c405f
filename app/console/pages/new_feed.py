"""Adding a feed: an address is probed or a kind is chosen, its questions are answered, twenty records are looked at.

Nothing is kept between the steps but what stands in the form itself; nothing is stored before `register`.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import orjson
from fastapi import Request
from sqlalchemy import Connection

from app.access.multipart import Part
from app.admission import ramp
from app.console import questions
from app.console.form import Form
from app.console.page import told
from app.console.pages.records import facts, fields
from app.feeds import service as feeds
from app.feeds import uploads
from app.harvest import attach, local, look, probe
from app.harvest.discovery import configured, kinds, masked
from app.harvest.discovery import mapped as checked
from app.harvest.engine import Engine
from app.platforms import queries
from app.platforms.stages import HARVESTED, Stage
from app.protocol.errors import BadRequest, Conflict, HutongError
from app.settings import Settings
from app.web import database

SAMPLE: Final = 20
FORMATS: Final = frozenset({"csv", "excel", "json", "ndjson"})  # of a file that an `upload` feed reads
EVERY: Final = (900, 3600, 21_600, 86_400, 604_800)
REGISTERED: Final = frozenset({Stage.SANDBOX, Stage.CONFORMANCE, *HARVESTED})
_CHANGED: Final = ("probe", "kind")


def page(connection: Connection, reference: str, form: Form, lang: str, **more: Any) -> dict[str, Any]:
    """The form as it stands, with what a probe or a sample found and what is wrong by field."""
    row, found = queries.shown(connection, reference), more.get("found")
    kind = more.get("kind", form.one("c-kind"))
    kind = kind if kind in kinds() else ""
    config = more.get("config") or (found["kinds"][0]["config"] if found and found["kinds"] else {})
    typed = None if form.one("do") in _CHANGED else form
    drafted = found["mapping"] if found else more.get("draft")
    mapping = _text(drafted) if found or drafted else form.fields.get("mapping", [""])[0]
    return {
        "one": row, "form": form, "kind": kind, "found": found,
        "kinds": [(name, _title(name, lang)) for name in kinds()],
        "questions": questions.questions(kind, config, typed) if kind else [],
        "mapping": mapping, "needs_mapping": bool(kind) and kinds()[kind].needs_mapping, "every": EVERY,
        "sample": more.get("sample"), "error": more.get("error"), "faults": questions.faults(more.get("error")),
        "may": row["stage"] in REGISTERED, "bound": row["domain"] if row["code"] is None else "",
        "proved": row["proved_at"] is not None or row["code"] is not None,
    }  # fmt: skip


def _title(kind: str, lang: str) -> str:
    return kinds()[kind].title_en if lang == "en" else kinds()[kind].title_zh


def _text(mapping: Any) -> str:
    return orjson.dumps(mapping, option=orjson.OPT_INDENT_2).decode() if mapping else ""


def tried(request: Request, reference: str, form: Form, lang: str) -> tuple[dict[str, Any], int]:
    """What a step of the form found, as the page again. Raises NotFound for anybody else's enrolment."""
    base, engine, more, status = database(request), request.app.state.engine, {}, 200
    with base.read() as connection:
        queries.enrolment_of(connection, reference)
        eyes = attach.eyes(connection, engine.fetcher)
    try:
        more = _step(eyes, engine, form, lang)
    except HutongError as error:
        more, status = {"error": error}, told(error)
    with base.read() as connection:
        return page(connection, reference, form, lang, **more), status


def _step(eyes: Any, engine: Engine, form: Form, lang: str) -> dict[str, Any]:
    do = form.one("do")
    if do == "probe":
        url = form.one("url")
        if not url.startswith(("http://", "https://")) or not 8 <= len(url) <= 4000:
            error = BadRequest("url: an address that begins with http:// or https://")
            error.errors = [{"pointer": "url", "detail": error.detail}]
            raise error
        found = probe.probe(eyes, url)
        return {"found": found, "kind": found["kinds"][0]["connector"] if found["kinds"] else ""}
    if do == "kind":
        return {"kind": form.one("kind")}
    subject = look.unregistered(*described(form))
    return {"sample": _sampled(look.preview(eyes, _with_secrets(subject, form), SAMPLE, engine.rules), lang)}


def _sampled(found: dict[str, Any], lang: str) -> dict[str, Any]:
    shown = [_shown(one, lang) for one in found["records"]]
    return {**found, "shown": shown, "refused": sum(one["record"] is None for one in shown)}


def of_file(request: Request, reference: str, file: Part, lang: str) -> tuple[dict[str, Any], int]:
    """A file looked at: its first records, and the questions of an `upload` feed that would read it."""
    base, engine, more, status = database(request), request.app.state.engine, {}, 200
    with base.read() as connection:
        queries.enrolment_of(connection, reference)
    try:
        more = _of_file(engine, file, lang)
    except HutongError as error:
        more, status = {"error": error}, told(error)
    with base.read() as connection:
        return page(connection, reference, Form({}), lang, **more), status


def _of_file(engine: Engine, file: Part, lang: str) -> dict[str, Any]:
    if not file.content:
        raise BadRequest("choose a file first")
    with TemporaryDirectory() as folder:
        path = Path(folder) / (Path(file.name).name[-100:] or "file")
        path.write_bytes(file.content)
        subject = local.subject(path, SAMPLE, None)
    found = _sampled(look.preview(engine.fetcher, subject, SAMPLE, engine.rules), lang)
    if subject.connector not in FORMATS:
        return {"sample": found}
    reads = {"format": subject.connector, **{k: v for k, v in subject.config.items() if k != "url"}}
    return {"sample": found, "kind": "upload", "config": {"file": reads}, "draft": subject.mapping}


def described(form: Form) -> tuple[str, dict[str, Any], dict[str, Any] | None]:
    """Kind, checked configuration with its secrets covered, checked mapping. Raises BadRequest by field."""
    kind = form.one("c-kind")
    shown, _ = masked(configured(kind, questions.answers(kind, form)))
    text = form.one("mapping")
    mapping = questions.read(text, "mapping") if text else None
    try:
        return kind, shown, checked(kind, mapping)
    except BadRequest as error:
        error.errors = [{"pointer": "mapping", "detail": error.detail}]
        raise


def _with_secrets(subject: look.Subject, form: Form) -> look.Subject:
    kind = form.one("c-kind")
    return subject._replace(secrets=masked(configured(kind, questions.answers(kind, form)))[1])


def _shown(one: dict[str, Any], lang: str) -> dict[str, Any]:
    """A record as the national page will show it: title, description, licence, coded terms in words."""
    content = one["record"]
    rights = (content or {}).get("rights") or {}
    return {
        "identifier": one["identifier"], "findings": one["findings"], "record": fields(content) if content else None,
        "facts": facts(content, lang) if content else [], "licence": rights.get("statement") or rights.get("licence_uri"),
    }  # fmt: skip


def register(connection: Connection, request: Request, settings: Settings, reference: str, form: Form) -> str:
    """Adds the feed; where to go on. Raises Conflict before the review is passed, BadRequest by field."""
    row = queries.enrolment_of(connection, reference)
    if row.code is None or row.stage not in REGISTERED:
        raise Conflict("a feed is registered once the review is passed; until then it can be looked at")
    kind, config, mapping = described(form)
    hidden = masked(configured(kind, questions.answers(kind, form)))[1]
    every = form.one("every")
    made = feeds.register(
        connection, platform=row.code, name=form.one("name") or row.name, connector=kind, config=config, mapping=mapping,
        every_s=int(every) if every.isdecimal() and int(every) in EVERY else EVERY[1],
        sealed=(request.app.state.gate.ring, hidden), quota=settings.quota_feeds,
    )  # fmt: skip
    ramp.submitted(connection, made, settings)
    return f"/vendor/{reference}/feeds/{made}" if kind == uploads.KIND else f"/vendor/{reference}"
