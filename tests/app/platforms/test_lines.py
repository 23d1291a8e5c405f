"""Lines, choices of regions, notices: who belongs to whom, who hears what."""

from typing import Any

import pytest

from app.catalogue import service as catalogue
from app.catalogue.arrivals import Arrival, Origin
from app.db import Database
from app.platforms import choices, lines, service
from app.protocol.errors import BadRequest, Conflict
from app.protocol.record import Prepared, prepare
from tests.app.access.desk import Desk

HUB = "N-000000-01"


def _registered(database: Database, *codes: str) -> None:
    with database.write() as connection:
        for code in codes:
            service.register(connection, code, code)


FEDERATION = ("P-440000-01", "C-440100-01", "D-440105-01", "P-650000-01", "P-660000-01", "P-210000-01", "C-210200-01")


@pytest.mark.parametrize(
    ("code", "upper", "by"),
    [
        ("S-440105-01", "D-440105-01", "region"),
        ("D-440106-01", "C-440100-01", "region"),
        ("C-440100-01", "P-440000-01", "region"),
        ("D-440605-01", "P-440000-01", "region"),
        ("P-440000-01", HUB, "hub"),
        ("C-440300-01", HUB, "direct"),
        ("D-440305-01", HUB, "hub"),
        ("C-210200-01", HUB, "direct"),
        ("D-210203-01", "C-210200-01", "region"),
        ("D-659001-01", "P-660000-01", "region"),
        ("D-650102-01", "P-650000-01", "region"),
        ("E-110000-01", None, "none"),
    ],
)
def test_a_line_follows_the_region_code_and_the_five_cities_report_directly(
    database: Database, code: str, upper: str | None, by: str
) -> None:
    _registered(database, *{*FEDERATION, code})
    with database.read() as connection:
        assert lines.line(connection, code, HUB) == {"code": code, "upper": upper, "by": by}


def test_an_agreement_goes_before_the_region_and_leads_upwards_only(database: Database) -> None:
    _registered(database, *FEDERATION, "E-110000-01")
    with database.write() as connection:
        lines.agree(connection, "D-440105-01", "P-440000-01", "省直管")
        assert lines.line(connection, "D-440105-01", HUB) == {
            "code": "D-440105-01",
            "upper": "P-440000-01",
            "by": "agreement",
        }
        lines.agree(connection, "D-440105-01", None, "恢复")
        assert lines.line(connection, "D-440105-01", HUB)["by"] == "region"
        for code, parent in (
            ("P-440000-01", "C-440100-01"),
            ("C-440100-01", "C-210200-01"),
            ("E-110000-01", "P-440000-01"),
        ):
            with pytest.raises(BadRequest, match="higher level") as caught:
                lines.agree(connection, code, parent, "x")
            assert caught.value.kind == "enrol.line"


def _chosen(database: Database, region: str) -> dict[str, Any] | None:
    with database.read() as connection:
        found = choices.chosen(connection, region)
        assert [choices.effective(connection, one["platform"], region) for one in found] == found
    return found[0] if found else None


def test_a_choice_is_inherited_and_can_be_narrowed_never_widened(database: Database) -> None:
    _registered(database, "E-110000-01")
    with database.write() as connection:
        choices.choose(connection, "E-110000-01", "440000", True, {"stage": ["2", "3"]}, "")
    guangzhou = _chosen(database, "440105")
    assert guangzhou is not None
    assert (guangzhou["by"], guangzhou["only"]) == ("440000", {"stage": ["2", "3"]})
    assert _chosen(database, "450000") is None
    with database.write() as connection:
        choices.choose(connection, "E-110000-01", "440100", True, {"stage": ["3", "4"], "subject": ["14"]}, "")
        choices.choose(connection, "E-110000-01", "440300", False, {}, "本市自建")
    narrowed = _chosen(database, "440105")
    assert narrowed is not None
    assert (narrowed["by"], narrowed["only"]) == (
        "440100",
        {"stage": ["3"], "subject": ["14"]},
    )
    assert _chosen(database, "440305") is None
    with database.write() as connection, pytest.raises(Conflict) as caught:
        choices.choose(connection, "E-110000-01", "440305", True, {}, "")
    assert caught.value.kind == "enrol.choice"


def test_a_choice_of_the_country_holds_everywhere_until_it_is_taken_back(database: Database) -> None:
    _registered(database, "E-110000-01")
    with database.write() as connection:
        choices.choose(connection, "E-110000-01", "000000", True, {}, "")
    assert _chosen(database, "540102") is not None
    with database.write() as connection:
        choices.choose(connection, "E-110000-01", "000000", False, {}, "")
    assert _chosen(database, "540102") is None


def test_unknown_codes_regions_and_vendors_are_named(database: Database) -> None:
    _registered(database, "E-110000-01", "P-440000-01")
    with database.write() as connection:
        for code, region, only, word in (
            ("E-110000-01", "999999", {}, "region"), ("E-110000-01", "440000", {"stage": ["99"]}, "stage"),
            ("E-110000-01", "440000", {"stage": []}, "empty"),
        ):  # fmt: skip
            with pytest.raises(BadRequest, match=word):
                choices.choose(connection, code, region, True, only, "")


def test_a_region_chooses_for_itself_and_a_vendor_reads_its_own(hub: Desk) -> None:
    keys = [hub.key_client(hub.platform(code)) for code in ("E-110000-01", "E-310000-01")]
    gd = hub.person("li", "operator", regions=("440000",))
    body = {"platform": "E-110000-01", "region": "440100"}
    assert gd.post("/api/v1/choices", json=body).json()["chosen"] is True
    assert gd.post("/api/v1/choices", json={**body, "region": "110000"}).status_code == 403
    assert gd.post("/api/v1/choices", json={**body, "platform": "P-440000-01"}).status_code == 404
    assert [len(key.get("/api/v1/choices?region=440100").json()["items"]) for key in keys] == [1, 0]
    assert gd.get("/api/v1/choices?region=440105").json()["items"][0]["by"] == "440100"


