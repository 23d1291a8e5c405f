"""Every route declares what it needs; the table in docs/security.md is what the running hub does, cell by cell."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from app.access.door import Needs, declared
from app.access.scopes import GRANTS, PLATFORM_SCOPES, Role, Scope
from app.db import Database
from app.main import create
from app.settings import Settings
from tests.app.access.desk import Desk, desk

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "security.md"
COLUMNS = ("anonymous", "key", *Role)
# Files that are the same for everybody; what is mounted cannot declare anything.
MOUNTED = {"/static"}
DESCRIPTIONS = {"/openapi.json", "/openapi/peer.yaml", "/docs", "/redoc"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def routes(app: Any) -> Iterator[tuple[str, str, list[Any]]]:
    """(method, path, dependencies) of every route, those of included rooms too."""
    for route in app.routes:
        inner = route.effective_candidates() if hasattr(route, "effective_candidates") else [route]
        for one in inner:
            for method in getattr(one, "methods", None) or ():
                if method in METHODS:
                    yield method, one.path, list(getattr(one, "dependencies", []))


def needs(app: Any) -> dict[str, Needs]:
    """The declaration of each `METHOD /path`."""
    found = {}
    for method, path, dependencies in routes(app):
        declarations = declared(dependencies)
        assert len(declarations) == 1, (
            f"{method} {path} declares {len(declarations)} needs: requires, signed_in or public"
        )
        found[f"{method} {path}"] = declarations[0]
    return found


def allowed(need: Needs, column: str) -> bool:
    """What the declaration says for a caller without credential, a platform's key, or a person with one role."""
    if need.public:
        return True
    if need.person:
        return column not in ("anonymous", "key")
    scopes = {"anonymous": {Scope.CATALOGUE_READ}, "key": PLATFORM_SCOPES}
    return need.scope in (scopes[column] if column in scopes else GRANTS[Role(column)])


def table(found: dict[str, Needs]) -> str:
    """The table as it stands in docs/security.md."""
    lines = ["| route | needs | " + " | ".join(COLUMNS) + " |", "|---|---|" + "---|" * len(COLUMNS)]
    for route, need in sorted(found.items(), key=lambda item: item[0].split()[::-1]):
        word = need.scope or ("signed in" if need.person else "public")
        cells = " | ".join("●" if allowed(need, column) else "–" for column in COLUMNS)
        lines.append(f"| `{route}` | {word} | {cells} |")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return create(Settings(data_dir=tmp_path_factory.mktemp("app")), harvest=False)


def test_every_route_declares_what_it_needs(app: Any) -> None:
    found = needs(app)
    described = {f"{m.upper()} {p}" for p, methods in app.openapi()["paths"].items() for m in methods}
    assert described - {re.sub(r":path\}", "}", route) for route in found} == set()
    assert len(found) >= len(described)


def test_a_route_without_a_declaration_is_found(app: Any, tmp_path: Path) -> None:
    forgetful = create(Settings(data_dir=tmp_path), harvest=False)

    @forgetful.get("/api/v1/forgotten")
    def forgotten() -> None: ...

    with pytest.raises(AssertionError, match="GET /api/v1/forgotten declares 0"):
        needs(forgetful)


def test_the_table_in_the_documentation_is_the_table_of_the_declarations(app: Any) -> None:
    made = table(needs(app))
    assert made in DOCUMENT.read_text(), f"docs/security.md: replace the table of routes by\n{made}"


FILLED = {
    "feed_id": "999999",
    "run_id": "999999",
    "held_id": "999999",
    "code": "E-999999-99",
    "name": "nobody",
    "prefix": "hk_0",
}


def _path(route: str) -> str:
    def fill(match: re.Match[str]) -> str:
        return FILLED.get(match[1], "none")

    return re.sub(r"\{(\w+)(?::path)?\}", fill, route.split()[1])


def test_the_running_hub_does_what_each_cell_says(sqlite: Database, tmp_path: Path) -> None:
    rows = re.findall(r"^\| `(\w+ /[^`]*)` \| [^|]+ \| ([●–| ]+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert len(rows) > 40
    with desk(sqlite, tmp_path) as hub:
        clients = _clients(hub)
        wrong = [
            f"{route}: {column} got {status}"
            for route, cells in rows
            for column, cell in zip(COLUMNS, cells.split(" | "), strict=True)
            if ((status := _status(_client(hub, clients, column, route), route)) in (401, 403) and cell == "●")
            or (status not in (401, 403) and cell == "–")
        ]  # fmt: skip
    assert wrong == []


def _client(hub: Desk, clients: dict[str, Any], column: str, route: str) -> Any:
    """Whoever signs out does it with a session of its own."""
    return hub.sign_in(f"a-{column}") if "logout" in route and column in set(Role) else clients[column]


def _status(client: Any, route: str) -> int:
    method = route.split()[0]
    # The events of the console go on for a while; how they begin says enough.
    with client.stream(method, _path(route), json={} if method != "GET" else None) as answer:
        return int(answer.status_code)


def _clients(hub: Desk) -> dict[str, Any]:
    anonymous = hub.key_client("")
    del anonymous.headers["authorization"]
    return {"anonymous": anonymous, "key": hub.key_client(hub.platform("P-440000-01")), **hub.everyone()}


def test_a_closed_hub_answers_nobody_without_a_credential(sqlite: Database, tmp_path: Path) -> None:
    with desk(sqlite, tmp_path, anonymous_scopes="") as hub:
        client = _clients(hub)["anonymous"]
        for path in (
            "/api/v1/records",
            "/api/v1/facets",
            "/ix/v1/all/changes",
            "/oai?verb=Identify",
            "/.well-known/ix",
        ):
            assert client.get(path).status_code == 401, path


def test_every_route_is_an_api_route_or_a_mounted_file(app: Any) -> None:
    others = {route.path for route in app.routes if not isinstance(route, APIRoute) and hasattr(route, "path")}
    assert others == MOUNTED


def test_answers_carry_the_headers_of_asvs_3_4(hub: Desk) -> None:
    client = _clients(hub)["anonymous"]
    for path in (
        "/",
        "/healthz",
        "/api/v1/records",
        "/api/v1/feeds",
        "/api/v1/none",
        "/oai?verb=x",
        "/.well-known/jwks.json",
    ):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert len(headers["x-request-id"]) == 32
        assert "access-control-allow-origin" not in headers


def test_descriptions_are_for_signed_in_people_when_switched_off(sqlite: Database, tmp_path: Path) -> None:
    with desk(sqlite, tmp_path, docs=False) as hub:
        clients = _clients(hub)
        assert [clients["anonymous"].get(path).status_code for path in sorted(DESCRIPTIONS)] == [401] * 4
        assert [clients["vendor"].get(path).status_code for path in sorted(DESCRIPTIONS)] == [200] * 4


def test_a_store_that_does_not_answer_lets_nobody_in(sqlite: Database, tmp_path: Path) -> None:
    with desk(sqlite, tmp_path) as hub:
        key = hub.platform("P-440000-01")
        with sqlite.write() as connection:
            connection.exec_driver_sql("ALTER TABLE api_key RENAME TO away")
        answers = [hub.key_client(key).get("/api/v1/feeds"), hub.key_client("hk_x").get("/api/v1/feeds")]
        with sqlite.write() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO api_key")
            connection.exec_driver_sql("ALTER TABLE audit RENAME TO away")
        answers.append(hub.key_client("hk_x").get("/api/v1/feeds"))
        with sqlite.write() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO audit")
    assert [(one.status_code, one.json()["kind"]) for one in answers] == [(503, "hub.unavailable")] * 3
