"""REST of monitoring: incidents, alert routes, freshness objectives, why feeds wait."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.access.door import requires
from app.access.scopes import Scope
from app.monitor import alert_routes, alerts, doctor, incidents, objectives
from app.monitor.courier import Courier
from app.protocol.errors import BadRequest
from app.web import Config, Reading, Tx, database, json, seal, unseal

router = APIRouter(prefix="/api/v1", tags=["monitoring"])
_READS = requires(Scope.OPS_READ, whole=True)
_WRITES = requires(Scope.OPS_WRITE, whole=True)
Limit = Annotated[int, Query(ge=1, le=500)]
Reference = Annotated[int, Field(ge=1, le=2**31 - 1)]


class Acknowledgement(BaseModel):
    """Who has an incident in hand."""

    model_config = ConfigDict(extra="forbid")
    by: str = Field(min_length=1, max_length=100, examples=["王敏"])
    note: str = Field(default="", max_length=1000)


class NewRoute(BaseModel):
    """A route: `to` for mail, `url` for webhook, dingtalk and wecom; no rules are all rules; quiet hours of UTC+8."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=100)
    kind: str = Field(examples=["mail", "webhook", "dingtalk", "wecom"])
    to: list[str] = Field(default=[], max_length=alert_routes.RECIPIENTS)
    url: str = Field(default="", max_length=2000)
    key: str = Field(default="", max_length=200)
    rules: list[str] = Field(default=[], max_length=20)
    quiet: str = Field(default="", max_length=11, examples=["22:00-07:00"])


class Agreement(BaseModel):
    """What was agreed with a platform: `permille` of a thousand changes visible within `within_s` seconds."""

    model_config = ConfigDict(extra="forbid")
    within_s: int = Field(ge=1)
    permille: int = Field(default=950, ge=500, le=999)


def _courier(request: Request) -> Courier:
    found: Courier = request.app.state.courier
    return found


@router.get("/incidents", dependencies=[_READS])
def list_incidents(
    connection: Reading, config: Config, state: Literal["open", "resolved", "all"] = "open", cursor: str = "",
    limit: Limit = 100,
) -> Response:  # fmt: skip
    """Incidents, the latest first; one for each cause."""
    found = incidents.incidents(connection, state, limit + 1, _before(config.secret, cursor))
    more = seal(config.secret, "incidents", found[limit - 1]["id"]) if len(found) > limit else None
    return json({"items": found[:limit], "next": more})


def _before(secret: bytes, cursor: str) -> int | None:
    if not cursor:
        return None
    parts = unseal(secret, cursor)
    if len(parts) != 2 or parts[0] != "incidents":
        raise BadRequest("this is not a cursor of incidents")
    return int(parts[1])


@router.get("/incidents/{incident_id}", dependencies=[_READS])
def show_incident(connection: Reading, incident_id: Reference) -> Response:
    """One incident with its feeds, at most a hundred named."""
    return json(incidents.by_id(connection, incident_id))


@router.post("/incidents/{incident_id}/ack", dependencies=[_WRITES])
def acknowledge(connection: Tx, incident_id: Reference, body: Acknowledgement) -> Response:
    """Somebody has it in hand: what is not told yet is told no more."""
    return json(incidents.acknowledge(connection, incident_id, body.by, body.note))


@router.get("/alert-routes", dependencies=[_READS])
def list_routes(connection: Reading) -> Response:
    """Who is told; never with secrets."""
    return json({"items": alert_routes.routes(connection), "next": None})


@router.post("/alert-routes", status_code=201, dependencies=[_WRITES])
def add_route(request: Request, connection: Tx, body: NewRoute) -> Response:
    """A new route; the key of a webhook that the hub made is shown here and never again."""
    return json(alert_routes.add(connection, request.app.state.gate.ring, **body.model_dump()), 201)


@router.post("/alert-routes/{route_id}/test", dependencies=[_WRITES])
def test_route(request: Request, courier: Annotated[Courier, Depends(_courier)], route_id: Reference) -> Response:
    """Sends a message that says it is a test."""
    return json(alerts.test(database(request), courier, route_id))


@router.post("/alert-routes/{route_id}/{state}", dependencies=[_WRITES])
def move_route(connection: Tx, route_id: Reference, state: Literal["pause", "resume"]) -> Response:
    """`pause` or `resume`."""
    return json(alert_routes.move(connection, route_id, "paused" if state == "pause" else "active"))


@router.delete("/alert-routes/{route_id}", status_code=204, dependencies=[_WRITES])
def remove_route(connection: Tx, route_id: Reference) -> Response:
    """Forgets a route and its secret."""
    alert_routes.remove(connection, route_id)
    return Response(status_code=204)


@router.get("/feeds/{feed_id}/objective", dependencies=[_READS])
def show_objective(connection: Reading, feed_id: Reference) -> Response:
    """A feed's freshness of 30 days: share in time, error budget, blame."""
    return json(objectives.of_feed(connection, feed_id).plain())


@router.put("/feeds/{feed_id}/objective", dependencies=[_WRITES])
def agree(connection: Tx, feed_id: Reference, body: Agreement) -> Response:
    """Sets what was agreed with the platform."""
    return json(objectives.agree(connection, feed_id, body.within_s, body.permille).plain())


@router.delete("/feeds/{feed_id}/objective", dependencies=[_WRITES])
def go_back(connection: Tx, feed_id: Reference) -> Response:
    """Back to the default: 95 % within two periods."""
    return json(objectives.default(connection, feed_id).plain())


@router.get("/waits", dependencies=[_READS])
def list_waits(connection: Reading) -> Response:
    """Why each feed waits, and until when."""
    return json({"items": [wait._asdict() for wait in doctor.waits(connection)], "next": None})
