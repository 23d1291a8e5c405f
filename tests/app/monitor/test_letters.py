"""A platform's week reaches its people once: by whoever holds the watch, however many processes there are."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from app.access.keyring import Keyring
from app.console.letters import writer
from app.db import Database, now
from app.disk import Disk
from app.feeds import service as feeds
from app.harvest.fetch import Fetcher
from app.harvest.tables import run_day
from app.monitor import digest, letters
from app.monitor.alerts import Watch
from app.monitor.courier import Courier, MailServer
from app.monitor.tables import digest_letter, digest_reader
from app.platforms import service as platforms
from app.protocol.errors import BadRequest, NotFound
from app.settings import Settings
from tests.app.monitor.receivers import Postbox

CODE, NAME = "P-440000-01", "广东平台\r\nBcc: x@evil.example <script>window.harmed=1</script>"
WRITE = writer(Settings(data_dir=Path("/nowhere"), public_url="https://hub.example"))
DAY = 86_400_000_000


@pytest.fixture
def post() -> Iterator[tuple[Postbox, str]]:
    box = Postbox()
    with box.serving() as address:
        yield box, address


@contextmanager
def _courier(address: str) -> Iterator[Courier]:
    with closing(Fetcher(allow="127.0.0.0/8", deadline_s=5)) as fetcher:
        yield Courier(fetcher, Keyring([b"test"]), MailServer.parse(f"smtp+plain://{address}"), "ops@hub.example", "互通", "https://hub.example", "zh-CN")  # fmt: skip


def _subscribed(database: Database, lang: str = "zh-CN") -> int:
    """A platform with a week behind it whose readers came long ago; the week's Monday."""
    with database.write() as connection:
        platforms.register(connection, CODE, NAME)
        number = feeds.register(
            connection, platform=CODE, name="目录", connector="ix", config={"base_url": "http://a.cn"}
        )
        letters.subscribe(connection, CODE, ["wang@gd.example", "li@gd.example"], lang)
        connection.execute(update(digest_reader).values(created_at=now(connection) - 60 * DAY))
        week = digest.last_week(connection)
        rows = [
            {"feed_id": number, "day": week + day, "runs": 4, "failed": 1, "seen": 50, "created": 30, "changed": 15, "tombstoned": 3, "rejected": 2}
            for day in (-8, -1, 0, 6, 7)
        ]  # fmt: skip
        connection.execute(insert(run_day), rows)
    return week


def _due(database: Database) -> bool:
    with database.read() as connection:
        return now(connection) >= digest.due_at(digest.last_week(connection))


