"""A hub over a real socket with a feed in every state and records that mean harm; for tests of pages."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from sqlalchemy import update

from app import schema
from app.access import keys
from app.access.keyring import Keyring
from app.console.formats import moment
from app.console.page import PageRoute
from app.console.pages.feed_actions import ACTIONS
from app.db import Database, now
from app.demo.catalogue import DemoPlatform
from app.demo.faces import MAPPING, face
from app.disk import Disk
from app.feeds import service as feeds
from app.feeds.tables import feed as feed_table
from app.main import create
from app.monitor import alert_routes
from app.monitor.alerts import evaluate
from app.platforms import service as platforms
from app.protocol.canonical import canonical, content_hash
from app.settings import Settings
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer
from tests.served import listening

HOSTILE = (
    "<script>window.harmed=1</script>",
    "\"><img src=x onerror='window.harmed=1'>",
    "</script><script>window.harmed=1</script>",
    "{{ 7*7 }}{% raw %}${7*7}",
    "<svg/onload=window.harmed=1><iframe src=https://evil.example/></iframe>",
    "\u202eمەكتەپ\u202c <b onmouseover=window.harmed=1>x</b>" + "长" * 400,
    "བོད་ཡིག་" * 60,
)
HARM = (
    "javascript:window.harmed=1",
    "data:text/html,<script>window.harmed=1</script>",
    'https://evil.example/"><script>',
)


class Served(NamedTuple):
    """A hub that shows everything to everybody; `pages` are the addresses that a visitor can open, `key` decides.

    `templates` are the page routes of the app, so that a page without an address here is found.
    """

    url: str
    database: Database
    pages: dict[str, str]
    key: str
    templates: frozenset[str] = frozenset()

    @property
    def by(self) -> str:
        """How the pages name who acts with this key."""
        return f"key:{self.key[:11]}"


def hostile(path: str) -> Answer:
    """IX/1 changes whose texts try to become scripts."""
    items = []
    for number, text in enumerate(HOSTILE):
        content: dict[str, Any] = {
            "id": f"ix:E-110000-66:{number}", "title": text, "alt_titles": [text], "description": text, "keywords": [text[:200]],
            "languages": ["zh-Hans", "ug"], "type": [text[:50]], "contributors": [{"role": text[:50], "name": text}],
            "location": list(HARM), "rights": {"statement": text, "licence_uri": HARM[0]}, "subject": text[:60], "price": text[:60],
        }  # fmt: skip
        items.append(
            {"id": content["id"], "op": "put", "version": 1, "hash": content_hash(canonical(content)), "seq": number + 1,
             "modified": "2026-11-01T08:00:00Z", "origin": "E-110000-66", "path": [], "sig": None, "record": content}
        )  # fmt: skip
    if "cursor=7" in path:
        items = []
    body = {"epoch": "e", "items": items, "next": "7", "more": False, "state": {"seq": len(HOSTILE)}}
    return 200, {"Content-Type": "application/json"}, orjson.dumps(body)


def fill(hub: Hub) -> dict[str, str]:
    """A feed in every state; addresses of a page of each kind."""
    good = DemoPlatform("P-650000-01", "新疆平台", "oai-pmh", None, 230)
    bad = DemoPlatform("P-440000-01", "广东平台", "ix", "bad records", 230)
    gone = DemoPlatform("P-460000-01", "海南平台", "static-parts", "vanishes", 120)
    with ExitStack() as stack:
        urls = {p.code: stack.enter_context(ReplayServer(face(p))) for p in (good, bad, gone)}
        first = hub.feed("oai-pmh", {"base_url": f"{urls[good.code]}/oai"}, platform=good.code)
        hub.harvest(first)
        refusing = hub.feed("ix", {"base_url": urls[bad.code]}, platform=bad.code)
        hub.harvest(refusing)
        manifest = {"manifest_url": f"{urls[gone.code]}/data_version.json"}
        held = hub.feed("static-parts", manifest, platform=gone.code, mapping=MAPPING)
        hub.harvest(held)
        hub.harvest(held)
        harmful = hub.feed("ix", {"base_url": stack.enter_context(ReplayServer(hostile))}, platform="E-110000-66")
        assert hub.harvest(harmful)["created"] == len(HOSTILE)
    down = hub.feed("ix", {"base_url": "http://127.0.0.1:9"}, platform="P-520000-01")
    failed = hub.harvest(down)["run"]
    late = hub.feed("ix", {"base_url": "http://127.0.0.1:9"}, platform="P-620000-01")
    hub.feed("ix", {"base_url": "http://127.0.0.1:9"}, platform="C-440300-01")
    with hub.database.write() as connection:
        platforms.register(connection, "P-540000-01", "西藏平台<script>window.harmed=1</script>")
        paused = feeds.register(
            connection, platform="P-540000-01", name="<img src=x onerror=window.harmed=1>", connector="ix",
            config={"base_url": "http://127.0.0.1:9"},
        )  # fmt: skip
        feeds.transition(connection, paused, "paused")
        at = now(connection)
        long_ago = {"succeeded_at": at - 2 * 900 * 10**6, "next_at": at + 10**9}
        connection.execute(update(feed_table).where(feed_table.c.id == late).values(long_ago))
        ring = Keyring([b"test"])
        alert_routes.add(
            connection,
            ring,
            name="值班<script>window.harmed=1</script>",
            kind="mail",
            to=["duty@example.edu.cn"],
            quiet="22:00-07:00",
        )
        alert_routes.add(
            connection, ring, name="bot", kind="wecom", url="https://bot.example/hook?key=k", rules=["failing", "disk"]
        )
    evaluate(hub.database, Disk(Path("/"), (0, 0)))
    return {
        "wall": "/", "wall table": "/?look=table", "platforms": "/platforms", "platform": "/platforms/P-440000-01",
        "hostile platform": "/platforms/P-540000-01", "feeds": "/feeds", "feed": f"/feeds/{held}", "late feed": f"/feeds/{late}",
        "runs": "/runs", "run": f"/runs/{failed}", "good run": "/runs/1", "quarantine": "/quarantine",
        "quarantine group": f"/quarantine?rule=text.control&feed={refusing}", "refusal": "/quarantine/1", "held": "/held",
        "held change": "/held/1", "search": "/search", "coverage": "/coverage", "hostile search": "/search?platform=E-110000-66",
        "coverage of a subject": "/coverage?subject=14", "status": "/status", "status narrowed": "/status?word=interrupted&level=P",
        "platform's status": "/status/P-650000-01", "hostile status": "/status/P-540000-01", "digest": "/platforms/P-440000-01/digest",
        "hostile digest": "/platforms/P-540000-01/digest", "report": "/report", "feeds in trouble": "/feeds?state=failing",
        "no hits": "/search?q=%3Cscript%3Ewindow.harmed%3D1%3C%2Fscript%3E", "system": "/system", "alerts": "/alerts?state=all",
        "suspend platform": "/platforms/P-440000-01/do/suspend",
        "problem": "/problems/record.title_missing", "missing": "/runs/999999", "sign in": "/login", "join": "/join", "first": "/first",
        "report so far": f"/report?month={datetime.now(UTC):%Y-%m}",
        **{f"hostile record {n}": f"/r/ix:E-110000-66:{n}" for n in range(len(HOSTILE))},
        "mapping": f"/feeds/{held}/mapping", "mapping json": f"/feeds/{held}/mapping?view=json", "no mapping": f"/feeds/{first}/mapping",
        "native mapping": f"/feeds/{refusing}/mapping?entry=1",
        **{f"{name} feed": f"/feeds/{held}/do/{name}" for name in ACTIONS}, "native reconcile": f"/feeds/{first}/do/reconcile",
        **{f"hostile lineage {n}": f"/records/ix:E-110000-66:{n}" for n in range(len(HOSTILE))},
        "lineage": "/records/ix%3AP-650000-01%3Aoai-pmh-1%2Foai%3Ap-650000-01.example%3A000225",
        "day of a platform": f"/runs?platform=P-440000-01&day={moment(at)[:10]}",
        "record": "/r/ix%3AP-650000-01%3Aoai-pmh-1%2Foai%3Ap-650000-01.example%3A000225",
    }  # fmt: skip


# Page routes that answer no page, or only to who is signed in (tests/app/access/test_pages.py, tests/app/console/test_vendor.py and tests/e2e/test_vendors_day.py open those).
NO_PAGES = {
    # Reached from a provider alone: tests/app/access/test_sign_on.py.
    "/login/oidc", "/login/oidc/callback", "/login/oidc/code",
    "/account", "/events", "/search.atom", "/report.csv", "/status/{code}/badge.svg", "/platforms/{code}/digest.html",
    "/vendor", "/vendor/{reference}", "/vendor/{reference}/application", "/vendor/{reference}/documents/{sha256}", "/vendor/{reference}/feeds/new",
    "/vendor/{reference}/diagnosis", "/vendor/{reference}/feeds/{feed_id}", "/vendor/{reference}/diagnosis.csv", "/enrolments", "/enrolments/{reference}",
    "/enrolments/{reference}/documents/{sha256}",
}  # fmt: skip


def templates(app: Any) -> frozenset[str]:
    """The routes of the app that answer GET with a page for people."""
    found = set()
    for route in app.routes:
        for one in route.effective_candidates() if hasattr(route, "effective_candidates") else [route]:
            original = getattr(one, "original_route", one)
            if isinstance(original, PageRoute) and "GET" in one.methods:
                found.add(one.path)
    return frozenset(found - NO_PAGES)


@contextmanager
def served(folder: Path, *, filled: bool = True, **more: Any) -> Iterator[Served]:
    """The hub, listening."""
    settings = Settings(
        data_dir=folder, secret_key="k" * 32, anonymous_scopes="catalogue:read ops:read", alert_every_s=0, **more
    )
    database = Database(settings.url)
    schema.upgrade(database)
    pages = fill(Hub(database)) if filled else {"wall": "/"}
    with database.write() as connection:
        key = keys.issue(connection, None).key
    app = create(settings, harvest=False)
    with listening(app, log_level="critical", timeout_graceful_shutdown=1) as url:
        yield Served(url, database, pages, key, templates(app))
    database.close()
