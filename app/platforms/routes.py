"""Enrolment over HTTP: the applicant's side with the enrolment key, the hub's side with `ops:write`."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from app.access.door import public, requires
from app.access.scopes import Scope
from app.platforms import applications, checking, credentials, documents, moves, notices, proof, queries, terms
from app.platforms.schemas import Application, Approval, Proof, Refusal, Stop, Submission
from app.platforms.stages import Stage
from app.protocol.errors import NotFound, TooLarge
from app.settings import Settings
from app.web import Config, Reading, Tx, database, json, seal, unseal

router = APIRouter(prefix="/api/v1/enrolments", tags=["enrolment"])
Limit = Annotated[int, Query(ge=1, le=500)]
_BODY = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}  # fmt: skip


@router.post("", status_code=201, dependencies=[public()])
def apply(connection: Tx, config: Config, body: Application) -> Response:
    """Registers an applicant: its identifier, its enrolment key (shown once) and what proves the domain."""
    made = applications.apply(connection, body, config)
    return json({**made._asdict(), "stage": Stage.APPLIED, "prove": proof.places(checking.domain_of(body))}, 201)


@router.get("/terms", dependencies=[public()])
def show_terms(config: Config) -> Response:
    """What an applicant's form needs to know: whether one may apply, the agreement, kinds, limits, two people."""
    return json(terms.terms(config))


@router.post("/check", dependencies=[public()])
def check(config: Config, body: Application) -> Response:
    """What is wrong with an application, field by field; nothing is kept, and nothing is said of others."""
    return json({"wrong": [one._asdict() for one in checking.wrongs(body, config.enrol_agreement)]})


@router.get("/mine", dependencies=[requires(Scope.ENROL)])
def list_mine(connection: Reading) -> Response:
    """One's own enrolments: for who holds a key and not the identifier."""
    return json({"items": queries.enrolments(connection, limit=500), "next": None})


@router.get("", dependencies=[requires(Scope.OPS_READ)])
def list_enrolments(
    connection: Reading, config: Config, stage: Stage | None = None, cursor: str = "", limit: Limit = 100
) -> Response:
    """Enrolments, by identifier; `stage=review` is the reviewers' queue."""
    after = str(unseal(config.secret, cursor)[1]) if cursor else ""
    found = queries.enrolments(connection, stage or "", after, limit + 1)
    following = seal(config.secret, "enrolments", found[limit - 1]["id"]) if len(found) > limit else None
    return json({"items": found[:limit], "next": following})


@router.get("/{reference}", dependencies=[requires(Scope.ENROL)])
def show_mine(connection: Reading, reference: str) -> Response:
    """One's own enrolment by identifier or code: where it stands, what is next, documents, the whole history."""
    return json(queries.shown(connection, reference))


@router.put("/{reference}", dependencies=[requires(Scope.ENROL)])
def amend(connection: Tx, config: Config, reference: str, body: Application) -> Response:
    """Puts a draft right before it is submitted, or after a refusal; another domain must be proved anew."""
    applications.amend(connection, reference, body, config)
    return json(queries.shown(connection, reference))


@router.get("/{reference}/notices", dependencies=[requires(Scope.ENROL)])
def notices_to_me(connection: Reading, reference: str) -> Response:
    """Notices to one's platform, the latest first; with the enrolment key while suspended too."""
    return json({"items": notices.to_enrolment(connection, reference), "next": None})


@router.get("/{reference}/file", dependencies=[requires(Scope.OPS_WRITE)])
def show_file(connection: Reading, reference: str) -> Response:
    """The same for those who decide."""
    return json(queries.shown(connection, reference))


@router.post("/{reference}/proof", dependencies=[requires(Scope.ENROL)])
def prove(request: Request, reference: str, body: Proof) -> Response:
    """Looks for the challenge at the domain, in a file or in a TXT record."""
    state = request.app.state
    return json(proof.prove(database(request), reference, body.by, state.engine.fetcher, state.texts, state.attempts))


@router.post("/{reference}/documents", status_code=201, dependencies=[requires(Scope.ENROL)], openapi_extra=_BODY)
async def attach(
    request: Request, config: Config, reference: str, kind: str = "other",
    name: Annotated[str, Query(max_length=255)] = "document",
) -> Response:  # fmt: skip
    """Keeps the body as a document of this enrolment (`curl --data-binary @FILE`)."""
    content = await _bounded(request)
    return json(await run_in_threadpool(_kept, request, config, reference, kind, name, content), 201)


