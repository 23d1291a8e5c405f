"""Hard limits of readers that no other file shows (docs/limits.md): processor time of this process, traced memory."""

import time
import tracemalloc

import pytest

from app.protocol import walk
from app.protocol.connector import Response
from app.protocol.errors import PeerViolation
from connectors.syndication import Syndication


def test_a_feed_of_a_million_items_is_refused_before_a_tree_of_it_is_made() -> None:
    content = b"<rss><channel>" + b"<item><a/><b/><c/></item>" * 1_000_000 + b"</channel></rss>"
    feed = Syndication.model_validate({"feed_url": "https://news.example.org/feed"})
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(PeerViolation) as caught:
        list(feed.read({}, Response.of(content)))
    spent, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.kind == "page.limit"
    assert spent < 5
    assert peak < 4 * len(content)


def test_an_index_of_ever_new_indexes_ends_at_the_limit_of_files() -> None:
    state = walk.begin("https://a.test/0.xml")

    def follow() -> None:
        nonlocal state
        for number in range(1, walk.FILES + 2):
            name = f"https://a.test/{number}.xml"
            state = walk.opened(state, [name], [{"list": name, "at": 0, "depth": 0}].__getitem__, index=True)

    began = time.process_time()
    with pytest.raises(PeerViolation) as caught:
        follow()
    assert caught.value.kind == "page.limit"
    assert time.process_time() - began < 5
    assert len(state["stack"]) == 1, "the state stays small"
