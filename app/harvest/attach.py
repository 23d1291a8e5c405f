"""What a look has to do with an enrolment: how far an applicant may look, and a report that a move can rest on."""

from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection

from app.clock import iso
from app.db import now
from app.feeds import service as feeds
from app.harvest.fetch import Fetcher
from app.platforms import documents
from app.platforms.credentials import domain_of_applicant


def eyes(connection: Connection, fetcher: Fetcher) -> Fetcher:
    """The hub's client; for who has only applied bound to the proved domain."""
    bound = domain_of_applicant(connection)
    return fetcher if bound is None else fetcher.within(bound)


def attach(connection: Connection, folder: Path, reference: int | str, report: dict[str, Any]) -> str:
    """Keeps a validation report on a feed with its platform's enrolment, as the hub's own work; its SHA-256."""
    feed = feeds.by_id(connection, reference)
    told = {"feed": f"{feed['platform']}/{feed['key']}", "connector": feed["connector"], "config": feed["config"]}
    content = orjson.dumps({**told, "at": iso(now(connection)), "report": report}, option=orjson.OPT_INDENT_2)
    kept = documents.keep(
        connection, folder, feed["platform"], documents.VALIDATION, "validation.json", content, by_hub=True
    )
    return str(kept["sha256"])
