"""OAI-PMH 2.0 provider: six verbs over GET and POST, a reader of the change order (protocol.md section 9).

Tokens are stateless: prefix, set, window and position under a MAC. Listings go by position, so page ten thousand
costs what page one costs. Deletions are persistent.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from app.access.door import public, requires
from app.access.scopes import Scope
from app.catalogue import queries
from app.clock import iso, now
from app.db import Database
from app.protocol import oaipmh, vocab
from app.protocol.errors import CursorGone
from app.protocol.formats import lom, native
from app.protocol.record import restore
from app.protocol.words import PLATFORM_CODE
from app.settings import Settings
from app.web import database, seal, settings, unseal

router = APIRouter(tags=["OAI-PMH"])
PAGE = 500
_DC = "http://www.openarchives.org/OAI/2.0/oai_dc"


class _Format(NamedTuple):
    """A metadata format of this repository (3.4); a schema without a host is served here."""

    schema: str
    namespace: str
    render: Callable[[bytes], str]


FORMATS = {
    "oai_dc": _Format(f"{_DC}.xsd", f"{_DC}/", lambda document: oaipmh.render_dc(restore(document))),
    "lom": _Format(lom.SCHEMA, lom.NAMESPACE, lambda document: lom.render_lom(restore(document))),
    "ix": _Format("/oai/ix.xsd", native.NAMESPACE, native.render_ix),
}


class _Refusal(Exception):
    """An OAI error code with its words."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class _Door(NamedTuple):
    """What a verb works with."""

    connection: Connection
    config: Settings


class _Window(NamedTuple):
    """A listing: after and until are positions, `sent` is how many were sent before."""

    prefix: str
    set: str
    after: int
    until: int
    sent: int


@router.get("/oai", summary="OAI-PMH 2.0", operation_id="oai_get", dependencies=[requires(Scope.CATALOGUE_READ)])
@router.post("/oai", summary="OAI-PMH 2.0", operation_id="oai_post", dependencies=[requires(Scope.CATALOGUE_READ)])
async def oai(request: Request) -> Response:
    """Errors are answers with status 200, as the protocol asks (3.6)."""
    raw = request.url.query.encode() if request.method == "GET" else await request.body()
    pairs = parse_qsl(raw[:100_000].decode("utf-8", "replace"), keep_blank_values=True)
    body = await run_in_threadpool(answer, database(request), settings(request), pairs)
    return Response(body, media_type="text/xml; charset=utf-8")


@router.get("/oai/ix.xsd", include_in_schema=False, dependencies=[public()])
async def schema() -> Response:
    """The XML Schema of the `ix` format."""
    return Response(native.SCHEMA, media_type="application/xml")


def answer(base: Database, config: Settings, pairs: list[tuple[str, str]]) -> bytes:
    """The whole answer to one request."""
    arguments = dict(pairs)
    url, date = f"{config.public_url.rstrip('/')}/oai", iso(now())
    try:
        if len(arguments) != len(pairs):
            raise _Refusal("badArgument", "an argument stands twice")
        verb = _checked(arguments)
        with base.read() as connection:
            body = f"<{arguments['verb']}>{verb(_Door(connection, config), arguments)}</{arguments['verb']}>"
    except _Refusal as refusal:
        shown = {} if refusal.code in ("badVerb", "badArgument") else arguments
        return oaipmh.envelope(date, url, shown, oaipmh.error(refusal.code, refusal.text))
    return oaipmh.envelope(date, url, arguments, body)


def _checked(arguments: Mapping[str, str]) -> Callable[[_Door, Mapping[str, str]], str]:
    if arguments.get("verb") not in VERBS:
        raise _Refusal("badVerb", "the verb is missing or is none of the six")
    verb, required, optional = VERBS[arguments["verb"]]
    given = set(arguments) - {"verb"}
    if "resumptionToken" in given and "resumptionToken" in optional:
        if given != {"resumptionToken"}:
            raise _Refusal("badArgument", "resumptionToken is an exclusive argument")
        return verb
    if missing := required - given:
        raise _Refusal("badArgument", f"missing: {', '.join(sorted(missing))}")
    if unknown := given - required - optional:
        raise _Refusal("badArgument", f"not an argument of this verb: {', '.join(sorted(unknown))[:200]}")
    return verb


def _identify(door: _Door, _: Mapping[str, str]) -> str:
    first = queries.earliest(door.connection)
    earliest = iso(first if first is not None else now())
    base_url = f"{door.config.public_url.rstrip('/')}/oai"
    about = oaipmh.Identity("YYYY-MM-DDThh:mm:ssZ", "persistent", door.config.platform_name, base_url, earliest)
    return oaipmh.identify(about, door.config.admin_email)


def _formats(door: _Door, arguments: Mapping[str, str]) -> str:
    if "identifier" in arguments:
        _record(door, arguments["identifier"])
    home = door.config.public_url.rstrip("/")
    return "".join(
        oaipmh.metadata_format(prefix, f"{home}{form.schema}" if form.schema[0] == "/" else form.schema, form.namespace)
        for prefix, form in FORMATS.items()
    )


def _sets(door: _Door, arguments: Mapping[str, str]) -> str:
    if "resumptionToken" in arguments:
        raise _Refusal("badResumptionToken", "the list of sets is sent whole")
    specs: dict[str, str] = {}
    for term in sorted(queries.tallies(door.connection)):
        kind, _, code = term.partition("=")
        if kind == "platform":
            specs[f"platform:{code}"] = code
            province = vocab.province_of(code[2:8])
            specs[f"region:{province}"] = vocab.label("region", province)
        elif kind == "subject" and code.isascii() and code.isalnum():
            specs[f"subject:{code}"] = vocab.label("subject", code)
    named = [
        ("platform", "平台 Platforms"),
        ("region", "省级行政区 Regions"),
        ("subject", "学科 Subjects"),
        *specs.items(),
    ]
    return "".join(oaipmh.set_named(spec, name) for spec, name in named)


