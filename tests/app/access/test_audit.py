"""The audit chain: every kind of act is noted with the change itself; nothing in it can be altered unseen."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pyotp
import pytest
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from app.access import audit, clerk, keys, links, people, secrets
from app.access import tables as access
from app.access.audit import Act
from app.access.keyring import Keyring
from app.access.principal import Principal, Rows
from app.access.tally import Tally
from app.catalogue import service as catalogue
from app.catalogue.arrivals import Arrival, Origin
from app.db import Database, now
from app.feeds import leases
from app.feeds import service as feeds
from app.harvest import decisions, leaving
from app.harvest.tables import held, run
from app.monitor import incidents
from app.monitor.causes import Cause, Rule
from app.monitor.incidents import reconcile
from app.platforms import moves
from app.platforms import service as platforms
from app.protocol.record import Prepared, prepare
from app.settings import Settings
from tests.app.access.desk import PASSWORD, Desk, desk
from tests.app.platforms.office import Applicant, application
from tests.commands import Done, hutong

RING = Keyring([b"test"])
DAY = 86_400_000_000


def _filled(connection: Connection, rows: int = 12) -> None:
    for number in range(rows):
        audit.note(connection, Act.LOGIN, f"person:p{number}", address=f"10.0.0.{number}")


def _open(connection: Connection) -> None:
    """What an attacker with the whole database does first."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("DROP TRIGGER audit_no_update"))
        connection.execute(text("DROP TRIGGER audit_no_delete"))
    else:
        connection.execute(text("DROP FUNCTION audit_kept() CASCADE"))


TAMPERING: dict[str, tuple[Callable[[Connection], Any], int]] = {
    "a changed actor": (lambda c: c.execute(update(access.audit).where(access.audit.c.seq == 5).values(actor="x")), 5),
    "a changed time": (lambda c: c.execute(update(access.audit).where(access.audit.c.seq == 1).values(at=1)), 1),
    "a changed detail": (
        lambda c: c.execute(update(access.audit).where(access.audit.c.seq == 7).values(detail="{}")),
        7,
    ),
    "a changed last row": (
        lambda c: c.execute(update(access.audit).where(access.audit.c.seq == 12).values(result="x")),
        12,
    ),
    "a deleted row": (lambda c: c.execute(access.audit.delete().where(access.audit.c.seq == 6)), 6),
    "a deleted first row": (lambda c: c.execute(access.audit.delete().where(access.audit.c.seq == 1)), 1),
    "a cut end": (lambda c: c.execute(access.audit.delete().where(access.audit.c.seq > 9)), 10),
    "all rows deleted": (lambda c: c.execute(access.audit.delete()), 1),
    "two rows swapped": (lambda c: _swap(c), 3),
    "a rehashed row": (lambda c: _rehash(c, 8), 9),
}


def _swap(connection: Connection) -> None:
    for old, new in ((3, 99), (4, 3), (99, 4)):
        connection.execute(update(access.audit).where(access.audit.c.seq == old).values(seq=new))


def _rehash(connection: Connection, seq: int, until: int | None = None) -> None:
    """Alters a row and makes the hashes of it (and of those after it, up to `until`) fit."""
    connection.execute(update(access.audit).where(access.audit.c.seq == seq).values(actor="forged"))
    before = connection.execute(select(access.audit.c.hash).where(access.audit.c.seq == seq - 1)).scalar_one()
    for number in range(seq, (until or seq) + 1):
        row = audit.plain(connection.execute(select(access.audit).where(access.audit.c.seq == number)).one())
        row.pop("hash")
        before = audit._chained(before, row)
        connection.execute(update(access.audit).where(access.audit.c.seq == number).values(hash=before))


def test_a_whole_chain_holds(database: Database) -> None:
    with database.write() as connection:
        assert audit.verify(connection) is None
        _filled(connection)
        assert audit.verify(connection) is None
        assert audit.head(connection)["seq"] == 12


@pytest.mark.parametrize("how", TAMPERING)
def test_the_first_broken_row_is_named(database: Database, how: str) -> None:
    act, row = TAMPERING[how]
    with database.write() as connection:
        _filled(connection)
        _open(connection)
        act(connection)
        broken = audit.verify(connection)
    assert broken is not None
    assert broken.seq == row