def test_the_catalogue_shows_what_a_region_has_chosen_and_counts_it(hub: Desk) -> None:
    made = [
        ("E-110000-01", 1, {"subject": "14", "stage": "2"}), ("E-110000-01", 2, {"subject": "13", "stage": "2"}),
        ("E-310000-01", 3, {"subject": "13"}), ("E-330000-01", 4, {"subject": "14"}), ("P-440000-01", 5, {"subject": "14"}),
    ]  # fmt: skip
    reader = hub.key_client([hub.platform(code) for code in sorted({code for code, _, _ in made})][-1])
    records = [prepare({"title": f"第{n}课", **words}, f"ix:{code}:f/{n}") for code, n, words in made]
    with hub.database.write() as connection:
        found = [Arrival(one, b"x" * 16) for one in records if isinstance(one, Prepared)]
        catalogue.apply(connection, found, Origin(1, 1, "440000"))
        for code, region, only in (
            ("E-110000-01", "000000", {"stage": ["2"]}), ("E-310000-01", "440000", {}),
            ("E-110000-01", "440100", {"subject": ["14"]}),
        ):  # fmt: skip
            choices.choose(connection, code, region, True, only, "")
        choices.choose(connection, "E-310000-01", "440300", False, {}, "本市自建")

    def shown(region: str, more: str = "") -> list[str]:
        answer = reader.get(f"/api/v1/records?chosen_by={region}{more}").json()
        return [one["id"].rpartition("/")[2] for one in answer["items"]]

    assert (shown("440000"), shown("440105"), shown("440300"), shown("110000")) == (
        ["3", "2", "1"],
        ["3", "1"],
        ["2", "1"],
        ["2", "1"],
    )
    assert (shown("440000", "&subject=13"), shown("440000", "&q=第3课"), shown("440000", "&limit=1")) == (
        ["3", "2"],
        ["3"],
        ["3"],
    )
    counts = reader.get("/api/v1/facets?chosen_by=440105").json()
    assert {one["code"]: one["count"] for one in counts["facets"]["subject"]} == {"13": 1, "14": 1}
    assert reader.get("/api/v1/records?chosen_by=999999").status_code == 422
    with hub.database.write() as connection:
        choices.choose(connection, "E-110000-01", "000000", False, {}, "")
    assert (shown("110000"), reader.get("/api/v1/facets?chosen_by=110000").json()["facets"]) == ([], {})


def test_a_choice_is_narrowed_by_what_records_are_found_by(database: Database) -> None:
    _registered(database, "E-110000-01")
    with database.write() as connection, pytest.raises(BadRequest, match=r"only\.volume: .* by subject, stage"):
        choices.choose(connection, "E-110000-01", "440000", True, {"volume": ["1"]}, "")


def test_a_notice_is_read_and_acknowledged_by_its_addressees_only(hub: Desk) -> None:
    codes = ("P-440000-01", "C-440100-01", "P-110000-01")
    gz, bj = hub.key_client(hub.platform("C-440100-01")), hub.key_client(hub.platform("P-110000-01"))
    hub.platform("P-440000-01")
    wang, gd = hub.person("wang", "operator"), hub.person("li", "operator", regions=("440000",))
    body = {"title": "关于整改的通报", "body": "请于期限内整改", "region": "440000", "days": 0}
    made = wang.post("/api/v1/notices", json=body).json()
    assert made["platforms"] == 2
    path = f"/api/v1/notices/{made['id']}"
    assert bj.get(path).status_code == 404
    assert [one["platform"] for one in gz.get(path).json()["addressees"]] == ["C-440100-01"]
    assert bj.post(f"{path}/acknowledge", json={"platform": "P-110000-01"}).status_code == 404
    assert bj.post(f"{path}/acknowledge", json={"platform": "C-440100-01"}).status_code == 404
    assert gz.post(f"{path}/acknowledge", json={"platform": "C-440100-01", "answer": "已整改"}).status_code == 200
    assert gz.post(f"{path}/acknowledge", json={"platform": "C-440100-01"}).json()["kind"] == "enrol.acknowledged"
    row = wang.get("/api/v1/notices").json()["items"][0]
    assert (row["platforms"], row["acknowledged"], row["late"]) == (2, 1, 1)
    assert gd.post("/api/v1/notices", json={**body, "region": None, "platforms": [codes[2]]}).status_code == 404
    assert gd.post("/api/v1/notices", json={**body, "region": "110000"}).status_code == 422


def test_a_grading_is_filed_by_the_platform_itself(hub: Desk) -> None:
    gz, other = hub.key_client(hub.platform("C-440100-01")), hub.key_client(hub.platform("P-110000-01"))
    body = {"level": 3, "filing": "44010043001-23001", "expires_on": "2099-06-30"}
    path = "/api/v1/platforms/C-440100-01/grading"
    assert gz.post(path, json=body).status_code == 201
    assert other.post(path, json=body).status_code == 404
    for change in ({"expires_on": "2020-01-01"}, {"expires_on": "2026-02-31"}, {"level": 6}):
        assert gz.post(path, json={**body, **change}).status_code == 422
    assert [one["platform"] for one in gz.get("/api/v1/gradings").json()["items"]] == ["C-440100-01"]
    assert other.get("/api/v1/gradings").json()["items"] == []
