"""What an answer says beside its body: its headers, its date, and whether to come back later."""

import time
from contextlib import suppress
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime

import httpx

from app.protocol.errors import PeerThrottled, PeerUnavailable

WAIT_DEFAULT_S = 60.0
WAIT_CAP_S = 86_400.0


def headers(answer: httpx.Response) -> dict[str, str]:
    """Headers in lower case, repeated ones joined; without those that describe the body before it was decoded."""
    dropped = {"content-encoding", "content-length", "transfer-encoding"}
    found: dict[str, str] = {}
    for raw_name, raw_value in answer.headers.raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name not in dropped:
            found[name] = f"{found[name]}, {value}" if name in found else value
    return {**found, "date": _date(found.get("date", ""), time.time())}


def _date(stated: str, now: float) -> str:
    """The server's Date, this machine's time where that is earlier or there is none: no checkpoint lies ahead of us."""
    with suppress(ValueError, TypeError, IndexError, OverflowError):
        date = parsedate_to_datetime(stated)
        if date.tzinfo is not None and date.timestamp() <= now:
            return stated
    return formatdate(now, usegmt=True)


def check_load(answer: httpx.Response) -> None:
    """Raises PeerThrottled (429; 503 with Retry-After) or PeerUnavailable (503 without)."""
    if answer.status_code not in (429, 503):
        return
    wait = retry_after(answer.headers.get("retry-after", ""), time.time())
    if answer.status_code == 503 and wait is None:
        raise PeerUnavailable("503 without Retry-After")
    wait_s = WAIT_DEFAULT_S if wait is None else wait
    raise PeerThrottled(f"{answer.status_code}: asked to wait {wait_s:.0f} s", wait_s=wait_s)


def retry_after(value: str, now: float) -> float | None:
    """Seconds to wait, 0 to 24 h, from seconds or an HTTP date (RFC 9110 10.2.3); None when it is neither."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), WAIT_CAP_S)
    with suppress(ValueError, TypeError, IndexError, OverflowError):
        date = parsedate_to_datetime(text)
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
        return min(max(seconds, 0.0), WAIT_CAP_S)
    return None