def test_a_rewritten_chain_is_found_by_the_exported_head(database: Database, tmp_path: Path) -> None:
    with database.write() as connection:
        _filled(connection)
        clerk.export(connection, RING, tmp_path)
        _filled(connection, 3)
        _open(connection)
        _rehash(connection, 8, until=15)
        last = connection.execute(select(access.audit.c.hash).where(access.audit.c.seq == 15)).scalar_one()
        connection.execute(update(access.audit_head).values(hash=last))
        good, bad = clerk.exported(RING, tmp_path / clerk.FILE)
        assert (len(good), bad) == (1, 0)
        assert audit.verify(connection) is None, "alone, a chain rewritten to its end looks whole"
        broken = audit.verify(connection, good)
    assert broken is not None
    assert broken.seq == 12


def test_a_forged_head_is_no_head(tmp_path: Path, sqlite: Database) -> None:
    with sqlite.write() as connection:
        clerk.export(connection, RING, tmp_path)
        clerk.export(connection, Keyring([b"another hub"]), tmp_path)
    with (tmp_path / clerk.FILE).open("ab") as file:
        file.write(b'nonsense\n{"seq":1}\n[]\n{"seq":1,"sig":"zz"}\n')
    good, bad = clerk.exported(RING, tmp_path / clerk.FILE)
    assert (len(good), bad) == (1, 5)


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor='x'", "DELETE FROM audit", "DELETE FROM audit WHERE seq=3", "TRUNCATE audit"])  # fmt: skip
def test_the_database_itself_refuses_changes(database: Database, statement: str) -> None:
    if database.sqlite and "TRUNCATE" in statement:
        statement = "UPDATE OR REPLACE audit SET seq=4 WHERE seq=3"
    with database.write() as connection:
        _filled(connection)
    with pytest.raises(DBAPIError), database.write() as connection:
        connection.execute(text(statement))
    with database.read() as connection:
        assert audit.verify(connection) is None


def test_what_is_younger_than_180_days_stays_and_the_chain_goes_on_after_a_purge(database: Database) -> None:
    with database.write() as connection:
        _filled(connection, 4)
        _open(connection)
        # Rows of long ago, in a chain that holds.
        for seq in (1, 2, 3, 4):
            age = 400 if seq < 4 else 179
            connection.execute(
                update(access.audit).where(access.audit.c.seq == seq).values(at=now(connection) - age * DAY)
            )
        _rehash_all(connection)
        assert audit.verify(connection) is None
        audit.note(connection, Act.LOGIN, "person:today")
        assert audit.purge(connection, days=1) == 3, "180 days are kept whatever is asked"
        assert audit.verify(connection) is None
        assert [row["seq"] for row in audit.search(connection)] == [6, 5, 4]
        assert audit.purge(connection, days=1) == 0


def _rehash_all(connection: Connection) -> None:
    before = audit.BEGINNING
    for row in connection.execute(select(access.audit).order_by(access.audit.c.seq)).all():
        content = audit.plain(row)
        content.pop("hash")
        before = audit._chained(before, content)
        connection.execute(update(access.audit).where(access.audit.c.seq == row.seq).values(hash=before))
    connection.execute(update(access.audit_head).values(hash=before))


def test_young_rows_cannot_be_purged_even_by_sql(database: Database) -> None:
    with database.write() as connection:
        old = {
            "seq": 0,
            "actor": "",
            "address": "",
            "act": "",
            "object": "",
            "result": "",
            "detail": "",
            "request": "",
            "hash": "",
        }
        connection.execute(insert(access.audit), {**old, "at": now(connection) - 181 * DAY})
        assert connection.execute(text("DELETE FROM audit WHERE seq = 0")).rowcount == 1
        connection.execute(insert(access.audit), {**old, "at": now(connection) - 179 * DAY})
    with pytest.raises(DBAPIError), database.write() as connection:
        connection.execute(text("DELETE FROM audit WHERE seq = 0"))


