"""A feed of one's own as it stands: how complete its records are beside its peers and last month; moving it elsewhere."""

from typing import Any, Final

from fastapi import Request
from sqlalchemy import Connection

from app.access.multipart import Part
from app.admission import queue
from app.catalogue import completeness
from app.catalogue.queries import tallies
from app.console import questions
from app.console.form import Form
from app.console.pages import ramp
from app.console.pages.members import public
from app.db import now
from app.feeds import service as feeds
from app.feeds import uploads
from app.harvest import look, moving, runs
from app.harvest.assess import RECOMMENDED, REQUIRED
from app.harvest.discovery import configured, masked
from app.monitor import status
from app.platforms import queries
from app.protocol.errors import NotFound
from app.settings import Settings
from app.web import database

SHOWN: Final = (*REQUIRED, *RECOMMENDED)
RUNS: Final = 8


def page(
    connection: Connection, reference: str, feed_id: int, typed: Form | None = None, error: Any = None
) -> dict[str, Any]:
    """The page. Raises NotFound for a feed that is not of this enrolment."""
    row, feed = queries.shown(connection, reference), feeds.by_id(connection, feed_id)
    if feed["platform"] != row["code"]:
        raise NotFound(f"there is no feed {feed_id}")
    here = [one for one in status.standings(connection, row["code"]) if one.feed == feed["id"]]
    waiting = queue.waiting(connection, queue.Sought(feed=feed["id"]), limit=500)
    records = tallies(connection, [f"feed={feed['id']}"]).get(f"feed={feed['id']}", 0)
    return {
        "one": row, "feed": feed, "standing": here[0] if here else None, "config": public(feed["config"] or {}),
        "records": records, "ramp": ramp.shown(connection, feed["id"], records),
        "waiting": len(waiting), "waiting_more": len(waiting) == 500,
        "runs": runs.runs(connection, feed["id"], RUNS), **_complete(connection, feed),
        "files": uploads.uploads(connection, feed["id"])[:5], "questions": questions.questions(feed["connector"], feed["config"] or {}, typed), "error": error, "faults": questions.faults(error),
    }  # fmt: skip


def move(request: Request, reference: str, feed_id: int, form: Form) -> None:
    """Lets a feed go on from another address of the proved domain, once that brings the same records."""
    base, engine = database(request), request.app.state.engine
    with base.read() as connection:
        shown, before = page(connection, reference, feed_id), look.registered(engine, connection, feed_id)
    config, hidden = masked(configured(before.connector, questions.answers(before.connector, form)))
    with base.read() as connection:
        feeds.at_home(connection, before.platform, config)
    subject = before._replace(config=config, secrets={**before.secrets, **hidden})
    why = form.reason(needed=True)
    moving.same(moving.kin(base, engine.fetcher, subject, shown["feed"], engine.rules), shown["records"])
    with base.write() as connection:
        feeds.move(connection, feed_id, config, (engine.ring, hidden), why)


def keep_file(request: Request, settings: Settings, reference: str, feed_id: int, file: Part) -> None:
    """A file for an `upload` feed. Raises NotFound, BadRequest (no file, another kind), QuotaExceeded."""
    staged = uploads.staged(settings.files, [file.content], settings.fetch_file_max_bytes)
    try:
        with database(request).write() as connection:
            page(connection, reference, feed_id)
            uploads.keep(connection, settings.files, staged, feed_id, file.name, settings.quota_upload_bytes)
    finally:
        staged.path.unlink(missing_ok=True)


def _complete(connection: Connection, feed: dict[str, Any]) -> dict[str, Any]:
    """`fields`: (name, required, now, last month, peers' median), each 0 to 1 or None."""
    mine, at = completeness.current(connection, feed["id"]), now(connection)
    before = completeness.kept(connection, feed["id"], completeness.month_of(at, 1))
    number, peers = completeness.peers(connection, feed["platform"])
    found = [(name, name in REQUIRED, _of(mine, name), _of(before, name), _of(peers or None, name)) for name in SHOWN]
    return {"fields": found if mine is not None else [], "peers": number, "enough": number >= completeness.PEERS}


def _of(shares: completeness.Shares | None, name: str) -> float | None:
    return None if shares is None else shares.get(name, 0.0)
