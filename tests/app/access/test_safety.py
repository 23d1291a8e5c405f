"""What holds for the hub as a whole: nothing to assign in bulk, nothing told by a fault, nothing unpinned."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from app.db import Database
from app.main import create
from app.settings import Settings
from tests.app.access.desk import desk
from tests.app.access.test_routes import METHODS

ROOT = Path(__file__).resolve().parents[3]
CONTRACT = orjson.loads((ROOT / "openapi" / "hub.json").read_bytes())
FLOORS = {"starlette": (1, 3, 1), "cryptography": (45,), "joserfc": (1, 8), "lxml": (6, 1, 3), "jinja2": (3, 1, 6)}
ABSENT = ("brotli", "brotlicffi", "pyjwt", "python-jose")


def _bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in CONTRACT["paths"].items():
        for method, about in methods.items():
            body = about.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            if method.upper() in METHODS and body and "$ref" in body:
                yield f"{method.upper()} {path}", CONTRACT["components"]["schemas"][body["$ref"].rpartition("/")[2]]


def test_every_json_body_refuses_members_that_it_does_not_name() -> None:
    bodies = dict(_bodies())
    assert len(bodies) > 10
    open_ones = {route for route, schema in bodies.items() if schema.get("additionalProperties") is not False}
    assert open_ones == {"POST /ix/v1/records:lookup"}, "the protocol may grow; it only reads"


def _pins(file: Path) -> dict[str, tuple[str, list[str]]]:
    found: dict[str, tuple[str, list[str]]] = {}
    for name, version, rest in re.findall(
        r"^([a-z0-9-]+)==(\S+)[^\n]*\n((?:    .*\n?)*)", file.read_text(), re.MULTILINE
    ):
        found[name] = (version, re.findall(r"--hash=sha256:[0-9a-f]{64}", rest))
    return found


@pytest.mark.parametrize("name", ["core", "postgres", "dev"])
def test_every_requirement_is_pinned_by_version_and_hash_above_the_floors(name: str) -> None:
    file = ROOT / "requirements" / f"{name}.txt"
    pins = _pins(file)
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith((" ", "#"))]
    assert len(pins) == len(lines) > 30
    assert [pin for pin, (_, hashes) in pins.items() if not hashes] == []
    assert [pin for pin in ABSENT if pin in _pins(ROOT / "requirements" / "core.txt")] == []
    for package, floor in FLOORS.items():
        version = tuple(int(part) for part in re.findall(r"\d+", pins[package][0])[: len(floor)])
        assert version >= floor, package
    assert "://" not in file.read_text()


def test_a_fault_tells_a_number_and_nothing_of_the_inside(sqlite: Database, tmp_path: Path) -> None:
    with desk(sqlite, tmp_path) as hub, hub.key_client(hub.platform("P-440000-01")) as client:
        with sqlite.write() as connection:
            connection.exec_driver_sql("ALTER TABLE run RENAME TO away")
        answer = client.get("/api/v1/runs/1")
        with sqlite.write() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO run")
    assert (answer.status_code, answer.json()["kind"]) == (500, "hub.error")
    assert answer.headers["x-request-id"] == answer.json()["request"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"Traceback|sqlite|SELECT|no such table|\.py", answer.text)


FORGED = "/api/v1/feeds/1%0d%0a2026-11-28 ERROR forged %1b[31m%00%e2%80%ae"


def test_a_request_cannot_forge_a_line_of_the_log_or_of_the_audit(
    sqlite: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with desk(sqlite, tmp_path) as hub, hub.key_client(hub.platform("P-440000-01")) as client:
        for path in (FORGED, "/api/v1/platforms/" + FORGED):
            client.get(path, headers={"User-Agent": "x\ty", "X-Request-Id": "forged"})
            httpx.get(f"{hub.url}{path}")
        hub.login("forged\r\nname\x1b", "x")
        rows = hub.person("zhou", "auditor").get("/api/v1/audit", params={"limit": 500}).json()["items"]
    told = caplog.text + "".join(capfd.readouterr())
    assert not [line for line in told.splitlines() if line.startswith("2026-11-28 ERROR forged")]
    assert "\x1b[31m" not in told
    assert rows
    assert {row["request"] for row in rows} & {"forged"} == set()
    assert all("forged\r\nname" not in str(row) for row in rows), "a name without an account is not written down"


def test_descriptions_name_no_private_route(tmp_path: Path) -> None:
    """The contract that is published is the one that is served: no route is left out to be forgotten."""
    app = create(Settings(data_dir=tmp_path), harvest=False)
    assert set(app.openapi()["paths"]) == set(CONTRACT["paths"])


ITEMS = [*(f"G{n}" for n in (*range(1, 11), 13, 14, 15, 17)), *(f"1.{n}" for n in (*range(14, 21), 22, 23, 24))]


def test_every_item_of_the_security_page_names_tests_that_exist() -> None:
    rows = re.findall(
        r"^\| (G\d+|1\.\d+) [^|]*\|[^|]+\|[^|]+\|([^|]+)\|$", (ROOT / "docs" / "security.md").read_text(), re.M
    )
    assert [item for item, _ in rows] == ITEMS
    for item, shown_by in rows:
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", shown_by)
        assert named, item
        for file, test in named:
            path = ROOT / (file if file.startswith("tests/") else f"tests/app/access/{file}")
            assert f"def {test}(" in path.read_text(), f"{item}: {file}::{test}"
