"""What members have to do with others over HTTP: lines, choices of regions, gradings, notices."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.access.door import requires
from app.access.scopes import Scope
from app.platforms import choices, gradings, lines, notices
from app.platforms.schemas import Acknowledgement, Agreement, Choice, Grading, Notice
from app.web import Config, Reading, Tx, json, seal, unseal

router = APIRouter(prefix="/api/v1", tags=["enrolment"])
Limit = Annotated[int, Query(ge=1, le=500)]


@router.get("/platforms/{code}/line", dependencies=[requires(Scope.OPS_READ)])
def show_line(connection: Reading, config: Config, code: str) -> Response:
    """Whom a platform reports to, and why."""
    return json(lines.line(connection, code, config.platform_code))


@router.post("/platforms/{code}/line", dependencies=[requires(Scope.OPS_WRITE)])
def agree(connection: Tx, config: Config, code: str, body: Agreement) -> Response:
    """Whom it reports to by agreement instead of by region code."""
    lines.agree(connection, code, body.parent, body.reason)
    return json(lines.line(connection, code, config.platform_code))


@router.get("/choices", dependencies=[requires(Scope.OPS_READ)])
def list_choices(connection: Reading, region: Annotated[str, Query(pattern=r"^\d{6}$")]) -> Response:
    """The vendors that hold in a region: its own choices and those it inherits."""
    return json({"items": choices.chosen(connection, region), "next": None})


@router.post("/choices", dependencies=[requires(Scope.OPS_WRITE)])
def choose(connection: Tx, body: Choice) -> Response:
    """A region chooses a vendor, narrows what it inherits, or says no."""
    said = body.model_dump()
    return json(choices.choose(connection, said.pop("platform"), **said))


@router.get("/gradings", dependencies=[requires(Scope.OPS_READ)])
def list_gradings(connection: Reading) -> Response:
    """The gradings in force, those that end first at the beginning."""
    return json({"items": gradings.gradings(connection), "next": None})


@router.post("/platforms/{code}/grading", status_code=201, dependencies=[requires(Scope.ENROL)])
def file_grading(connection: Tx, code: str, body: Grading) -> Response:
    """Files a platform's 等级保护: level, number, last day."""
    return json({"id": gradings.file(connection, code, **body.model_dump())}, 201)


@router.get("/notices", dependencies=[requires(Scope.OPS_READ)])
def list_notices(connection: Reading, config: Config, cursor: str = "", limit: Limit = 100) -> Response:
    """Notices, the latest first, with how many have acknowledged and how many are late."""
    before = int(unseal(config.secret, cursor)[1]) if cursor else None
    found = notices.notices(connection, before, limit + 1)
    following = seal(config.secret, "notices", found[limit - 1]["id"]) if len(found) > limit else None
    return json({"items": found[:limit], "next": following})


@router.get("/notices/{notice_id}", dependencies=[requires(Scope.OPS_READ)])
def show_notice(connection: Reading, notice_id: int) -> Response:
    """One notice, and who has acknowledged it with what answer."""
    return json(notices.by_id(connection, notice_id))


@router.post("/notices", status_code=201, dependencies=[requires(Scope.OPS_WRITE)])
def send_notice(connection: Tx, body: Notice) -> Response:
    """Sends a notice to chosen platforms."""
    return json(notices.send_to(connection, **body.model_dump()), 201)


@router.post("/notices/{notice_id}/acknowledge", dependencies=[requires(Scope.ENROL)])
def acknowledge(connection: Tx, notice_id: int, body: Acknowledgement) -> Response:
    """A platform's acknowledgement."""
    notices.acknowledge(connection, notice_id, body.platform, body.answer)
    return json({"id": notice_id, "platform": body.platform})
