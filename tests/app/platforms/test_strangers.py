"""Self registration in the hands of strangers: it tells nothing of others and cannot be made to fill the hub."""

from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update

from app.access.quotas import Rate
from app.db import Database, now
from app.platforms.tables import enrolment
from tests.app.access.desk import Desk, desk
from tests.app.platforms.office import Applicant, admitted, application, proved

DAY = 86_400_000_000


def _apply(hub: Desk, address: str, number: int = 0) -> httpx.Response:
    headers = {"X-Forwarded-For": address}
    return httpx.post(f"{hub.url}/api/v1/enrolments", json=application(number=number), headers=headers)


def test_one_address_makes_so_many_applications_a_day_in_every_process(database: Database, tmp_path: Path) -> None:
    limits = {"trusted_proxies": "127.0.0.0/8", "enrol_per_day": 2}
    with desk(database, tmp_path, **limits) as one, desk(database, tmp_path, **limits) as two:
        assert [_apply(hub, "2001:db8:1:2::7", n).status_code for n, hub in enumerate((one, two))] == [201, 201]
        refused = _apply(one, "2001:db8:1:2::8", 2)
        assert (refused.status_code, refused.json()["kind"]) == (429, "enrol.too_many")
        assert int(refused.headers["Retry-After"]) > 0
        assert _apply(one, "2001:db8:1:3::8", 2).status_code == 201, "another /64 is another stranger"
        with database.write() as connection:
            connection.execute(update(enrolment).values(created_at=now(connection) - DAY - 1))
        assert _apply(one, "2001:db8:1:2::8", 3).status_code == 201, "the next day"
    with database.read() as connection:
        kept = set(connection.execute(select(enrolment.c.origin)).scalars())
    assert kept == {"2001:db8:1:2::/64", "2001:db8:1:3::/64"}


def test_a_wrong_application_does_not_count(sqlite: Database, tmp_path: Path) -> None:
    with desk(sqlite, tmp_path, trusted_proxies="127.0.0.0/8", enrol_per_day=1) as hub:
        headers = {"X-Forwarded-For": "198.51.100.7"}
        for _ in range(3):
            bad = application(credit_code="9111")
            assert httpx.post(f"{hub.url}/api/v1/enrolments", json=bad, headers=headers).status_code == 422
        assert _apply(hub, "198.51.100.7").status_code == 201


def test_a_stranger_does_not_learn_who_is_connected(hub: Desk) -> None:
    wang, li = hub.person("wang", "operator"), hub.person("li", "operator")
    with proved(hub) as vendor:
        code, _ = admitted(hub, vendor, wang, li)
    known, unknown = application(vendor.said["domain"]), application(number=7)
    for path in ("enrolments/check", "enrolments"):
        answers = [httpx.post(f"{hub.url}/api/v1/{path}", json=asked) for asked in (known, unknown)]
        assert len({answer.status_code for answer in answers}) == 1
        assert code not in answers[0].text
    stranger = Applicant(hub, known)
    assert stranger.post("submit").json()["kind"] == "enrol.incomplete", "not taken: no word before the proof"
    absent = stranger.client.get("/api/v1/enrolments/A-110000-aaaaaaa")
    others = stranger.client.get(f"/api/v1/enrolments/{vendor.id}")
    assert (absent.status_code, others.status_code) == (404, 404)
    assert absent.json()["detail"].replace("A-110000-aaaaaaa", "") == others.json()["detail"].replace(vendor.id, "")


def test_a_domain_is_looked_at_so_many_times_an_hour(hub: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.app.state.attempts, "rate", Rate(2, 3600))
    one, two = Applicant(hub, application("127.0.0.1:1")), Applicant(hub, application("127.0.0.1:1", 1))
    assert [one.post("proof", {"by": "file"}).status_code for _ in range(3)] == [422, 422, 429]
    assert two.post("proof", {"by": "file"}).status_code == 422, "another applicant's attempts are its own"


def test_who_has_proved_nothing_keeps_little(hub: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.platforms import documents

    monkeypatch.setattr(documents, "BYTES_UNPROVED", 10)
    with proved(hub) as vendor:
        stranger = Applicant(hub, application(number=1))
        assert stranger.attach(content=b"x" * 10).status_code == 201
        refused = stranger.attach(content=b"y")
        assert (refused.status_code, refused.json()["kind"]) == (409, "enrol.documents")
        assert "before its domain is proved" in refused.json()["detail"]
        assert vendor.attach(content=b"x" * 11).status_code == 201
        monkeypatch.setattr(documents, "BYTES_IN_ALL", 20)
        assert vendor.attach(content=b"z" * 11).json()["kind"] == "enrol.documents"
