"""Messages reach real receivers, signed as their documents say, and no secret comes back."""

import base64
import hmac
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from standardwebhooks import Webhook

from app.access.keyring import Keyring
from app.db import Database
from app.deployment import courier as of_settings
from app.harvest.fetch import Fetcher
from app.harvest.guard import Allow
from app.monitor import alert_routes, alerts, incidents
from app.monitor.causes import Cause, Rule
from app.monitor.courier import AlertUndelivered, Courier, MailServer
from app.monitor.wording import Message, trial
from app.settings import Settings
from tests.app.monitor.receivers import Postbox, Receiver

# The test server speaks no TLS; its library would rather have it.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
HOSTILE = "广东平台\r\nBcc: x@evil.example\x00 **[点我](https://evil.example)** <script>@all \u202e反"
DOWN = Cause("host:a.cn", Rule.FAILING, "source", HOSTILE, (1, 2))
RING = Keyring([b"test"])
KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()
PASSWORD = "open-sesame"  # noqa: S105 - of a server in this process


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().serving() as made:
        yield made


@contextmanager
def _courier(mail: str = "", allow: str = "127.0.0.0/8", locale: str = "zh-CN") -> Iterator[Courier]:
    with closing(Fetcher(allow=allow, deadline_s=5)) as fetcher:
        yield Courier(fetcher, RING, MailServer.parse(mail), "ops@hub.example", "互通", "https://hub.example", locale)


def _told(database: Database, courier: Courier, **route: Any) -> int:
    with database.write() as connection:
        alert_routes.add(connection, RING, name="duty", **route)
        incidents.reconcile(connection, [DOWN], 0)
    return alerts.deliver(database, courier)


def test_a_webhook_is_signed_as_standard_webhooks_says(database: Database, receiver: Receiver) -> None:
    with _courier() as courier:
        assert _told(database, courier, kind="webhook", url=f"{receiver.url}/hook", key=KEY) == 1
        assert alerts.deliver(database, courier) == 0, "once told is told"
    (posted,) = receiver.posted
    body = Webhook(KEY).verify(posted.body, posted.headers)
    (told,) = body["data"]["incidents"]
    assert (body["type"], told["event"], told["rule"], told["feeds"]) == ("incidents.changed", "opened", "failing", 2)
    forged = {**posted.headers, "webhook-id": "msg_other"}
    with pytest.raises(Exception, match="signature"):
        Webhook(KEY).verify(posted.body, forged)


def test_a_retry_has_the_same_id_so_that_a_receiver_can_tell(sqlite: Database, receiver: Receiver) -> None:
    receiver.status = 500
    with _courier() as courier:
        assert _told(sqlite, courier, kind="webhook", url=receiver.url, key=KEY) == 0
        receiver.status = 204
        receiver.answer = b""
        with sqlite.write() as connection:
            connection.exec_driver_sql("UPDATE notice SET due_at = 0")
        assert alerts.deliver(sqlite, courier) == 1
    first, second = receiver.posted
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


def test_a_dingtalk_bot_gets_a_signed_address_and_text_that_links_nowhere(sqlite: Database, receiver: Receiver) -> None:
    with _courier() as courier:
        url = f"{receiver.url}/robot/send?access_token=token-of-bot"
        assert _told(sqlite, courier, kind="dingtalk", url=url, key="SEC-of-bot") == 1
    (posted,) = receiver.posted
    query = parse_qs(urlsplit(posted.path).query)
    mac = hmac.new(b"SEC-of-bot", f"{query['timestamp'][0]}\nSEC-of-bot".encode(), sha256).digest()
    assert query["sign"] == [base64.b64encode(mac).decode()]
    assert query["access_token"] == ["token-of-bot"]
    text = orjson.loads(posted.body)["markdown"]["text"]
    assert text.count("://") == 1, "the hub's own address and no other"
    assert text.endswith("\n\nhttps://hub.example/")
    assert not set("[]<>@`") & set(text)
    assert not any(ord(mark) < 32 and mark != "\n" for mark in text)


def test_a_wecom_bot_that_answers_200_with_an_error_was_not_told(sqlite: Database, receiver: Receiver) -> None:
    receiver.answer = b'{"errcode":93000,"errmsg":"invalid webhook url key=key-of-bot"}'
    with _courier() as courier:
        assert _told(sqlite, courier, kind="wecom", url=f"{receiver.url}/send?key=key-of-bot") == 0
    with sqlite.read() as connection:
        (route,) = alert_routes.routes(connection)
    assert route["error"].startswith("the bot answered errcode 93000")
    assert "key-of-bot" not in repr(route)
    assert len(orjson.loads(receiver.posted[0].body)["markdown"]["content"].encode()) <= 4096


@pytest.mark.parametrize("answer", [b"", b"[]", b"null", b'"ok"', b"<html>", b'{"errcode":"0"}', b'{"errcode":null}'])
def test_a_bot_that_answers_something_else_was_not_told(sqlite: Database, receiver: Receiver, answer: bytes) -> None:
    receiver.answer = answer
    with _courier() as courier:
        assert _told(sqlite, courier, kind="wecom", url=receiver.url) == 0


def test_a_redirect_is_no_delivery(sqlite: Database, receiver: Receiver) -> None:
    receiver.status, receiver.headers = 307, {"Location": "/elsewhere"}
    with _courier() as courier:
        assert _told(sqlite, courier, kind="webhook", url=receiver.url, key=KEY) == 0
    assert len(receiver.posted) >= 1