def test_a_change_that_fails_leaves_no_note_and_no_gap(database: Database) -> None:
    def failing() -> None:
        with database.write() as connection:
            platforms.register(connection, "P-440000-01", "x")
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    with database.write() as connection:
        platforms.register(connection, "P-440000-01", "x")
        assert [(row["seq"], row["act"]) for row in audit.search(connection)] == [(1, "platform.added")]


def test_writers_at_the_same_time_make_one_chain(database: Database) -> None:
    import threading

    def write(worker: int) -> None:
        for number in range(15):
            with database.write() as connection:
                audit.note(connection, Act.LOGIN, f"person:{worker}-{number}")

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert audit.head(connection)["seq"] == 90
        assert audit.verify(connection) is None


def _everything(hub: Desk) -> None:
    """Does each kind of thing once, over HTTP where there is a route."""
    key = hub.platform("P-440000-01")
    admin, staff = hub.person("sun", "security-administrator"), hub.person("wang", "operator")
    hub.login("wang", "wrong-password-1")
    hub.token("P-440000-01", key)
    hub.key_client(key).post("/api/v1/platforms", json={})
    made = admin.post("/api/v1/keys", json={"platform": "P-440000-01", "label": "push"}).json()
    rotated = admin.post(f"/api/v1/keys/{made['prefix']}/rotate", json={"overlap_s": 60})
    admin.post(f"/api/v1/keys/{rotated.json()['prefix']}/revoke", json={"reason": "test"})
    bound = {"platform": "P-440000-01", "certificate": "ab" * 32}
    admin.post("/api/v1/certificates", json=bound)
    admin.delete(f"/api/v1/certificates/P-440000-01/{'ab' * 32}")
    admin.post("/api/v1/people/wang/roles", json={"roles": ["operator", "reviewer"]})
    body = {"platform": "P-440000-01", "name": "n", "connector": "ix"}
    feed = staff.post(
        "/api/v1/feeds", json=body | {"config": {"base_url": "https://e.example", "api_key": "s"}}
    ).json()["id"]
    staff.post(f"/feeds/{feed}/do/harvest", data={"why": "new server"})
    staff.post("/alerts/routes", data={"name": "duty", "kind": "mail", "to": "duty@example.edu.cn"})
    with hub.database.write() as connection:
        reconcile(connection, [Cause("disk", Rule.DISK, "hub", "little is left")])
    staff.post("/alerts/1/ack", data={"why": "a larger one is ordered"})
    with hub.database.write() as connection:
        feeds.move(connection, feed, {"base_url": "https://new.example"}, (hub.app.state.gate.ring, {}), "test")
    staff.post(f"/api/v1/feeds/{feed}/pause")
    files = body | {"connector": "upload", "config": {"file": {"format": "csv", "id_columns": ["id"]}}}
    shelf = staff.post("/api/v1/feeds", json=files).json()["id"]
    staff.post(f"/api/v1/feeds/{shelf}/files", content=b"id,title\n1,x\n", headers={"Content-Type": "text/csv"})
    mapping = {"version": 1, "fields": {"title": {"path": "title"}}}
    staff.post(f"/api/v1/feeds/{shelf}/remap", json={"mapping": mapping, "apply": True})
    with hub.database.write() as connection:
        row = {"feed_id": feed, "job": "harvest", "status": "held", "started_at": 0}
        run_id = connection.execute(run.insert().returning(run.c.id), row).scalar_one()
        waits = {
            "feed_id": feed,
            "run_id": run_id,
            "cause": "c",
            "count": 1,
            "live": 1,
            "state": "pending",
            "held_at": 0,
        }
        number = connection.execute(held.insert().returning(held.c.id), waits).scalar_one()
    staff.post(f"/api/v1/held/{number}/reject")
    _returned(hub, staff, shelf)
    staff.post(f"/api/v1/feeds/{feed}/ramp", json={"act": "begin"})
    _left(hub)
    _enrolled(hub, staff, hub.key_client(key))
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    staff.post("/platforms/P-440000-01/digest", content=b"to=duty%40gd.example&lang=en", headers=form)
    desk = {"url": "https://bot.example/send?key=s", "name": "night", "kind": "wecom"}
    route = staff.post("/api/v1/alert-routes", json=desk).json()["id"]
    staff.post(f"/api/v1/alert-routes/{route}/pause")
    staff.delete(f"/api/v1/alert-routes/{route}")
    staff.put(f"/api/v1/feeds/{feed}/brakes", json={"delete_brake": "200,20%", "reason": "test"})
    staff.put(f"/api/v1/feeds/{feed}/objective", json={"within_s": 3600})
    staff.delete(f"/api/v1/feeds/{feed}/objective")
    with hub.database.write() as connection:
        incidents.reconcile(connection, [Cause("hub:disk", Rule.DISK, "hub", "full")], 0)
    staff.post("/api/v1/incidents/1/ack", json={"by": "wang"})
    _reviewed(hub, staff)
    with hub.database.write() as connection:
        platforms.transition(connection, "P-440000-01", "suspended", "test")
    totp = pyotp.TOTP(staff.post("/api/v1/me/second-factor").json()["secret"])
    staff.post("/api/v1/me/second-factor/confirm", json={"code": totp.at(int(time.time()))})
    staff.post("/api/v1/me/password", json={"old": PASSWORD, "new": "velvet-lantern-rice-14"})
    with hub.database.write() as connection:
        links.link(connection, "wang", "https://idp.example", "1")
    admin.post("/api/v1/people/wang/disable")
    admin.post("/api/v1/logout")


