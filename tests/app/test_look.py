"""Looking without storing: probe, preview, validate; on the demo's platforms and on real catalogues."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.db import Database
from app.demo.catalogue import DemoPlatform
from app.demo.faces import MAPPING, face
from app.harvest import assess, look
from app.harvest.fetch import Fetcher
from app.protocol.errors import BadRequest, PeerViolation
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer


def _demo(kind: str, count: int = 450, fault: str | None = None) -> Callable[[str], Answer]:
    return face(DemoPlatform("P-440000-01", "广东省教育资源公共服务平台", kind, fault, count))


def _config(kind: str, url: str) -> dict[str, str]:
    return {"oai-pmh": {"base_url": f"{url}/oai"}, "ix": {"base_url": url}, "static-parts": {"manifest_url": f"{url}/data_version.json"}}[kind]  # fmt: skip


def _asked(kind: str) -> str:
    return {"oai-pmh": "/oai", "ix": "/", "static-parts": "/data_version.json"}[kind]


@pytest.fixture
def fetcher() -> Any:
    with_loopback = Fetcher(allow="127.0.0.0/8")
    yield with_loopback
    with_loopback.close()


def _own(kind: str) -> Callable[[str], Answer]:
    """The platform at its own addresses only: everything else is 404, as with a real server."""
    good, roots = _demo(kind), {"oai-pmh": "/oai", "ix": "/.well-known/ix /ix/", "static-parts": "/data_version /part_"}

    def answer(path: str) -> Answer:
        known = path.startswith(tuple(roots[kind].split()))
        return good(path) if known else (404, {"Content-Type": "text/html"}, b"<html>nothing here</html>")

    return answer


@pytest.mark.parametrize("kind", ["oai-pmh", "ix", "static-parts"])
def test_a_probe_names_the_kind_with_evidence_and_a_configuration_that_works(fetcher: Fetcher, kind: str) -> None:
    with ReplayServer(_own(kind)) as url:
        found = look.probe(fetcher, f"{url}{_asked(kind)}")
        best = found["kinds"][0]
        assert (best["connector"], len(found["kinds"])) == (kind, 1)
        assert best["certainty"] >= 80
        assert all(best["reasons"])
        subject = look.unregistered(kind, dict(best["config"]), found["mapping"])
        assert look.preview(fetcher, subject, 20, "")["seen"] == 20


def test_a_probe_of_a_home_page_tries_the_usual_doors(fetcher: Fetcher) -> None:
    with ReplayServer(_own("oai-pmh")) as url:
        found = look.probe(fetcher, f"{url}/index.html")
    assert found["kinds"][0]["config"] == {"base_url": f"{url}/oai"}


@pytest.mark.parametrize(
    "body", [b"", b"<html></html>", b"{}", b"[]", b"null", b'{"urls":1,"module_version":2}', b"\xff\x00", b"<OAI-PMH"]
)
def test_a_probe_of_what_nobody_knows_answers_so(fetcher: Fetcher, body: bytes) -> None:
    with ReplayServer(lambda _: (200, {}, body)) as url:
        assert look.probe(fetcher, url)["kinds"] == []
        with pytest.raises(BadRequest, match="no kind of connector recognises"):
            look.proposed(fetcher, url)


def test_a_proposed_mapping_gives_the_demo_records_their_codes(fetcher: Fetcher) -> None:
    with ReplayServer(_own("static-parts")) as url:
        subject = look.proposed(fetcher, f"{url}/data_version.json")
        found = look.preview(fetcher, subject, 50, "")
    share = {item["field"]: item["present"] for item in found["coverage"]}
    codes = ("title", "languages", "subject", "stage", "grade", "edition", "volume", "type", "contributors", "location")
    assert [name for name in codes if share.get(name) != 50] == []
    assert not any(item["unmapped"] for item in found["coverage"])
    assert found["score"] >= 70


@pytest.mark.parametrize(("kind", "requests"), [("oai-pmh", 2), ("ix", 1), ("static-parts", 2)])
def test_a_preview_of_20_asks_for_one_page_and_stores_nothing(
    database: Database, fetcher: Fetcher, kind: str, requests: int
) -> None:
    hub, server = Hub(database), ReplayServer(_demo(kind))
    with server as url:
        subject = look.unregistered(kind, _config(kind, url), MAPPING if kind == "static-parts" else None)
        found = look.preview(fetcher, subject, 20, "personal=flag")
    # What must be asked before the first page counts: Identify, the manifest.
    assert len(server.asked) == found["requests"] == requests
    assert (found["seen"], hub.live(), hub.head()) == (20, 0, 0)
    assert all(item["record"]["title"] for item in found["records"])


@pytest.mark.parametrize("kind", ["oai-pmh", "ix", "static-parts"])
def test_a_preview_of_20_takes_less_than_300_ms_of_our_own_time(fetcher: Fetcher, kind: str) -> None:
    with ReplayServer(_demo(kind)) as url:
        subject = look.unregistered(kind, _config(kind, url), MAPPING if kind == "static-parts" else None)
        # The best of five: other processes share the machine, and the first look reads the code lists.
        assert min(look.preview(fetcher, subject, 20, "personal=flag")["own_ms"] for _ in range(5)) < 300


def test_a_validation_groups_by_rule_with_three_examples_and_a_csv_of_the_rest(fetcher: Fetcher) -> None:
    with ReplayServer(_demo("static-parts", 1000, "bad records")) as url:
        subject = look.unregistered("static-parts", _config("static-parts", url), MAPPING)
        report, verdicts = look.validate(fetcher, subject, 1000, "")
    assert (report["seen"], report["accepted"], report["refused"]) == (1000, 990, 10)
    first = report["rules"][0]
    assert (first["rule"], first["severity"], first["count"], len(first["examples"])) == (
        "record.title_missing",
        "error",
        10,
        3,
    )
    assert all([first["zh"], first["en"], first["remedy"]])
    order = [group["severity"] for group in report["rules"]]
    assert order == sorted(order, key=["error", "warning", "advice"].index)
    file = io.StringIO()
    csv.writer(file).writerows(assess.rows(verdicts))
    assert len(file.getvalue().splitlines()) == sum(group["count"] for group in report["rules"])


def test_the_verdict_of_a_look_is_the_verdict_of_the_harvest(sqlite: Database, fetcher: Fetcher) -> None:
    hub = Hub(sqlite)
    with ReplayServer(_demo("oai-pmh", 300, "bad records")) as url:
        report, _ = look.validate(fetcher, look.unregistered("oai-pmh", _config("oai-pmh", url), None), 1000, "")
        harvested = hub.harvest(hub.feed("oai-pmh", _config("oai-pmh", url)))
    assert (report["accepted"], report["refused"]) == (harvested["created"], harvested["rejected"])


def test_a_cell_of_the_csv_is_never_a_formula(fetcher: Fetcher) -> None:
    part = orjson.dumps([{"id": "=cmd|x", "title": None}])
    manifest = orjson.dumps({"module_version": 1, "urls": ["/part_0.json"]})
    with ReplayServer(lambda path: (200, {}, part if "part" in path else manifest)) as url:
        subject = look.unregistered("static-parts", _config("static-parts", url), MAPPING)
        _, verdicts = look.validate(fetcher, subject, 10, "")
    assert next(assess.rows(verdicts))[2] == "'=cmd|x"


def test_a_source_without_end_is_looked_at_for_a_bounded_time(fetcher: Fetcher) -> None:
    pages = iter(range(10_000))

    def answer(path: str) -> Answer:
        body = {"epoch": "e", "items": [], "next": str(next(pages)), "more": True}
        return 200, {}, orjson.dumps(body)

    server = ReplayServer(answer)
    with server as url:
        found = look.preview(fetcher, look.unregistered("ix", _config("ix", url), None), 20, "")
    assert (found["seen"], found["score"]) == (0, 0)
    assert len(server.asked) == 20 + look.SPARE


def test_a_page_that_is_no_page_is_an_error_by_name(fetcher: Fetcher) -> None:
    with ReplayServer(lambda _: (200, {}, b"<html>login</html>")) as url:
        with pytest.raises(PeerViolation) as caught:
            look.preview(fetcher, look.unregistered("oai-pmh", _config("oai-pmh", url), None), 20, "")
    assert caught.value.kind == "page.html"


def test_files_are_validated_as_arrays_lines_and_answers(fetcher: Fetcher, tmp_path: Path, data: Path) -> None:
    poems = orjson.loads((data / "chinese-poetry" / "poet.tang.0.json").read_bytes())
    mapping = orjson.loads((Path(__file__).parents[2] / "docs/examples/mappings/chinese-poetry.json").read_bytes())
    (tmp_path / "a.json").write_bytes(orjson.dumps(poems))
    (tmp_path / "a.ndjson").write_bytes(b"\n".join(map(orjson.dumps, poems)))
    seen = []
    for name in ("a.json", "a.ndjson"):
        report, _ = look.validate(fetcher, look.file(tmp_path / name, 1000, mapping), 1000, "")
        seen.append((report["seen"], report["refused"]))
    assert seen == [(1000, 0), (1000, 0)]
    (tmp_path / "b.bin").write_bytes(b"\x00\x01")
    with pytest.raises(BadRequest, match="no kind knows this file"):
        look.file(tmp_path / "b.bin", 10, None)


def test_a_real_repository_is_recognised_by_its_identify(fetcher: Fetcher, data: Path) -> None:
    folder = data / "oai-pmh" / "nsdl"

    def answer(path: str) -> Answer:
        name = "GoodResponseIdentify.xml" if "Identify" in path else "GoodResponseSinglePage.xml"
        return (200, {"Content-Type": "text/xml"}, (folder / name).read_bytes()) if "/oai" in path else (404, {}, b"")

    with ReplayServer(answer) as url:
        found = look.probe(fetcher, f"{url}/oai")
        config = {**found["kinds"][0]["config"], "prefix": "nsdl_dc"}
        report, _ = look.validate(fetcher, look.unregistered("oai-pmh", config, None), 1000, "")
    assert (found["kinds"][0]["connector"], found["mapping"], report["seen"], report["refused"]) == (
        "oai-pmh",
        None,
        162,
        0,
    )