def _sent_when_due(database: Database, courier: Courier) -> int:
    """Delivers, at any hour of any weekday the test runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(letters, "due_at", lambda monday: digest.due_at(monday) - DAY)
        return letters.deliver(database, courier, WRITE)


def test_a_digest_has_the_weeks_own_figures(database: Database) -> None:
    week = _subscribed(database)
    with database.read() as connection:
        found = digest.digest(connection, CODE, week)
        with pytest.raises(NotFound):
            digest.digest(connection, "P-999999-01", week)
    assert (found.week["created"], found.week["rejected"], found.week["runs"]) == (60, 4, 8)
    assert (found.before["created"], found.before["runs"]) == (30, 4)
    assert digest.plain(found)["week"] == digest.week_name(week)


def test_a_letter_is_text_and_html_and_holds_nothing_harmful(database: Database, post: tuple[Postbox, str]) -> None:
    box, address = post
    week = _subscribed(database)
    with _courier(address) as courier:
        assert _sent_when_due(database, courier) == 1
    (letter,) = box.letters
    assert sorted(box.recipients) == ["li@gd.example", "wang@gd.example"]
    assert letter["bcc"] is None
    assert digest.week_name(week) in letter["subject"]
    assert letter["message-id"] == f"<digest.{CODE}.{digest.week_name(week)}@hub.example>"
    text, html = (letter.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert f"https://hub.example/platforms/{CODE}/digest" in text.get_content()
    assert "<script" not in html.get_content()
    assert "&lt;script&gt;" in html.get_content()
    assert not [word for word in ("src=", "http://", "url(") if word in html.get_content()]


def test_two_processes_send_one_letter(database: Database, post: tuple[Postbox, str]) -> None:
    box, address = post
    _subscribed(database)
    with _courier(address) as courier, pytest.MonkeyPatch.context() as patch:
        patch.setattr(letters, "due_at", lambda monday: digest.due_at(monday) - DAY)
        both = [threading.Thread(target=letters.deliver, args=(database, courier, WRITE)) for _ in range(6)]
        for one in both:
            one.start()
        for one in both:
            one.join()
        assert len(box.letters) == 1
        assert letters.deliver(database, courier, WRITE) == 0, "once told is told"
    with database.read() as connection:
        assert letters.reader(connection, CODE)["state"] == "told"


def test_the_watch_sends_it_and_only_once(database: Database, post: tuple[Postbox, str], tmp_path: Path) -> None:
    box, address = post
    _subscribed(database)
    with _courier(address) as courier, pytest.MonkeyPatch.context() as patch:
        patch.setattr(letters, "due_at", lambda monday: digest.due_at(monday) - DAY)
        chore = lambda going_on: letters.deliver(database, courier, WRITE, going_on)  # noqa: E731
        watches = [Watch(database, courier, Disk(tmp_path, (0, 0)), every_s=0, chores=[chore]) for _ in range(2)]
        assert [watch.look() for watch in watches] == [True, True]
    assert len(box.letters) == 1


def test_a_refused_letter_is_tried_again_and_says_why(database: Database) -> None:
    box = Postbox(refuses="li@gd.example")
    _subscribed(database)
    with box.serving() as address, _courier(address) as courier:
        assert _sent_when_due(database, courier) == 0
        with database.read() as connection:
            kept = letters.reader(connection, CODE)
        assert (kept["state"], "1 of 2 recipients" in kept["error"]) == ("pending", True)
        assert _sent_when_due(database, courier) == 0, "not before its pause is over"
        box.refuses = ""
        with database.write() as connection:
            connection.execute(update(digest_letter).values(due_at=0))
        assert _sent_when_due(database, courier) == 1


def test_a_letter_whose_sender_died_is_sent_by_hand_only(database: Database, post: tuple[Postbox, str]) -> None:
    box, address = post
    week = _subscribed(database)
    with database.write() as connection:
        connection.execute(insert(digest_letter), {"platform": CODE, "monday": week, "state": "sending", "due_at": 0, "attempts": 1})  # fmt: skip
    with _courier(address) as courier:
        assert _sent_when_due(database, courier) == 0
        assert letters.send(database, courier, WRITE, CODE, week)["told"] is True
    assert len(box.letters) == 1


def test_new_readers_wait_for_the_next_week_and_nobody_without_mail(database: Database, post: tuple[Postbox, str]) -> None:  # fmt: skip
    box, address = post
    _subscribed(database)
    with database.write() as connection:
        letters.unsubscribe(connection, CODE)
        letters.subscribe(connection, CODE, ["wang@gd.example"], "en")
    with _courier(address) as courier:
        assert _sent_when_due(database, courier) == 0
        assert (
            letters.deliver(
                database, Courier(courier.fetcher, Keyring([b"test"]), None, "a@b.c", "互通", "", "en"), WRITE
            )
            == 0
        )
    assert box.letters == []


def test_what_is_no_address_or_language_is_refused(database: Database) -> None:
    with database.write() as connection:
        platforms.register(connection, CODE, NAME)
        for to, lang in (([], "en"), (["a b@c"], "en"), (["a@b.example"], "xx")):
            with pytest.raises(BadRequest):
                letters.subscribe(connection, CODE, to, lang)
        with pytest.raises(NotFound):
            letters.subscribe(connection, "P-999999-01", ["a@b.example"])
        with pytest.raises(NotFound):
            letters.unsubscribe(connection, CODE)


@pytest.mark.parametrize(("name", "monday"), [("1970-W01", -3), ("2026-W48", 20_780), ("2026-W53", 20_815)])
def test_weeks_have_their_iso_names(name: str, monday: int) -> None:
    assert (digest.monday(name), digest.week_name(monday), digest.monday_of(monday + 6)) == (monday, name, monday)


@pytest.mark.parametrize("name", ["2026-48", "2026-W00", "2026-W54", "2025-W53", "", "２０２６-W01", "9999-W53"])
def test_what_is_no_week_is_refused(name: str) -> None:
    with pytest.raises(BadRequest):
        digest.monday(name)


def test_what_to_do_is_the_most_urgent_first() -> None:
    def standing(**values: Any) -> Any:
        from app.monitor.states import State
        from app.monitor.status import Standing

        base = dict.fromkeys(Standing._fields, 0) | {"state": State.HEALTHY, "name": "f", "run": 9}
        base |= {"held": None, "halt": None}
        return Standing(**{**base, **values})

    from app.monitor.states import State
    from app.monitor.status import Halt

    found = digest.todo(
        [standing(state=State.LATE), standing(state=State.HELD, halt=Halt(10, "refused", 8, 40)), standing(held=3, held_count=120, state=State.HELD), standing(state=State.FAILING, attempts=4)],
        [digest.Refused("text.control", 7, "/quarantine?rule=text.control&feed=1")], [],
    )  # fmt: skip
    assert [(one.act.value, one.n, one.path) for one in found] == [
        ("mend", 4, "/runs/9"), ("check", 1, "/feeds/0"), ("decide", 120, "/held/3"), ("settle", 8, "/feeds/0#ramp"),
        ("correct", 7, "/quarantine?rule=text.control&feed=1"),
    ]  # fmt: skip
