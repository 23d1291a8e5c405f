"""REST of admission under /api/v1/admission: policies, the queue, claims, verdicts, undo.

Whoever decides is whoever has signed in: no body names a person.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from app.access.door import requires
from app.access.principal import acting
from app.access.scopes import Scope
from app.admission import decide as verdicts
from app.admission import policy, queue
from app.admission.decide import Decision, Item
from app.admission.policy import MATTER, Policy
from app.admission.queue import Sought
from app.admission.undo import undo
from app.protocol.errors import BadRequest
from app.web import Config, Reading, Tx, json, seal, unseal

router = APIRouter(prefix="/api/v1/admission", tags=["Admission"])
_DECIDES = requires(Scope.ADMISSION_DECIDE)
Id = Annotated[str, Field(min_length=1, max_length=600)]


class NewPolicy(BaseModel):
    """What it takes for records of a platform and kind to be shown; `*` stands for all."""

    model_config = ConfigDict(extra="forbid")
    platform: str = Field(default="*", pattern=r"^(\*|[NPCDSE]-\d{6}-\d{2})$")
    kind: str = Field(default="*", min_length=1, max_length=200, examples=["lesson_video"])
    mode: str = Field(default="automatic", examples=["automatic", "sample", "every"])
    percent: int = Field(default=100, ge=1, le=100)
    people: int = Field(default=1, ge=1, le=2)
    hold: tuple[str, ...] = Field(default=(), examples=[["personal", "missing:rights"]])
    fields: tuple[str, ...] = MATTER
    visibility: str = Field(default="nation", examples=["school"])
    audits: tuple[str, ...] = ("content",)


class Judged(BaseModel):
    """A record; `hash` of the content that was looked at guards against one that came since."""

    model_config = ConfigDict(extra="forbid")
    id: Id
    hash: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")


class NewDecision(BaseModel):
    """One decision on up to 500 records; codes of /api/v1/vocab/reason and /api/v1/vocab/audit."""

    model_config = ConfigDict(extra="forbid")
    decision: str = Field(pattern="^(admit|reject|withdraw)$")
    items: list[Judged] = Field(min_length=1, max_length=verdicts.BATCH)
    reasons: tuple[str, ...] = ()
    text: str = Field(default="", max_length=2000)
    visibility: str | None = None
    audits: tuple[str, ...] | None = None
    institution: str = Field(default="", max_length=200)


class Claim(BaseModel):
    """Who takes how many records to read."""

    model_config = ConfigDict(extra="forbid")
    number: int = Field(default=20, ge=1, le=verdicts.BATCH)
    platform: str = ""
    feed: int | None = None


@router.get("/policies", dependencies=[requires(Scope.OPS_READ)])
def list_policies(connection: Reading) -> Response:
    """The policies that bear on your platforms; what none of them is about is admitted by rules."""
    return json({"items": [found.told() for found in policy.shown(connection)], "next": None})


@router.put("/policies", dependencies=[requires(Scope.OPS_WRITE)])
def set_policy(connection: Tx, body: NewPolicy) -> Response:
    """Sets the policy of a platform and kind, for what comes from now on."""
    policy.choose(connection, Policy(**body.model_dump()))
    return json(body.model_dump())


@router.delete("/policies", dependencies=[requires(Scope.OPS_WRITE)])
def drop_policy(connection: Tx, platform: str = "*", kind: str = "*") -> Response:
    """Takes a policy back; the next wider one counts."""
    policy.drop(connection, platform, kind)
    return json({"platform": platform, "kind": kind})


@router.get("/queue", dependencies=[_DECIDES])
def show_queue(
    connection: Reading, config: Config, state: Annotated[str, Query(pattern="^(waiting|narrow|rejected|withdrawn|ramp)$")] = "waiting",
    platform: str = "", feed: int | None = None, rule: Annotated[str, Query(max_length=100)] = "", cursor: str = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:  # fmt: skip
    """What is kept back, the longest-waiting first, with causes and content; `counts` by state."""
    after = _after(config.secret, cursor)
    found = queue.waiting(connection, Sought(state, platform, feed, rule), after=after, limit=limit + 1)
    return json({**_page(config.secret, found, limit), "counts": queue.counts(connection)})


@router.post("/claims", dependencies=[_DECIDES])
def claim(connection: Tx, body: Claim) -> Response:
    """Takes records to read; nobody else is given them for a quarter of an hour."""
    return json({"items": queue.claim(connection, acting(connection).name, **body.model_dump()), "next": None})


@router.delete("/claims", dependencies=[_DECIDES])
def release(connection: Tx) -> Response:
    """Gives one's claims back."""
    return json({"released": queue.release(connection, acting(connection).name)})


@router.post("/decisions", dependencies=[_DECIDES])
def decide(connection: Tx, config: Config, body: NewDecision) -> Response:
    """Admits, rejects or withdraws; each record has its result, and the batch can be undone for a minute."""
    items = [Item(item.id, item.hash) for item in body.items]
    wanted = Decision(**{**body.model_dump(), "items": items, "by": acting(connection).name})
    return json(verdicts.decide(connection, wanted, config.platform_code))


@router.post("/decisions/{batch}/undo", dependencies=[_DECIDES])
def take_back(connection: Tx, config: Config, batch: str) -> Response:
    """Takes one's own batch back within a minute."""
    return json(undo(connection, batch, acting(connection).name, config.platform_code))


@router.get("/verdicts", dependencies=[_DECIDES])
def list_verdicts(
    connection: Reading, config: Config, record: str = "", cursor: str = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:  # fmt: skip
    """What was decided, the latest first; of one record, or of all."""
    before = _after(config.secret, cursor)[0] or None
    found = queue.verdicts(connection, record, before, limit + 1)
    more = seal(config.secret, "admission", found[limit - 1]["id"], "") if len(found) > limit else None
    return json({"items": found[:limit], "next": more})


def _after(secret: bytes, cursor: str) -> tuple[int, str]:
    if not cursor:
        return 0, ""
    kind, *place = unseal(secret, cursor)
    if kind != "admission" or len(place) != 2:
        raise BadRequest("this is not a cursor of this list")
    return int(place[0]), str(place[1])


def _page(secret: bytes, found: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    items = found[:limit]
    more = seal(secret, "admission", items[-1]["came_at"], items[-1]["id"]) if len(found) > limit else None
    return {"items": items, "next": more}
