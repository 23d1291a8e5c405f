"""Signing in, people, keys, tokens, the audit chain over HTTP."""

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from app.access import audit, keys, links, oauth, people, second_factor, sessions, tokens
from app.access.audit import Act
from app.access.door import COOKIE, drop_cookie, principal_of, public, requires, same_origin, set_cookie, signed_in
from app.access.scopes import Scope
from app.protocol.errors import NotFound
from app.web import Config, Reading, Tx, database, json, seal, unseal

router = APIRouter(tags=["access"])
Limit = Annotated[int, Query(ge=1, le=500)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Credentials(_Body):
    """What a person signs in with; `code` from the authenticator or a recovery code."""

    name: str = Field(max_length=64)
    password: str = Field(max_length=256)
    code: str = Field(default="", max_length=64)


class FirstPerson(_Body):
    """The first administrator: `code` is the key that `hutong init` printed."""

    code: str = Field(max_length=256)
    name: str = Field(max_length=64)
    password: str = Field(max_length=256)


class NewPassword(_Body):
    """A change of one's own password."""

    old: str = Field(max_length=256)
    new: str = Field(max_length=256)


class Code(_Body):
    """A code of the authenticator."""

    code: str = Field(max_length=64)


class Subject(_Body):
    """`sub` of a person at the identity provider."""

    subject: str = Field(min_length=1, max_length=255)


class Place(_Body):
    """Roles and rows of a person."""

    roles: list[str] = Field(min_length=1, max_length=7)
    platforms: list[str] = Field(default=[], max_length=100)
    regions: list[str] = Field(default=[], max_length=100)


class NewPerson(Place):
    """A person to add; the password is changed at the first sign-in."""

    name: str = Field(max_length=64)
    password: str = Field(max_length=256)


class NewKey(_Body):
    """A key to issue; without `scopes` it carries all that a platform's key may."""

    platform: str = Field(pattern=r"^[NPCDSE]-\d{6}-\d{2}$")
    label: str = Field(default="main", pattern=r"^[a-z0-9-]{1,64}$")
    scopes: list[str] = Field(default=[], max_length=8)
    days: int | None = Field(default=None, ge=1, le=3650)


class Rotation(_Body):
    """How long the former key goes on, at most 30 days."""

    overlap_s: int = Field(default=7 * 86_400, ge=0, le=keys.OVERLAP_S)


class Reason(_Body):
    """Why, for the audit chain."""

    reason: str = Field(min_length=1, max_length=1000)


@router.post("/oauth/token", dependencies=[public()], summary="OAuth 2.0 client credentials (RFC 6749 4.4)")
async def token(request: Request) -> Response:
    """`client_id` is the platform's code, `client_secret` a key of it, in the form or as HTTP Basic."""
    form = dict(parse_qsl((await request.body())[:10_000].decode("utf-8", "replace")))
    status, body = await run_in_threadpool(oauth.answer, request, form)
    answer = json(body, status)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@router.get("/.well-known/jwks.json", dependencies=[public()], summary="The keys that tokens are checked with")
def jwks(request: Request) -> Response:
    """Today's key and those before it (RFC 7517)."""
    return json(tokens.jwks(request.app.state.gate.ring))


@router.post("/api/v1/people/first", status_code=201, dependencies=[public()])
def first_person(request: Request, body: FirstPerson) -> Response:
    """Makes the first administrator by the one-time code; afterwards it answers nobody."""
    same_origin(request)
    people.first(database(request), request.app.state.gate.tally, body.code, body.name, body.password)
    return json({"name": body.name}, 201)


@router.post("/api/v1/login", dependencies=[public()])
def login(request: Request, config: Config, body: Credentials) -> Response:
    """A session cookie, and the token that writing requests must carry."""
    same_origin(request)
    gate = request.app.state.gate
    begun = sessions.sign_in(database(request), gate.ring, config, gate.tally, **body.model_dump())
    answer = json({"name": begun.name, "csrf": begun.csrf, "must": begun.must})
    set_cookie(answer, begun)
    return answer


@router.post("/api/v1/logout", dependencies=[signed_in()])
def logout(request: Request, connection: Tx) -> Response:
    """Ends the session."""
    sessions.end(connection, principal_of(request).session)
    request.app.state.gate.forget()
    answer = json({"ended": True})
    drop_cookie(answer)
    return answer


@router.get("/api/v1/me", dependencies=[signed_in()])
def me(request: Request, connection: Reading) -> Response:
    """One's own account, and the token for writing requests."""
    row = people.by_name(connection, _my_name(request))
    cookie = request.cookies.get(COOKIE, "")
    return json({
        "name": row.name, "roles": row.roles.split(), "platforms": row.platforms.split(),
        "regions": row.regions.split(), "scopes": sorted(principal_of(request).scopes),
        "second_factor": bool(row.totp_on), "csrf": sessions.csrf(request.app.state.gate.ring, cookie),
    })  # fmt: skip


def _my_name(request: Request) -> str:
    return principal_of(request).name.removeprefix("person:")


@router.post("/api/v1/me/password", dependencies=[signed_in()])
def change_password(request: Request, body: NewPassword) -> Response:
    """Changes one's own password; every session ends, this one too."""
    sessions.change_password(database(request), _my_name(request), body.old, body.new)
    request.app.state.gate.forget()
    return json({"name": _my_name(request)})


@router.post("/api/v1/me/second-factor", dependencies=[signed_in()])
def begin_second_factor(request: Request, connection: Tx) -> Response:
    """A secret for the authenticator; in force after a first right code."""
    return json(second_factor.begin(connection, request.app.state.gate.ring, _my_name(request)))


@router.post("/api/v1/me/second-factor/confirm", dependencies=[signed_in()])
def confirm_second_factor(request: Request, connection: Tx, body: Code) -> Response:
    """Ten recovery codes, shown once."""
    codes = second_factor.confirm(connection, request.app.state.gate.ring, _my_name(request), body.code)
    request.app.state.gate.forget()
    return json({"recovery_codes": codes})


@router.get("/api/v1/people", dependencies=[requires(Scope.PEOPLE_MANAGE)])
def list_people(connection: Reading) -> Response:
    """All people with roles and rows."""
    return json({"items": people.people(connection), "next": None})


@router.post("/api/v1/people", status_code=201, dependencies=[requires(Scope.PEOPLE_MANAGE)])
def add_person(connection: Tx, body: NewPerson) -> Response:
    """Adds a person."""
    people.add(connection, **body.model_dump())
    return json({"name": body.name}, 201)


@router.post("/api/v1/people/{name}/roles", dependencies=[requires(Scope.PEOPLE_MANAGE)])
def place_person(request: Request, connection: Tx, name: str, body: Place) -> Response:
    """Roles and rows instead of the former."""
    people.move(connection, name, **body.model_dump())
    request.app.state.gate.forget()
    return json({"name": name, **body.model_dump()})


@router.get("/api/v1/people/{name}/links", dependencies=[requires(Scope.PEOPLE_MANAGE)])
def list_links(connection: Reading, name: str) -> Response:
    """The subjects of identity providers that stand for a person."""
    return json({"items": links.links(connection, name), "next": None})


@router.post("/api/v1/people/{name}/links", status_code=201, dependencies=[requires(Scope.PEOPLE_MANAGE)])
def link_person(connection: Tx, config: Config, name: str, body: Subject) -> Response:
    """From now on this subject of HUTONG_OIDC_ISSUER signs in as this person."""
    links.link(connection, name, config.oidc_issuer, body.subject)
    return json({"name": name, "issuer": config.oidc_issuer, "subject": body.subject}, 201)


@router.delete("/api/v1/people/{name}/links", dependencies=[requires(Scope.PEOPLE_MANAGE)])
def unlink_person(connection: Tx, name: str) -> Response:
    """Takes a person's links back."""
    links.unlink(connection, name)
    return json({"name": name, "done": "unlink"})


@router.post("/api/v1/people/{name}/{state}", dependencies=[requires(Scope.PEOPLE_MANAGE)])
def turn_person(request: Request, connection: Tx, name: str, state: str) -> Response:
    """`disable`, `enable` (also lifts a lock), or `forget-second-factor`."""
    if state == "forget-second-factor":
        people.forget_second_factor(connection, name)
    elif state in ("enable", "disable"):
        people.turn(connection, name, "active" if state == "enable" else "disabled")
    else:
        raise NotFound("a person can be disabled (disable), enabled (enable), or lose the second factor")
    request.app.state.gate.forget()
    return json({"name": name, "done": state})


@router.get("/api/v1/keys", dependencies=[requires(Scope.KEYS_MANAGE)])
def list_keys(connection: Reading, platform: str | None = None) -> Response:
    """Keys with state, last use and days left; never the keys themselves."""
    return json({"items": keys.keys(connection, platform), "next": None})


@router.post("/api/v1/keys", status_code=201, dependencies=[requires(Scope.KEYS_MANAGE)])
def issue_key(connection: Tx, body: NewKey) -> Response:
    """A key, shown this once."""
    made = keys.issue_mine(connection, body.platform, label=body.label, scopes=" ".join(body.scopes), days=body.days)
    return json(made._asdict(), 201)


@router.post("/api/v1/keys/{prefix}/rotate", status_code=201, dependencies=[requires(Scope.KEYS_MANAGE)])
def rotate_key(connection: Tx, prefix: str, body: Rotation) -> Response:
    """A second key, shown this once; the first ends after the overlap."""
    return json(keys.rotate(connection, prefix, body.overlap_s)._asdict(), 201)


@router.post("/api/v1/keys/{prefix}/revoke", dependencies=[requires(Scope.KEYS_MANAGE)])
def revoke_key(request: Request, connection: Tx, prefix: str, body: Reason) -> Response:
    """Ends a key and its tokens at once."""
    keys.revoke(connection, prefix, body.reason)
    request.app.state.gate.forget()
    return json({"prefix": prefix, "state": "revoked"})


@router.get("/api/v1/audit", dependencies=[requires(Scope.AUDIT_READ)])
def search_audit(
    connection: Reading, config: Config, actor: str = "", object: str = "", act: Act | None = None,
    since: int = 0, until: int | None = None, cursor: str = "", limit: Limit = 100,
) -> Response:  # fmt: skip
    """The audit chain, the latest first; times in microseconds."""
    before = int(unseal(config.secret, cursor)[1]) if cursor else None
    found = audit.search(
        connection, actor=actor, object=object, act=act or "", since=since, until=until, before=before, limit=limit + 1
    )
    following = seal(config.secret, "audit", found[limit - 1]["seq"]) if len(found) > limit else None
    return json({"items": found[:limit], "next": following})
