"""Who is told of incidents: routes with their rules and quiet hours. Addresses and keys go into the vault
(app/access/secrets.py) and come out for the one who delivers alone.
"""

import base64
from collections.abc import Mapping, Sequence
from email.headerregistry import Address
from email.utils import parseaddr
from secrets import token_bytes
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from sqlalchemy import Connection, delete, select, update

from app.access import secrets
from app.access.audit import Act, note
from app.access.keyring import Keyring
from app.db import now
from app.harvest.guard import parse_url
from app.monitor.causes import Rule
from app.monitor.courier import KINDS
from app.monitor.notices import checked_quiet
from app.monitor.tables import alert_route, notice
from app.protocol.errors import AddressForbidden, BadRequest, Conflict, NotFound
from app.statements import plain

RECIPIENTS: Final = 20
ROUTES: Final = 100
STATES: Final = ("active", "paused")
_SEALED: Final = "route"


def add(
    connection: Connection,
    ring: Keyring,
    *,
    name: str,
    kind: str,
    to: Sequence[str] = (),
    url: str = "",
    key: str = "",
    rules: Sequence[str] = (),
    quiet: str = "",
) -> dict[str, Any]:
    """A new route. A webhook without a key gets one, which is shown in this answer (`key`) and never again.

    Raises BadRequest that names what is wrong, Conflict where the name is taken.
    """
    if kind not in KINDS:
        raise BadRequest(f"there is no kind {kind!r} of route; there are {', '.join(KINDS)}")
    for rule in rules:
        if rule not in set(Rule):
            raise BadRequest(f"there is no rule {rule!r}; there are {', '.join(Rule)}")
    _room(connection, name)
    secret = {"to": recipients(to)} if kind == "mail" else _address(kind, url, key)
    row = {
        "name": name, "kind": kind, "target": _target(secret),
        "rules": orjson.dumps(list(rules)).decode(), "quiet": checked_quiet(quiet), "state": "active",
        "created_at": now(connection),
    }  # fmt: skip
    number = connection.execute(alert_route.insert().returning(alert_route.c.id), row).scalar_one()
    secrets.keep(connection, ring, owner(number), {_SEALED: orjson.dumps(secret).decode()})
    note(connection, Act.ALERT_ROUTE, owner(number), state="active", name=name, kind=kind, target=row["target"])
    made = {"key": secret["key"]} if kind == "webhook" and not key else {}
    return {**by_id(connection, number), **made}


def owner(route_id: int) -> str:
    """The name of a route in the vault and in the audit chain."""
    return f"alert-route:{route_id}"


def _room(connection: Connection, name: str) -> None:
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise BadRequest("the name of a route has 1 to 100 printable characters")
    names = list(connection.execute(select(alert_route.c.name)).scalars())
    if name in names:
        raise Conflict(f"there is a route {name!r} already")
    if len(names) >= ROUTES:
        raise Conflict(f"there are {ROUTES} routes already: remove one")


def recipients(to: Sequence[str]) -> list[str]:
    """Addresses as they are stored. Raises BadRequest for none, for too many, for what is no mail address."""
    if not 1 <= len(to) <= RECIPIENTS:
        raise BadRequest(f"a mail route has 1 to {RECIPIENTS} recipients (`to`)")
    for text in to:
        try:
            good = parseaddr(text)[1] == text and bool(Address(addr_spec=text).domain) and text.isascii()
        except (ValueError, IndexError):
            good = False
        if not good or len(text) > 254:
            raise BadRequest(f"{text[:100]!r} is no mail address")
    return list(to)


def _address(kind: str, url: str, key: str) -> dict[str, str]:
    try:
        parse_url(url)
    except AddressForbidden as error:
        raise BadRequest(f"`url` of the route: {error.detail}") from None
    if len(url) > 2000:
        raise BadRequest("`url` of the route has more than 2,000 characters")
    if kind == "webhook":
        key = key or f"whsec_{base64.b64encode(token_bytes(32)).decode()}"
        _check_key(key)
    return {"url": url, "key": key}


def _check_key(key: str) -> None:
    """Standard Webhooks: `whsec_` and base64 of 24 to 64 bytes. Raises BadRequest."""
    try:
        size = len(base64.b64decode(key.removeprefix("whsec_"), validate=True))
    except ValueError:
        size = 0
    if not key.startswith("whsec_") or not 24 <= size <= 64:
        raise BadRequest("`key` of a webhook: whsec_ and base64 of 24 to 64 bytes; leave it out and the hub makes one")


def _target(secret: Mapping[str, Any]) -> str:
    """What may be shown: recipients, or the address without path and query, which are passwords of bots."""
    if "to" in secret:
        return ", ".join(secret["to"])[:400]
    parts = urlsplit(secret["url"])
    return f"{parts.scheme}://{parts.netloc}/…"[:400]


def routes(connection: Connection) -> list[dict[str, Any]]:
    """All routes by number, without their secrets; `pending` and `failed` count what they have not been told."""
    untold: dict[int, dict[str, int]] = {}
    query = select(notice.c.route_id, notice.c.state).where(notice.c.state.in_(("pending", "failed")))
    for row in connection.execute(query):
        counts = untold.setdefault(row.route_id, {"pending": 0, "failed": 0})
        counts[row.state] += 1
    rows = connection.execute(select(alert_route).order_by(alert_route.c.id)).all()
    return [{**_plain(row), **untold.get(row.id, {"pending": 0, "failed": 0})} for row in rows]


def by_id(connection: Connection, route_id: int) -> dict[str, Any]:
    """One route without its secret. Raises NotFound."""
    row = connection.execute(select(alert_route).where(alert_route.c.id == route_id)).first()
    if row is None:
        raise NotFound(f"there is no alert route {route_id}")
    return _plain(row)


def opened(connection: Connection, ring: Keyring, route_id: int) -> tuple[str, dict[str, Any]]:
    """Kind and secret, for the one who delivers. Raises NotFound, SecretLost."""
    kind: str = by_id(connection, route_id)["kind"]
    return kind, orjson.loads(secrets.opened(connection, ring, owner(route_id))[_SEALED])


def move(connection: Connection, route_id: int, state: str) -> dict[str, Any]:
    """`active` or `paused`. Raises NotFound, BadRequest."""
    if state not in STATES:
        raise BadRequest(f"a route is {' or '.join(STATES)}")
    connection.execute(update(alert_route).where(alert_route.c.id == route_id).values(state=state))
    found = by_id(connection, route_id)
    note(connection, Act.ALERT_ROUTE, owner(route_id), state=state)
    return found


def remove(connection: Connection, route_id: int) -> None:
    """Forgets a route, its secret and what it has not been told. Raises NotFound."""
    found = by_id(connection, route_id)
    connection.execute(delete(notice).where(notice.c.route_id == route_id))
    connection.execute(delete(alert_route).where(alert_route.c.id == route_id))
    secrets.forget(connection, owner(route_id))
    note(connection, Act.ALERT_ROUTE, owner(route_id), state="removed", name=found["name"])


def _plain(row: Any) -> dict[str, Any]:
    return {**plain(row), "rules": orjson.loads(row.rules)}
