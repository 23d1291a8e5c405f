"""A platform and a feed, each as one page."""

from typing import Any

from sqlalchemy import Connection

from app.access import keys
from app.catalogue.queries import tallies
from app.console.pages import ramp
from app.console.pages.feed_actions import offers
from app.db import now
from app.feeds import leases
from app.feeds import service as feeds
from app.harvest import queries, runs
from app.harvest.discovery import kinds
from app.harvest.runs import day_of
from app.monitor import days, objectives, status
from app.platforms import service as platforms
from app.protocol.errors import NotFound

DAYS = 28
SECRETS = ("token", "password", "secret", "key", "credential", "authorization")


def platform(connection: Connection, code: str) -> dict[str, Any]:
    """Identity, keys, feeds with what was agreed of their freshness, 28 days, trend, latest runs, open refusals."""
    found = platforms.by_code(connection, code)
    members = status.standings(connection, code)
    ids = [one.feed for one in members]
    today, promised = day_of(now(connection)), objectives.objectives(connection, ids)
    return {
        "platform": found,
        "group": status.group(code, members),
        "members": members,
        "records": tallies(connection, [f"platform={code}", *(f"feed={id}" for id in ids)]),
        "cells": days.strip(connection, today, DAYS, ids),
        "trend": trend(days.totals(connection, today, DAYS, ids), today),
        "runs": sorted((run for id in ids[:20] for run in runs.runs(connection, id, 8)), key=lambda r: -r["run"])[:12],
        "refused": [row for id in ids[:20] for row in queries.by_rule(connection, feed_id=id)][:12],
        "names": {one.feed: one for one in members},
        "keys": keys.keys(connection, code),
        "objectives": [promised[id] for id in ids[:20]],
        "at": now(connection),
    }


def feed(connection: Connection, feed_id: int) -> dict[str, Any]:
    """Where it comes from, how it stands, its days, runs, refusals; its configuration without secrets."""
    found = feeds.by_id(connection, feed_id)
    at, today = now(connection), day_of(now(connection))
    standing = next((one for one in status.standings(connection, found["platform"]) if one.feed == found["id"]), None)
    if standing is None:
        raise NotFound(f"feed {feed_id} is retired")
    parked = leases.not_before(connection, found["host"])
    records = tallies(connection, [f"feed={found['id']}"]).get(f"feed={found['id']}", 0)
    return {
        "feed": found,
        "one": standing,
        "kind": kinds()[found["connector"]],
        "config": public(found["config"] or {}),
        "records": records,
        "ramp": ramp.shown(connection, found["id"], records),
        "parked_s": max(0, (parked - at) // 1_000_000),
        "leased_s": max(0, (found["lease_until"] - at) // 1_000_000),
        "cells": days.strip(connection, today, DAYS, [found["id"]]),
        "trend": trend(days.totals(connection, today, DAYS, [found["id"]]), today),
        "runs": runs.runs(connection, found["id"], 15),
        "refused": queries.by_rule(connection, feed_id=found["id"]),
        "offers": offers(connection, found),
        "objective": objectives.of_feed(connection, found["id"]),
    }


def public(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration as anybody may see it: what looks like a secret is covered."""
    return {
        name: "••••••" if any(word in name.lower() for word in SECRETS) else value for name, value in config.items()
    }


def trend(totals: list[dict[str, Any]], today: int) -> dict[str, Any]:
    """Per day what changed (created, changed, tombstoned) and what was refused, with sums and the share of good runs."""
    by_day = {row["day"]: row for row in totals}
    moved = ("created", "changed", "tombstoned")
    points = []
    for number in range(today - DAYS + 1, today + 1):
        row = by_day.get(number, {})
        points.append((number, int(sum(row.get(name, 0) for name in moved)), int(row.get("rejected", 0))))
    sums = {n: int(sum(row[n] for row in totals)) for n in ("runs", "failed", "seen", "rejected", *moved)}
    return {"points": points, "top": max([1, *(max(p[1], p[2]) for p in points)]), **sums}
