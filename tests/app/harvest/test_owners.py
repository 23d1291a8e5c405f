"""A platform cannot write, delete or take over another's records, whatever its feed says of them."""

from typing import Any

import orjson
import pytest
from sqlalchemy import select

from app.catalogue.tables import record
from app.db import Database
from app.feeds import service as feeds
from app.harvest import quarantine
from app.harvest.tables import rejection
from app.platforms import lines
from app.platforms import service as platforms
from app.protocol.canonical import canonical, content_hash
from tests.hub import Hub
from tests.peers.replay import ReplayServer

PROVINCE, CITY, VENDOR, SCHOOL, FAR, NATION = (
    "P-440000-01", "C-440100-01", "E-110000-01", "S-110105-07", "P-650000-01", "N-000000-01",
)  # fmt: skip


def _put(origin: str, number: int, version: int, title: str) -> dict[str, Any]:
    content = {"id": f"ix:{origin}:r{number}", "title": title}
    said = {"id": content["id"], "op": "put", "version": version, "hash": content_hash(canonical(content)), "path": []}
    return {**said, "seq": number, "record": content}


def _delete(origin: str, number: int, version: int) -> dict[str, Any]:
    return {
        "id": f"ix:{origin}:r{number}",
        "op": "delete",
        "version": version,
        "seq": number,
        "record": None,
        "path": [],
    }


class _Platform:
    """An IX/1 platform that says what it is told to say, all of it at each harvest."""

    def __init__(self, hub: Hub, code: str) -> None:
        self.items: list[dict[str, Any]] = []
        self.hub, self.code, self.number, self.next = hub, code, 0, 0

    def __call__(self, path: str) -> tuple[int, dict[str, str], bytes]:
        self.next += 1
        items, self.items = self.items, []
        body = {"epoch": "e", "items": items, "next": str(self.next), "more": False}
        return 200, {"Content-Type": "application/json"}, orjson.dumps(body)

    def says(self, *items: dict[str, Any]) -> dict[str, Any]:
        """Harvests the platform when it says this; the run's report."""
        self.items = list(items)
        with ReplayServer(self) as url:
            if not self.number:
                self.number = self.hub.feed("ix", {"base_url": url}, self.code)
            with self.hub.database.write() as connection:
                new = orjson.dumps({**feeds.by_id(connection, self.number)["config"], "base_url": url}).decode()
                connection.execute(feeds.feed.update().where(feeds.feed.c.id == self.number).values(config=new))
            return self.hub.harvest(self.number)


def _stored(database: Database) -> dict[str, tuple[int, bool, int]]:
    with database.read() as connection:
        rows = connection.execute(select(record).order_by(record.c.id)).all()
    return {row.id: (row.version, bool(row.live), row.feed_id) for row in rows}


@pytest.mark.parametrize("attacker", [VENDOR, SCHOOL, CITY, FAR])
def test_another_platform_neither_writes_nor_deletes_nor_takes_over(database: Database, attacker: str) -> None:
    hub = Hub(database)
    owner, other = _Platform(hub, PROVINCE), _Platform(hub, attacker)
    owner.says(*(_put(PROVINCE, n, 1, f"第{n}课") for n in range(30)))
    before = _stored(database)
    report = other.says(
        _put(attacker, 1, 1, "自己的"), *(_put(PROVINCE, n, 9, "假的") for n in range(5)), _put(PROVINCE, 99, 1, "冒名的"),
        *(_delete(PROVINCE, n, 10) for n in range(5, 10)),
    )  # fmt: skip
    assert (report["created"], report["rejected"], report["tombstoned"]) == (1, 6, 0)
    now = _stored(database)
    assert {id: row for id, row in now.items() if id in before} == before
    assert set(now) - set(before) == {f"ix:{attacker}:r1"}
    with database.read() as connection:
        rules = connection.execute(select(rejection.c.rule, rejection.c.detail)).all()
        theirs = feeds.by_id(connection, other.number)
    assert {tuple(row) for row in rules} == {("record.foreign", f"{attacker} may not speak for {PROVINCE}")}
    again = quarantine.replay(database, theirs)
    assert (again["rejected"], _stored(database)) == (6, now), "a replay lets them in no more than the harvest did"
    assert owner.says(_put(PROVINCE, 1, 2, "新版"))["changed"] == 1


