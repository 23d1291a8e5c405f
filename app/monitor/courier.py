"""Takes a message to a route: mail, a signed webhook (Standard Webhooks 1.0.0), DingTalk and WeCom style bots.

HTTP goes through the harvest's guarded client, so that no route reaches an address that a feed may not reach. The
mail server is the deployment's own (HUTONG_SMTP_URL), never a route's. What went wrong is told without the secret.
"""

import base64
import hmac
import smtplib
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from hashlib import sha256
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import orjson
from standardwebhooks import Webhook

from app.access.keyring import Keyring
from app.harvest.fetch import Fetcher
from app.monitor.wording import Message
from app.protocol.connector import Request
from app.protocol.errors import BadRequest, HutongError, PeerError

DEADLINE_S: Final = 15.0
ANSWER_BYTES: Final = 64 << 10
DINGTALK_BYTES: Final = 15_000
WECOM_BYTES: Final = 4_000  # 4,096 in its documentation


class AlertUndelivered(PeerError):
    """A route did not take a message; it is tried again."""

    kind = "alert.undelivered"


class MailServer(NamedTuple):
    """Where mail is handed in; `tls` from the first byte (`smtps`), after STARTTLS (`smtp`), or none (`smtp+plain`)."""

    host: str
    port: int
    user: str
    password: str
    tls: str

    @classmethod
    def parse(cls, url: str) -> "MailServer | None":
        """`smtp://user:password@host:587`; None for nothing. Raises ValueError that does not repeat the password."""
        if not url:
            return None
        parts = urlsplit(url)
        ports = {"smtps": 465, "smtp": 587, "smtp+plain": 25}
        if parts.scheme not in ports or not parts.hostname:
            raise ValueError("write smtp://user:password@host:587, smtps://... or smtp+plain://... (no encryption)")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(parts.hostname, parts.port or ports[parts.scheme], user, password, parts.scheme)


class Letter(NamedTuple):
    """A mail of its own: `id` makes its Message-ID, so that mail programs show one letter once."""

    id: str
    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Courier:
    """What is needed to reach any route."""

    fetcher: Fetcher
    ring: Keyring
    mail: MailServer | None
    sender: str
    name: str
    url: str
    locale: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def take(self, kind: str, secret: Mapping[str, Any], message: Message) -> None:
        """Delivers. Raises AlertUndelivered, whose words hold nothing of the secret."""
        try:
            _ROADS[kind](self, secret, message)
        except (HutongError, OSError, smtplib.SMTPException, ValueError) as error:
            detail = error.detail if isinstance(error, HutongError) else f"{type(error).__name__}: {error}"
            raise AlertUndelivered(covered(detail, secret, self.mail)) from None

    def post(self, to: Sequence[str], letter: Letter) -> None:
        """Mails a letter as text with HTML beside it. Raises AlertUndelivered."""
        mail = EmailMessage()
        mail["Subject"], mail["Message-ID"] = letter.subject, f"<{letter.id}@{_domain(self)}>"
        mail.set_content(letter.text)
        mail.add_alternative(letter.html, subtype="html")
        try:
            _hand_in(self, to, mail)
        except (HutongError, OSError, smtplib.SMTPException, ValueError) as error:
            detail = error.detail if isinstance(error, HutongError) else f"{type(error).__name__}: {error}"
            raise AlertUndelivered(covered(detail, {}, self.mail)) from None


def covered(detail: str, secret: Mapping[str, Any], mail: MailServer | None = None) -> str:
    """A sentence without what is secret in a route or of the mail server, should a server have repeated it."""
    hidden = [str(secret.get("url", "")), urlsplit(str(secret.get("url", ""))).query, str(secret.get("key", ""))]
    if mail is not None and mail.password:
        hidden += [mail.password, base64.b64encode(mail.password.encode()).decode()]
    for text in hidden:
        if len(text) > 3:
            detail = detail.replace(text, "…")
    return detail[:300]


