"""A domain is proved by what only its owner can put there; documents are what their hash says."""

from pathlib import Path

import pytest

from app.db import Database
from tests.app.access.desk import Desk, desk
from tests.app.platforms.office import Applicant, admitted, application, nameserver, proved, website

PLACE = "/.well-known/hutong-challenge"


def test_a_domain_is_proved_by_a_file(hub: Desk) -> None:
    with proved(hub) as vendor:
        found = vendor.shown()
        assert (found["proved_by"], found["proved_at"] > 0) == ("file", True)


@pytest.mark.parametrize("content", ["", "something else", "{challenge}x"])
def test_a_file_without_the_challenge_proves_nothing(hub: Desk, content: str) -> None:
    pages: dict[str, str] = {}
    with website(pages) as domain:
        vendor = Applicant(hub, application(domain))
        pages[PLACE] = content.format(challenge=vendor.challenge)
        answer = vendor.post("proof", {"by": "file"})
    assert (answer.status_code, answer.json()["kind"]) == (422, "enrol.proof")
    assert vendor.shown()["proved_at"] is None


def test_a_file_of_another_host_proves_nothing(hub: Desk) -> None:
    pages: dict[str, str] = {}
    with website(pages) as elsewhere, website({}, {PLACE: f"http://{elsewhere}{PLACE}"}) as domain:
        vendor = Applicant(hub, application(domain))
        pages[PLACE] = vendor.challenge
        answer = vendor.post("proof", {"by": "file"})
    assert answer.json()["kind"] == "enrol.proof"
    assert "another host" in answer.json()["detail"]


def test_an_inner_address_is_never_asked(sqlite: Database, tmp_path: Path) -> None:
    with desk(sqlite, tmp_path) as hub, website({PLACE: "x"}) as domain:
        answer = Applicant(hub, application(domain)).post("proof", {"by": "file"})
    assert (answer.status_code, answer.json()["kind"]) == (422, "enrol.proof")
    assert "not a public address" in answer.json()["detail"]


def test_a_domain_is_proved_by_a_txt_record(sqlite: Database, tmp_path: Path) -> None:
    records: dict[str, str] = {}
    with nameserver(records) as server, desk(sqlite, tmp_path, dns_servers=server) as hub:
        vendor = Applicant(hub, application())
        assert vendor.post("proof", {"by": "dns"}).json()["kind"] == "enrol.proof"
        records["_hutong-challenge.resources.example.com"] = f"hutong-challenge={vendor.challenge}"
        assert vendor.post("proof", {"by": "dns"}).json()["proved_by"] == "dns"


def test_name_servers_that_are_silent_are_named(
    sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.platforms import proof

    monkeypatch.setattr(proof, "SECONDS", 0.2)
    with desk(sqlite, tmp_path, dns_servers="127.0.0.1:1") as hub:
        answer = Applicant(hub, application()).post("proof", {"by": "dns"})
    assert (answer.status_code, answer.json()["kind"]) == (422, "enrol.proof")
    assert "name servers" in answer.json()["detail"]


def test_another_domain_must_be_proved_anew(hub: Desk) -> None:
    with proved(hub) as vendor:
        other = {**vendor.said, "domain": "other.example.com"}
        answer = vendor.post("submit", {"application": other})
        assert answer.json()["kind"] == "enrol.incomplete"
        assert vendor.shown()["proved_at"] is not None, "a refused submission changes nothing"


def test_a_domain_belongs_to_who_was_admitted_with_it(hub: Desk) -> None:
    wang, li = hub.person("wang", "operator"), hub.person("li", "operator")
    pages: dict[str, str] = {}
    with website(pages) as domain:
        one, two = Applicant(hub, application(domain)), Applicant(hub, application(domain, 1))
        pages[PLACE] = f"{one.challenge}\n{two.challenge}"
        one.post("proof", {"by": "file"})
        code, _ = admitted(hub, one, wang, li)
        answer = two.post("proof", {"by": "file"})
    assert (answer.status_code, answer.json()["kind"]) == (409, "enrol.domain_taken")
    assert code in answer.json()["detail"]


def test_a_document_is_kept_by_its_hash_and_an_altered_file_is_found(hub: Desk) -> None:
    vendor = Applicant(hub, application())
    row = vendor.attach("licence", "营业执照".encode(), "../../licence 扫描.pdf").json()
    assert row["name"] == "licence 扫描.pdf"
    place = hub.settings.documents / row["sha256"][:2] / row["sha256"]
    assert place.read_bytes() == "营业执照".encode()
    path = f"/api/v1/enrolments/{vendor.id}/documents/{row['sha256']}"
    answer = vendor.client.get(path)
    assert answer.content == "营业执照".encode()
    assert answer.headers["Content-Disposition"].startswith("attachment")
    place.write_bytes(b"another")
    assert vendor.client.get(path).json()["kind"] == "enrol.altered"
    place.unlink()
    assert vendor.client.get(path).status_code == 404


def test_nobody_uploads_a_report_of_the_hub_nor_too_much(hub: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.platforms import documents

    vendor = Applicant(hub, application())
    assert vendor.attach("validation").status_code == 422
    assert vendor.attach(content=b"").status_code == 422
    monkeypatch.setattr(documents, "BYTES", 10)
    assert vendor.attach(content=b"x" * 11).status_code in (413, 422)
    monkeypatch.setattr(documents, "MOST", 1)
    vendor.attach(content=b"1")
    assert vendor.attach(content=b"2").json()["kind"] == "enrol.documents"
    assert [one["kind"] for one in vendor.shown()["documents"]] == ["report"]