@pytest.mark.parametrize("relay", [PROVINCE, NATION])
def test_a_relay_brings_what_lies_below_it_and_changes_nothing_the_origin_brings_itself(
    database: Database, relay: str
) -> None:
    hub = Hub(database)
    city, above = _Platform(hub, CITY), _Platform(hub, relay)
    assert above.says(_put(CITY, 1, 1, "经上级"))["created"] == 1
    assert city.says(_put(CITY, 1, 2, "自己的"), _put(CITY, 2, 1, "第二课"))["changed"] == 1
    own = _stored(database)
    assert {row[2] for row in own.values()} == {city.number}, "the origin's own feed takes its records back"
    report = above.says(_put(CITY, 1, 7, "更新的"), _delete(CITY, 2, 8), _put(CITY, 3, 1, "第三课"))
    assert (report["unchanged"], report["created"], report["rejected"]) == (1 + 1, 1, 0)
    assert {id: row for id, row in _stored(database).items() if id in own} == own


def test_a_province_relays_a_vendor_that_is_not_enrolled_here_and_no_other(database: Database) -> None:
    hub = Hub(database)
    relay = _Platform(hub, PROVINCE)
    assert relay.says(_put(VENDOR, 1, 1, "第一课"))["created"] == 1
    with database.write() as connection:
        platforms.register(connection, VENDOR, "企业")
    assert relay.says(_put(VENDOR, 2, 1, "第二课"))["rejected"] == 1


def test_a_province_relays_what_belongs_under_it_by_agreement_and_no_longer_what_has_left_its_line(
    database: Database,
) -> None:
    """A county far away that agreed to report to it, a city below that county's line, and a county of its own that left."""
    hub, far_county, near_county, school = Hub(database), "D-650102-01", "D-440105-01", "S-650102-07"
    relay, other = _Platform(hub, PROVINCE), _Platform(hub, FAR)
    with database.write() as connection:
        for code in (PROVINCE, FAR, far_county, near_county, school):
            platforms.register(connection, code, code)
    said = (_put(far_county, 1, 1, "第一课"), _put(school, 1, 1, "校本课"), _put(near_county, 1, 1, "第二课"))
    before = relay.says(*said)
    assert (before["created"], before["rejected"]) == (1, 2), "by region code"
    with database.write() as connection:
        lines.agree(connection, far_county, PROVINCE, "托管")
        lines.agree(connection, school, far_county, "县管")
        lines.agree(connection, near_county, FAR, "托管")
    after = relay.says(*(_put(code, 2, 1, "新课") for code in (far_county, school, near_county)))
    assert (after["created"], after["rejected"]) == (2, 1), "by agreement, through the one in between too"
    theirs = other.says(*(_put(code, 3, 1, "新课") for code in (far_county, school, near_county)))
    assert (theirs["created"], theirs["rejected"]) == (1, 2)


def test_agreements_in_a_circle_end(database: Database) -> None:
    hub, one, two = Hub(database), "D-650102-01", "D-650103-01"
    relay = _Platform(hub, PROVINCE)
    with database.write() as connection:
        platforms.register(connection, one, one, parent=two)
        platforms.register(connection, two, two, parent=one)
    assert relay.says(_put(one, 1, 1, "第一课"))["rejected"] == 1


def test_a_look_alike_of_anothers_code_is_no_code(database: Database) -> None:
    hub = Hub(database)
    vendor = _Platform(hub, VENDOR)
    _Platform(hub, PROVINCE).says(_put(PROVINCE, 1, 1, "第一课"))
    alike = [
        "Ｐ-440000-01",
        "p-440000-01",
        "P-440000-01 ",
        "P-44OOOO-01",
        "P‐440000‐01",
        "P-440000-01\u200b",
        "%50-440000-01",
    ]
    report = vendor.says(*(_put(code, 1, 9, "假的") for code in alike))
    assert (report["created"], report["changed"]) == (0, 0)
    assert list(_stored(database)) == [f"ix:{PROVINCE}:r1"]