async def _bounded(request: Request) -> bytes:
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > documents.BYTES:
            raise TooLarge(f"a document has {documents.BYTES >> 20} MiB at most")
    return bytes(content)


def _kept(request: Request, config: Any, reference: str, kind: str, name: str, content: bytes) -> dict[str, Any]:
    with database(request).write() as connection:
        return documents.keep(connection, config.documents, reference, kind, name, content)


@router.get("/{reference}/documents/{sha256}", dependencies=[requires(Scope.ENROL)])
def my_document(connection: Reading, config: Config, reference: str, sha256: str) -> Response:
    """The bytes of a document of one's own."""
    return _bytes(*documents.content(connection, config.documents, reference, sha256))


@router.get("/{reference}/file/{sha256}", dependencies=[requires(Scope.OPS_WRITE)])
def document(connection: Reading, config: Config, reference: str, sha256: str) -> Response:
    """The same for those who decide."""
    return _bytes(*documents.content(connection, config.documents, reference, sha256))


def _bytes(name: str, content: bytes) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{documents.plain(name)}"'}
    return Response(content, media_type="application/octet-stream", headers=headers)


@router.post("/{reference}/submit", dependencies=[requires(Scope.ENROL)])
def submit(connection: Tx, config: Config, reference: str, body: Submission) -> Response:
    """To the reviewers, for the first time or again; with a corrected `application` where one is needed."""
    return json({"stage": applications.submit(connection, reference, body, config)})


@router.post("/{reference}/withdraw", dependencies=[requires(Scope.ENROL)])
def withdraw(request: Request, connection: Tx, reference: str, body: Refusal) -> Response:
    """Ends one's own application."""
    return json({"stage": applications.withdraw(connection, reference, body.reason)})


@router.post("/{reference}/credential", status_code=201, dependencies=[requires(Scope.ENROL)])
def credential(connection: Tx, reference: str) -> Response:
    """A key as the stage allows, shown this once: test (domain proved), sandbox (review passed), main (from the trial)."""
    return json(credentials.credential(connection, reference), 201)


@router.post("/{reference}/approve", dependencies=[requires(Scope.OPS_WRITE)])
def approve(request: Request, connection: Tx, config: Config, reference: str, body: Approval) -> Response:
    """One stage on; where two people are asked for, the first one's word is kept. Online rests on how the trial went."""
    moves.approve(connection, reference, config, request.app.state.trial, body.reason, body.rests_on, body.waive)
    return _standing(connection, reference)


@router.post("/{reference}/refuse", dependencies=[requires(Scope.OPS_WRITE)])
def refuse(connection: Tx, reference: str, body: Refusal) -> Response:
    """Back to the applicant, with a reason."""
    moves.refuse(connection, reference, body.reason, body.rests_on)
    return _standing(connection, reference)


@router.post("/{reference}/{act}", dependencies=[requires(Scope.OPS_WRITE)])
def stop(request: Request, connection: Tx, config: Config, reference: str, act: str, body: Stop) -> Response:
    """`suspend` (at once, or in `days`), `resume`, `retire` (announced), `keep` (takes an announcement back)."""
    if act not in _ACTS:
        raise NotFound("an enrolment can be approved, refused, and suspend, resume, retire, keep")
    _ACTS[act](connection, reference, config, body)
    request.app.state.gate.forget()
    return _standing(connection, reference)


_ACTS: dict[str, Callable[[Connection, str, Settings, Stop], Stage]] = {
    "suspend": lambda connection, reference, _, body: moves.suspend(connection, reference, body.reason, body.days),
    "resume": lambda connection, reference, _, body: moves.resume(connection, reference, body.reason),
    "retire": lambda connection, reference, config, body: moves.retire(
        connection, reference, config, body.reason, body.days
    ),
    "keep": lambda connection, reference, _, body: moves.keep(connection, reference, body.reason),
}


def _standing(connection: Connection, reference: str) -> Response:
    row = queries.enrolment_of(connection, reference)
    last = queries.steps(connection, row.id)[-1]
    shown = {"id": row.id, "code": row.code, "stage": row.stage, "verdict": last["verdict"], "due_at": row.due_at}
    return json(shown)
