"""REST of a feed's ramp: how it stands, and the steps that people take."""

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from app.access.door import requires
from app.access.scopes import Scope
from app.admission import entering, ramp
from app.web import Config, Reading, Tx, json

router = APIRouter(prefix="/api/v1/feeds", tags=["Admission"])


class Wish(BaseModel):
    """What to do with the ramp; all but `raise` need a reason, and `begin` is the operator's."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    act: str = Field(pattern=f"^({'|'.join(entering.VERBS)})$", examples=["raise"])
    reason: str = Field(default="", max_length=2000)


@router.get("/{feed_id}/ramp", dependencies=[requires(Scope.OPS_READ)])
def show_ramp(connection: Reading, feed_id: int) -> Response:
    """The step, what waits beyond it and what each step would let in; `ramp` is null for a feed that never was on one."""
    return json({"feed": feed_id, "ramp": ramp.found(connection, feed_id)})


@router.post("/{feed_id}/ramp", dependencies=[requires(Scope.FEEDS_MANAGE)])
def move_ramp(connection: Tx, config: Config, feed_id: int, body: Wish) -> Response:
    """`raise`, `lower`, `stop`, `resume`, or `begin`; what a higher step lets in enters when a worker is free."""
    terms = ramp.Terms(*config.ramp_terms)
    return json({"feed": feed_id, "ramp": entering.take(connection, feed_id, body.act, body.reason, terms)})