def _get_record(door: _Door, arguments: Mapping[str, str]) -> str:
    _prefix(arguments["metadataPrefix"])
    row = _record(door, arguments["identifier"])
    return _rendered(row, arguments["metadataPrefix"], deleted=not row.live)


def _record(door: _Door, identifier: str) -> Any:
    row = queries.by_id(door.connection, identifier) if identifier.isprintable() else None
    if row is None:
        raise _Refusal("idDoesNotExist", "there is no record with this identifier")
    return row


def _prefix(prefix: str) -> None:
    if prefix not in FORMATS:
        raise _Refusal("cannotDisseminateFormat", f"the formats offered are {', '.join(FORMATS)}")


def _identifiers(door: _Door, arguments: Mapping[str, str]) -> str:
    return _list(door, arguments, whole=False)


def _records(door: _Door, arguments: Mapping[str, str]) -> str:
    return _list(door, arguments, whole=True)


def _list(door: _Door, arguments: Mapping[str, str], *, whole: bool) -> str:
    window = (
        _resumed(door, arguments["resumptionToken"]) if "resumptionToken" in arguments else _opened(door, arguments)
    )
    name, _, code = window.set.partition(":")
    rows = queries.listed(
        door.connection, after=window.after, until=window.until, limit=PAGE + 1, set_name=name, code=code
    )
    more, rows = len(rows) > PAGE, rows[:PAGE]
    if not rows:
        raise _Refusal("noRecordsMatch", "nothing in this window")
    form = window.prefix if whole else None
    parts = [_rendered(row, form, deleted=not row.live or bool(row.left)) for row in rows]
    token = ""
    if more:
        following = window._replace(after=rows[-1].seq, sent=window.sent + len(rows))
        token = seal(door.config.secret, "oai", queries.epoch(door.connection), *following)
    if more or window.sent:
        parts.append(oaipmh.resumption(token, cursor=window.sent))
    return "".join(parts)


def _opened(door: _Door, arguments: Mapping[str, str]) -> _Window:
    _prefix(arguments["metadataPrefix"])
    spec = arguments.get("set", "")
    if spec and not _known_set(spec):
        raise _Refusal("noRecordsMatch", "there is no such set")
    since, until = arguments.get("from"), arguments.get("until")
    if since and until and len(since) != len(until):
        raise _Refusal("badArgument", "from and until must have the same granularity")
    after = queries.position_before(door.connection, _moment(since, end=False)) if since else 0
    last = _moment(until, end=True) if until else None
    if since and last is not None and _moment(since, end=False) > last:
        raise _Refusal("badArgument", "from is later than until")
    top = queries.position_until(door.connection, last) if last is not None else queries.head(door.connection)
    return _Window(arguments["metadataPrefix"], spec, after, top, 0)


def _known_set(spec: str) -> bool:
    kind, _, code = spec.partition(":")
    if kind == "platform":
        return PLATFORM_CODE.match(code) is not None
    return kind in ("region", "subject") and code.isascii() and code.isalnum()


def _moment(text: str, *, end: bool) -> int:
    """Microseconds of a UTC datestamp; `end` means the last microsecond of that second or day."""
    form, span = ("%Y-%m-%d", 86_400) if len(text) == 10 else ("%Y-%m-%dT%H:%M:%SZ", 1)
    try:
        at = int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp())
    except (ValueError, OverflowError):
        raise _Refusal("badArgument", "a date has the form YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ") from None
    return (at + span) * 1_000_000 - 1 if end else at * 1_000_000


def _resumed(door: _Door, token: str) -> _Window:
    try:
        kind, epoch, prefix, spec, after, until, sent = unseal(door.config.secret, token)
    except (CursorGone, ValueError, TypeError):
        raise _Refusal("badResumptionToken", "this token was not given out by this repository") from None
    if kind != "oai" or epoch != queries.epoch(door.connection):
        raise _Refusal("badResumptionToken", "this token belongs to an earlier numbering; begin again")
    return _Window(prefix, spec, after, until, sent)


def _rendered(row: Any, form: str | None, *, deleted: bool) -> str:
    """A record in a format, or its header alone."""
    sets = [f"platform:{row.platform}", f"region:{row.province}"]
    if row.subject.isascii() and row.subject.isalnum():
        sets.append(f"subject:{row.subject}")
    head = oaipmh.header(row.id, iso(row.modified_at), sets, deleted=deleted)
    if form is None:
        return head
    return oaipmh.record(head, None if deleted else FORMATS[form].render(bytes(row.document)))


_DATES = {"from", "until", "set", "resumptionToken"}
VERBS: dict[str, tuple[Callable[[_Door, Mapping[str, str]], str], set[str], set[str]]] = {
    "Identify": (_identify, set(), set()),
    "ListMetadataFormats": (_formats, set(), {"identifier"}),
    "ListSets": (_sets, set(), {"resumptionToken"}),
    "GetRecord": (_get_record, {"identifier", "metadataPrefix"}, set()),
    "ListIdentifiers": (_identifiers, {"metadataPrefix"}, _DATES),
    "ListRecords": (_records, {"metadataPrefix"}, _DATES),
}