def _returned(hub: Desk, staff: Any, feed: int) -> None:
    """A record that a run removed comes back."""
    id = "ix:P-440000-01:files/1"
    made = prepare({"id": id, "title": "x"}, id)
    assert isinstance(made, Prepared)
    with hub.database.write() as connection:
        number = connection.execute(run.insert().returning(run.c.id), _ended(feed)).scalar_one()
        catalogue.apply(connection, [Arrival(made, b"x")], Origin(feed, number, "440000"))
        catalogue.remove(connection, [id], number)
    assert staff.post(f"/api/v1/runs/{number}/undo", json={"reason": "a broken list"}).json()["changed"] == 1


def _left(hub: Desk) -> None:
    """A member leaves, and a record of its feed with it."""
    id = "ix:P-460000-01:ix-1/1"
    made = prepare({"id": id, "title": "x"}, id)
    assert isinstance(made, Prepared)
    with hub.database.write() as connection:
        platforms.register(connection, "P-460000-01", "n")
        number = feeds.register(
            connection, platform="P-460000-01", name="n", connector="ix", config={"base_url": "https://e.example"}
        )
        catalogue.apply(connection, [Arrival(made, b"x")], Origin(number, 1, "460000"))
        moves.retire(connection, "P-460000-01", Settings(enrol_grace_days=0), "merged")
        assert leaving.ask(connection) == 1
        lease = leases.claim(connection, number, "w", 60, leases.LEFT)
        feed = feeds.by_id(connection, number)
    assert lease is not None
    assert leaving.leave(hub.app.state.engine, lease, feed)["tombstoned"] == 1


def _ended(feed: int) -> dict[str, Any]:
    return {"feed_id": feed, "job": "harvest", "status": "done", "started_at": 0}


def _enrolled(hub: Desk, staff: Any, platform: Any) -> None:
    """Each kind of thing that enrolment notes; the domain is proved by a TXT record."""
    hub.platform("E-110000-01")
    vendor = Applicant(hub, application())
    hub.app.state.texts = lambda _: [f"hutong-challenge={vendor.challenge}"]
    vendor.post("proof", {"by": "dns"})
    vendor.attach()
    grading = {"level": 3, "filing": "44010043001-23001", "expires_on": "2099-06-30"}
    platform.post("/api/v1/platforms/P-440000-01/grading", json=grading)
    staff.post("/api/v1/platforms/P-440000-01/line", json={"parent": None, "reason": "test"})
    staff.put("/api/v1/platforms/P-440000-01/weight", json={"weight": 2, "reason": "test"})
    staff.post("/api/v1/choices", json={"platform": "E-110000-01", "region": "440000"})
    body = {"title": "t", "body": "b", "platforms": ["P-440000-01"]}
    notice = staff.post("/api/v1/notices", json=body).json()["id"]
    platform.post(f"/api/v1/notices/{notice}/acknowledge", json={"platform": "P-440000-01"})