def _mail(courier: Courier, secret: Mapping[str, Any], message: Message) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["Message-ID"] = message.subject, make_msgid(message.id, domain=_domain(courier))
    mail.set_content(message.text())
    _hand_in(courier, secret["to"], mail)


def _domain(courier: Courier) -> str:
    return courier.sender.rpartition("@")[2] or "localhost"


def _hand_in(courier: Courier, to: Sequence[str], mail: EmailMessage) -> None:
    if courier.mail is None:
        raise BadRequest("no mail server is set: HUTONG_SMTP_URL")
    mail["From"], mail["To"] = courier.sender, ", ".join(to)
    mail["Date"], mail["Auto-Submitted"] = formatdate(courier.now().timestamp()), "auto-generated"
    with _opened(courier.mail) as server:
        if courier.mail.user:
            server.login(courier.mail.user, courier.mail.password)
        refused = server.send_message(mail)
    if refused:
        raise AlertUndelivered(f"{len(refused)} of {len(to)} recipients were refused")


def _opened(mail: MailServer) -> smtplib.SMTP:
    if mail.tls == "smtps":
        return smtplib.SMTP_SSL(mail.host, mail.port, timeout=DEADLINE_S, context=ssl.create_default_context())
    server = smtplib.SMTP(mail.host, mail.port, timeout=DEADLINE_S)
    if mail.tls == "smtp":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server


def _webhook(courier: Courier, secret: Mapping[str, Any], message: Message) -> None:
    at = courier.now()
    stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    body = orjson.dumps({"type": "incidents.changed", "timestamp": stamp, "data": message.data})
    headers = {
        "webhook-id": message.id, "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret["key"]).sign(message.id, at, body.decode()),
    }  # fmt: skip
    _post(courier, secret["url"], body, headers)


def _dingtalk(courier: Courier, secret: Mapping[str, Any], message: Message) -> None:
    url = secret["url"]
    if key := secret.get("key"):
        at = str(int(courier.now().timestamp() * 1000))
        sign = base64.b64encode(hmac.new(key.encode(), f"{at}\n{key}".encode(), sha256).digest()).decode()
        url += f"{'&' if '?' in url else '?'}timestamp={at}&sign={quote(sign, safe='')}"
    told = {"title": message.subject, "text": message.markdown(DINGTALK_BYTES)}
    _bot(courier, url, {"msgtype": "markdown", "markdown": told})


def _wecom(courier: Courier, secret: Mapping[str, Any], message: Message) -> None:
    _bot(courier, secret["url"], {"msgtype": "markdown", "markdown": {"content": message.markdown(WECOM_BYTES)}})


def _bot(courier: Courier, url: str, body: dict[str, Any]) -> None:
    """Bots answer 200 whatever happened; `errcode` tells."""
    answer = _post(courier, url, orjson.dumps(body), {})
    found: Any = None
    with suppress(ValueError):
        found = orjson.loads(answer)
    code = found.get("errcode") if isinstance(found, dict) else None
    if code != 0:
        told = found.get("errmsg", "") if isinstance(found, dict) else "no JSON object"
        raise AlertUndelivered(f"the bot answered errcode {str(code)[:20]}: {str(told)[:200]}")


def _post(courier: Courier, url: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """The answer's body. Raises PeerError where it is no success, AddressForbidden."""
    sent = {"content-type": "application/json; charset=utf-8", **headers}
    fetched = courier.fetcher.fetch(Request(url, sent, "POST", body))
    response = fetched.response
    with response.body:
        if fetched.requests > 1:  # a redirected POST may arrive as a GET: nobody heard it
            raise AlertUndelivered("redirected: give the route the address it is redirected to")
        if not 200 <= response.status < 300:
            raise AlertUndelivered(f"answered {response.status}")
        return response.content()


_ROADS: Final = {"mail": _mail, "webhook": _webhook, "dingtalk": _dingtalk, "wecom": _wecom}
KINDS: Final = tuple(_ROADS)