def test_no_route_reaches_an_address_that_a_feed_may_not_reach(sqlite: Database, receiver: Receiver) -> None:
    with _courier(allow="") as courier:
        assert _told(sqlite, courier, kind="webhook", url=f"{receiver.url}/hook?token=of-route", key=KEY) == 0
    with sqlite.read() as connection:
        (route,) = alert_routes.routes(connection)
    assert receiver.posted == []
    assert "not a public address" in route["error"]
    assert "of-route" not in repr(route)


def test_mail_reaches_everybody_in_one_letter_of_one_line_subject(database: Database) -> None:
    box = Postbox(PASSWORD)
    with box.serving() as at, _courier(f"smtp+plain://ops:{PASSWORD}@{at}") as courier:
        assert _told(database, courier, kind="mail", to=["a@b.cn", "c@d.cn"]) == 1
    (letter,) = box.letters
    assert box.recipients == ["a@b.cn", "c@d.cn"]
    assert letter["Bcc"] is None
    assert letter["Subject"].startswith("[互通] 发生: 汇聚失败: 广东平台 Bcc: x@evil.example")
    assert letter["Auto-Submitted"] == "auto-generated"
    assert "紧急 / 发生 / 汇聚失败 (2 个资源源" in letter.get_content()


def test_mail_says_it_in_english_where_the_hub_does(sqlite: Database) -> None:
    box = Postbox()
    with box.serving() as at, _courier(f"smtp+plain://{at}", locale="en") as courier:
        assert _told(sqlite, courier, kind="mail", to=["a@b.cn"]) == 1
    assert "critical / OPENED / failing (2 feeds" in box.letters[0].get_content()


@pytest.mark.parametrize("wrong", ["password", "recipient", "gone", "tls"])
def test_a_mail_server_that_does_not_take_it_is_named_without_the_password(sqlite: Database, wrong: str) -> None:
    box = Postbox(PASSWORD, refuses="a@b.cn" if wrong == "recipient" else "")
    with box.serving() as at:
        given = "wrong-password" if wrong == "password" else PASSWORD
        url = f"{'smtp' if wrong == 'tls' else 'smtp+plain'}://ops:{given}@{'127.0.0.1:9' if wrong == 'gone' else at}"
        with _courier(url) as courier:
            assert _told(sqlite, courier, kind="mail", to=["a@b.cn"]) == 0
    with sqlite.read() as connection:
        (route,) = alert_routes.routes(connection)
    assert route["error"]
    assert PASSWORD not in repr(route)
    assert "wrong-password" not in repr(route)
    assert box.letters == []


def test_without_a_mail_server_the_route_says_so(sqlite: Database) -> None:
    with _courier() as courier:
        assert _told(sqlite, courier, kind="mail", to=["a@b.cn"]) == 0
    with sqlite.read() as connection:
        assert "HUTONG_SMTP_URL" in alert_routes.routes(connection)[0]["error"]


def test_many_incidents_are_one_message_that_fits_and_counts_the_rest(sqlite: Database, receiver: Receiver) -> None:
    many = [Cause(f"host:h{n}.cn", Rule.FAILING, "source", "长" * 900, (n,)) for n in range(40)]
    with _courier() as courier, sqlite.write() as connection:
        alert_routes.add(connection, RING, name="bot", kind="wecom", url=receiver.url)
        alert_routes.add(connection, RING, name="hook", kind="webhook", url=receiver.url, key=KEY)
        incidents.reconcile(connection, many, 0)
    with _courier() as courier:
        assert alerts.deliver(sqlite, courier) == 2
    bot, hook = receiver.posted
    content = orjson.loads(bot.body)["markdown"]["content"]
    assert "(+39)" in content
    assert len(content.encode()) <= 4096
    assert len(orjson.loads(hook.body)["data"]["incidents"]) == 40


def test_a_test_message_says_that_it_is_one(sqlite: Database, receiver: Receiver) -> None:
    with sqlite.write() as connection:
        number = alert_routes.add(connection, RING, name="hook", kind="webhook", url=receiver.url, key=KEY)["id"]
    with _courier() as courier:
        assert alerts.test(sqlite, courier, number)["told"] is True
        receiver.status = 403
        with pytest.raises(AlertUndelivered, match="answered 403"):
            alerts.test(sqlite, courier, number)
    assert orjson.loads(receiver.posted[0].body)["data"]["test"] is True


def test_markdown_is_cut_at_a_line() -> None:
    long = Message("m", "subject", ["x" * 100] * 100, {}, "https://h.example/")
    assert len(long.markdown(1000).encode()) <= 1000
    assert long.markdown(1000).endswith("\n\n…\n\nhttps://h.example/")
    assert trial("m", "hub", "https://h.example/", "en-GB").subject == "[hub] test of an alert route"


@pytest.mark.parametrize("url", ["ftp://h", "smtp://", "smtp://h:0", "smtp://h:99999", f"http://u:{PASSWORD}@h"])
def test_a_mail_server_that_cannot_be_read_is_refused_without_its_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError) as refused:
        Settings(data_dir=tmp_path, smtp_url=url)
    assert PASSWORD not in str(refused.value)


def test_the_hubs_courier_has_the_deployments_guard(tmp_path: Path) -> None:
    made = of_settings(Settings(data_dir=tmp_path, fetch_allow="10.0.0.0/8", smtp_url="smtps://h.example"))
    with closing(made.fetcher):
        assert made.fetcher.allow == Allow.parse("10.0.0.0/8")
        assert made.mail == MailServer("h.example", 465, "", "", "smtps")
