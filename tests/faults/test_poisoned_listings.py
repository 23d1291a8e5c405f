"""1.21: whatever a platform of any kind answers in place of its listing, nothing is deleted without a person."""

from dataclasses import replace
from typing import Any

import pytest

from app.db import Database
from app.demo.catalogue import DemoPlatform
from app.demo.faces import FACES
from app.feeds import leases
from app.harvest import pages, runs
from app.harvest.worker import harvest_now
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer

RECORDS = 24
KINDS = [kind for kind in FACES if kind != "upload"]  # a file that a person uploads has no platform that could answer
POISONS = ["nothing", "no content", "a login page", "refused", "a fault", "half", "an empty catalogue"]


def _poisoned(poison: str, answer: Answer) -> Answer:
    status, headers, body = answer
    if status != 200:
        return answer
    return {
        "nothing": (200, headers, b""),
        "no content": (204, headers, b""),
        "a login page": (200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><html><body>\xe8\xaf\xb7\xe7\x99\xbb\xe5\xbd\x95</body></html>"),
        "refused": (401, {"Content-Type": "text/html"}, b"<html>"),
        "a fault": (500, {"Content-Type": "text/html"}, b"<html>"),
        "half": (200, headers, body[: len(body) // 2]),
    }[poison]  # fmt: skip


def _full(hub: Hub, feed: int) -> dict[str, Any]:
    with hub.engine() as engine:
        return harvest_now(replace(engine, brake=(3, 0.05), patience_s=0), feed, "full")


@pytest.mark.parametrize("kind", KINDS)
def test_no_answer_in_place_of_a_listing_deletes_anything(
    sqlite: Database, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "RETRIES", (0.0,))
    hub, platform = Hub(sqlite), DemoPlatform("P-440000-01", "广东省平台", kind, None, RECORDS)
    good, none = FACES[kind].face(platform), FACES[kind].face(platform._replace(records=0))
    poison = ""

    def answer(path: str) -> Answer:
        if poison == "an empty catalogue":
            return none(path)
        return _poisoned(poison, good(path)) if poison else good(path)

    with ReplayServer(answer) as base:
        feed = hub.feed(kind, FACES[kind].config(platform, base), mapping=FACES[kind].MAPPING)
        assert _full(hub, feed)["created"] == RECORDS
        for poison in POISONS:
            report = _full(hub, feed)
            assert (report["tombstoned"], hub.live()) == (0, RECORDS), poison
            with sqlite.write() as connection:
                leases.answered(connection, f"{base.removeprefix('http://')}")
                for held in runs.waiting(connection):
                    assert held["count"] > 3, poison
        poison = ""
        report = _full(hub, feed)
        assert (report["error"], report["tombstoned"], hub.live()) == (None, 0, RECORDS), "well again"
    hub.check()
