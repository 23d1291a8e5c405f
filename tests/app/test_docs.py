"""The contract's pages need nothing but this hub."""

import re
from pathlib import Path

import pytest
import yaml
from fastapi.testclient import TestClient

from app import schema
from app.db import Database
from app.main import create
from app.publish.docs import PEER
from app.settings import Settings

PAGES = ["/docs", "/docs/peer", "/redoc", "/redoc/peer"]


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    """A hub on SQLite."""
    settings = Settings(data_dir=tmp_path)
    schema.upgrade(Database(settings.url))
    return TestClient(create(settings, harvest=False))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_no_foreign_host_and_all_it_names_is_here(client: TestClient, page: str) -> None:
    text = client.get(page).text
    assert "//" not in text
    named = re.findall(r"(?:src|href|url)=([^\s>]+)", text)
    assert len(named) >= 3
    for address in named:
        assert address.startswith("/")
        assert client.get(address).status_code == 200, address


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_under_a_policy_that_lets_nothing_foreign_in(client: TestClient, page: str) -> None:
    answer = client.get(page)
    policy = dict(rule.strip().split(" ", 1) for rule in answer.headers["content-security-policy"].split(";"))
    assert (policy["default-src"], policy["script-src"], policy["connect-src"]) == ("'none'", "'self'", "'self'")
    assert not re.search(r"\shttps?:", answer.headers["content-security-policy"])
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\son\w+=", answer.text), "nothing inline"


def test_the_start_script_names_no_host(client: TestClient) -> None:
    assert "//" not in client.get("/docs/assets/start.js").text


def test_ix_is_served_as_it_stands_in_the_repository(client: TestClient) -> None:
    answer = client.get("/openapi/peer.yaml")
    assert (answer.content, answer.headers["content-type"]) == (PEER.read_bytes(), "application/yaml")
    assert yaml.safe_load(answer.content)["info"]["title"].startswith("IX/1")


@pytest.mark.parametrize("path", ["/docs/moon", "/redoc/moon", "/docs/assets/core.py", "/docs/assets/..%2Fcore.py"])
def test_what_is_not_there_is_a_problem_document(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["kind"]) == (404, "not_found")
