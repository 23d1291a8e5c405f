"""docs/connectors/write-one.md, executed as written: its connector, its API's answers, the result it promises."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import connectors
from app.db import Database
from app.harvest import runs
from app.harvest.discovery import configured, kinds
from app.protocol.connector import Response
from app.protocol.errors import BadRequest, PeerError
from tests.connectors.driving import Site, resumes_everywhere
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "connectors" / "write-one.md").read_text()
(CODE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
ANSWERS = dict(re.findall(r"`GET https://qinghe\.example(/api/\S+)`\n```json\n(.*?)```", PAGE, re.DOTALL))
CONFIG = json.loads(re.findall(r"--config '(.*?)'", PAGE)[0])


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The file, saved where the page says, as far as Python is concerned."""
    (tmp_path / "qinghe.py").write_text(CODE)
    monkeypatch.setattr(connectors, "__path__", [*connectors.__path__, str(tmp_path)])
    kinds.cache_clear()
    yield
    kinds.cache_clear()


@pytest.mark.usefixtures("found")
def test_it_is_found_and_its_form_follows_from_the_class() -> None:
    assert "qinghe" in kinds()
    assert list(kinds()["qinghe"].model_json_schema()["properties"]) == ["base_url"]
    with pytest.raises(BadRequest, match="extra"):
        configured("qinghe", {**CONFIG, "extra": 1})


@pytest.mark.usefixtures("found")
def test_the_run_ends_as_the_page_says(database: Database) -> None:
    hub, served = Hub(database), dict(ANSWERS)

    def answer(path: str) -> Answer:
        return 200, {"Content-Type": "application/json"}, served[path].encode()

    with ReplayServer(answer) as url:
        feed = hub.feed("qinghe", {"base_url": f"{url}/api"}, "E-440000-09")
        report = hub.harvest(feed)
        assert (report["created"], report["rejected"], report["tombstoned"], report["pages"]) == (2, 1, 0, 2)
        again = hub.harvest(feed)
        assert (again["created"], again["changed"], again["tombstoned"], again["rejected"]) == (0, 0, 0, 1)
        served["/api/lessons?page=1"] = served["/api/lessons?page=1"].replace('"no": 102', '"no": 104')
        later = hub.harvest(feed)
        assert (later["created"], later["tombstoned"]) == (1, 1), "a lesson on none of the pages is gone"
    with database.read() as connection:
        (refused,) = runs.rejections(connection, feed, limit=9)
    assert (refused["rule"], refused["identifier"]) == ("record.title_missing", "103")


@pytest.mark.usefixtures("found")
def test_it_goes_on_from_every_page() -> None:
    feed = configured("qinghe", CONFIG)
    answers: Any = {f"https://qinghe.example{path}": answer.encode() for path, answer in ANSWERS.items()}
    resumes_everywhere(feed, Site(answers))


@given(
    content=st.binary(max_size=200)
    | st.sampled_from([b'{"page":1,"pages":1,"lessons":[1,{"no":"\\ud800"},{"no":1,"n":1e999}]}'])
)
def test_hostile_bytes_raise_nothing_but_errors_of_the_peer(content: bytes) -> None:
    module: dict[str, Any] = {"__name__": "qinghe"}
    exec(compile(CODE, "write-one.md", "exec"), module)  # noqa: S102
    feed = module["Qinghe"].model_validate(CONFIG)
    try:
        pages = list(feed.read({}, Response.of(content)))
    except PeerError:
        return
    for page in pages:
        assert len(list(feed.parse(page.entries, page.context))) == len(page.entries)