def _reviewed(hub: Desk, staff: Any) -> None:
    """A policy, a verdict on a record of the catalogue, and its undo."""
    staff.put("/api/v1/admission/policies", json={"platform": "P-440000-01", "mode": "every"})
    id = "ix:P-440000-01:ix-1/1"
    made = prepare({"id": id, "title": "x"}, id)
    assert isinstance(made, Prepared)
    with hub.database.write() as connection:
        catalogue.apply(connection, [Arrival(made, b"x")], Origin(1, 1, "440000"))
    reviewer = hub.person("gao", "reviewer")
    body = {"decision": "withdraw", "items": [{"id": id}], "reasons": ["notice"]}
    batch = reviewer.post("/api/v1/admission/decisions", json=body).json()["batch"]
    assert reviewer.post(f"/api/v1/admission/decisions/{batch}/undo").status_code == 200


def test_every_kind_of_act_is_noted_with_who_from_where_and_what(hub: Desk) -> None:
    _everything(hub)
    auditor = hub.person("zhou", "auditor")
    rows = auditor.get("/api/v1/audit", params={"limit": 500}).json()["items"]
    assert {row["act"] for row in rows} == set(Act) - {Act.AUDIT_PURGED}
    by_act = {row["act"]: row for row in rows}
    assert (by_act["key.rotated"]["actor"], by_act["key.rotated"]["address"]) == ("person:sun", "127.0.0.1")
    assert (by_act["held.decided"]["actor"], by_act["held.decided"]["object"][:5]) == ("person:wang", "held:")
    assert by_act["refused"]["detail"] == {"why": "auth.forbidden", "count": 1}
    assert all(len(row["request"]) == 32 for row in rows if row["address"])
    failed = auditor.get("/api/v1/audit", params={"object": "person:wang", "act": "login"}).json()["items"]
    assert [row["result"] for row in failed] == ["refused", "done"]
    first = auditor.get("/api/v1/audit", params={"limit": 3}).json()
    second = auditor.get("/api/v1/audit", params={"limit": 3, "cursor": first["next"]}).json()
    assert [row["seq"] for row in first["items"] + second["items"]] == sorted(
        {row["seq"] for row in first["items"] + second["items"]}, reverse=True
    )
    since = rows[len(rows) // 2]["at"]
    assert all(row["at"] >= since for row in auditor.get("/api/v1/audit", params={"since": since}).json()["items"])
    with hub.database.read() as connection:
        assert audit.verify(connection) is None


def test_the_hub_leaves_a_head_when_it_stops(sqlite: Database, tmp_path: Path) -> None:
    with desk(sqlite, tmp_path) as hub:
        hub.platform("P-440000-01")
        ring = hub.app.state.gate.ring
    good, bad = clerk.exported(ring, tmp_path / clerk.FILE)
    assert (good[-1]["seq"], bad) == (2, 0)


def test_services_note_without_http_as_the_hub_itself(database: Database) -> None:
    with database.write() as connection:
        platforms.register(connection, "P-440000-01", "x")
        number = feeds.register(connection, platform="P-440000-01", name="n", connector="ix", config={})
        feeds.transition(connection, number, "paused")
        secrets.keep(connection, RING, feeds.owner(number), {"api_key": "s"})
        keys.issue(connection, "P-440000-01")
        people.add(connection, "wang", PASSWORD, ["operator"])
        with pytest.raises(decisions.NotFound):
            decisions.reject(connection, 7)
        assert {row["actor"] for row in audit.search(connection)} == {"system"}
        assert len(audit.search(connection)) == 6


def _refusals(database: Database) -> list[dict[str, Any]]:
    with database.read() as connection:
        assert audit.verify(connection) is None
        return [row for row in audit.search(connection, limit=5000) if row["result"] == "refused"]


def test_nobody_floods_the_chain_and_every_refusal_is_counted(database: Database, tmp_path: Path) -> None:
    """Closed pages, guessed names, guessed clients and guessed first codes, from three addresses."""
    with desk(database, tmp_path, trusted_proxies="127.0.0.1") as hub:
        code = hub.platform("P-440000-01")[:11]
        sent = dict.fromkeys(("198.51.100.1", "198.51.100.2", "2001:db8:1:2::/64"), 0)
        for number in range(150):
            for bucket in sent:
                address = bucket.replace("::/64", f"::{number:x}")
                client = httpx.Client(base_url=hub.url, headers={"X-Forwarded-For": address}, timeout=60)
                with client:
                    match number % 4:
                        case 0:
                            answer = client.get("/runs")
                        case 1:
                            answer = client.get("/api/v1/feeds", headers={"Authorization": f"Bearer {code}_{number}"})
                        case 2:
                            form = {
                                "grant_type": "client_credentials",
                                "client_id": "P-440000-01",
                                "client_secret": "x",
                            }
                            answer = client.post("/oauth/token", data=form)
                        case _:
                            body = {"code": "hk_x", "name": f"n{number}", "password": PASSWORD}
                            answer = client.post("/api/v1/people/first", json=body)
                assert answer.status_code == 401
                sent[bucket] += 1
        assert len(_refusals(database)) <= 3 * (5 + 7)
    rows = _refusals(database)
    assert len(rows) <= 3 * (5 + 7 + 1)
    assert {row["address"] for row in rows} > {"198.51.100.1", "198.51.100.2"}
    last = {row["address"]: row["detail"]["count"] for row in reversed(rows) if row["object"] == "requests"}
    assert last == sent, "what no row of its own told is told when the clerk comes"


def test_a_guessed_name_is_a_row_only_while_there_are_few(hub: Desk) -> None:
    hub.person("wang", "operator").close()
    for number in range(40):
        hub.login(f"nobody{number}", "wrong-password-1")
    for _ in range(9):
        hub.login("wang", "wrong-password-1")
    rows = [row for row in _refusals(hub.database) if row["act"] == "login"]
    of_nobody = [row for row in rows if row["object"] == "person:unknown"]
    assert [row["detail"]["count"] for row in of_nobody] == [32, 16, 8, 5, 4, 3, 2, 1]
    assert [row["detail"]["why"] for row in rows if row["object"] == "person:wang"].count("auth.required") == 5


def test_a_tenant_that_is_refused_on_and_on_is_bounded_as_well(hub: Desk) -> None:
    with hub.key_client(hub.platform("P-440000-01")) as client:
        for _ in range(620):
            assert client.post("/api/v1/platforms", json={}).status_code == 403
    assert [row["detail"]["count"] for row in _refusals(hub.database)][:2] == [512, 500]


def test_many_addresses_are_counted_together_beyond_the_first() -> None:
    tally = Tally()
    for number in range(3000):
        tally.refused(Principal("anonymous", frozenset(), Rows(), address=f"198.51.{number // 250}.{number % 250}"))
    assert tally.rest() == [("", "others", 2500)]
    assert tally.rest() == []


def test_the_command_searches_by_actor_object_and_time_and_names_the_broken_row(
    sqlite: Database, tmp_path: Path
) -> None:
    with sqlite.write() as connection:
        _filled(connection, 6)
        _open(connection)
        for seq in range(1, 7):
            at = 1_780_000_000_000_000 + seq * DAY  # 2026-05-28T20:26:40Z and the days after
            connection.execute(update(access.audit).where(access.audit.c.seq == seq).values(at=at))
        _rehash_all(connection)

    def audited(*command: str) -> Done:
        return hutong("audit", *command, HUTONG_DATA_DIR=str(tmp_path), HUTONG_DATABASE_URL=str(sqlite.url))

    since, until = "2026-05-30", "2026-06-01T05:00:00+08:00"
    told = audited("list", "--since", since, "--until", until, "--json").stdout.splitlines()
    assert [orjson.loads(line)["object"] for line in told] == ["person:p2", "person:p1"]
    assert audited("list", "--object", "person:p4", "--actor", "system").stdout.count("person:p4") == 1
    assert audited("list", "--since", "yesterday").returncode == 2
    assert "the chain holds: 6 rows" in audited("verify").stdout
    with sqlite.write() as connection:
        connection.execute(update(access.audit).where(access.audit.c.seq == 4).values(actor="nobody"))
    broken = audited("verify")
    assert (broken.returncode, "broken at row 4" in broken.stdout) == (1, True)
