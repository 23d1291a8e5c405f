"""What the faces share: the form of an answer, the day of the catalogues, and which records are bad."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from app.demo.catalogue import DemoPlatform

Answer = tuple[int, dict[str, str], bytes]
Face = Callable[[str], Answer]
DATE = "2026-11-01T08:00:00Z"


def spoiled(platform: DemoPlatform, number: int) -> bool:
    """Whether this record is the bad one of its hundred."""
    return platform.fault == "bad records" and number % 100 == 99


def identifier(platform: DemoPlatform, record: dict[str, Any]) -> str:
    """A record's name in the platform's own words."""
    return f"{platform.code.lower()}.example:{record['local']}"


def query(path: str) -> dict[str, str]:
    """The arguments of a request."""
    return {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}


def as_json(document: Any) -> Answer:
    """A document as JSON."""
    return 200, {"Content-Type": "application/json"}, orjson.dumps(document)


def as_xml(content: bytes) -> Answer:
    """A document as XML."""
    return 200, {"Content-Type": "text/xml; charset=utf-8"}, content


def missing() -> Answer:
    """What a platform says of an address it does not have."""
    return 404, {"Content-Type": "text/html"}, b"<html>not found</html>"
