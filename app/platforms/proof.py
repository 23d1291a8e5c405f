"""Proof of a domain: a file that only its owner can publish, or a TXT record (in the manner of RFC 8555 8.3 and 8.4).

No transaction is open while another machine is asked. The file is asked for through the hub's guarded client.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import dns.exception
import dns.nameserver
import dns.resolver
from sqlalchemy import Connection, update

from app.access.audit import Act, note
from app.access.principal import narrowed
from app.access.quotas import Buckets, Rate
from app.clock import ticks
from app.db import Database, now
from app.platforms.history import record
from app.platforms.once import own_domain
from app.platforms.queries import enrolment_of
from app.platforms.stages import Stage, Verdict, named
from app.platforms.tables import enrolment
from app.protocol.connector import Request
from app.protocol.errors import BadRequest, Conflict, PeerError

FILE: Final = "/.well-known/hutong-challenge"
RECORD: Final = "_hutong-challenge"
SECONDS: Final = 5.0
BYTES: Final = 1024
ATTEMPTS: Final = Rate(30, 3600)
"""Of one enrolment: the hub asks strangers' machines on a stranger's word."""
Texts = Callable[[str], Iterable[str]]
"""The TXT records of a name. Raises PeerError."""


class Fetches(Protocol):
    """The hub's guarded client."""

    def fetch(self, request: Request) -> Any:
        """The answer with its body at the beginning."""


def prove(
    database: Database, reference: str, by: str, fetcher: Fetches, texts: Texts, attempts: Buckets | None = None
) -> dict[str, Any]:
    """Looks for the challenge where only the domain's owner can put it, and remembers that it was there.

    Raises BadRequest (`enrol.proof`: what was found instead), Conflict (`enrol.domain_taken`, `enrol.stage`),
    QuotaExceeded after too many `attempts`.
    """
    with database.read() as connection:
        row = enrolment_of(connection, reference)
    if row.stage != Stage.APPLIED:
        raise named(Conflict(f"a domain is proved before the review, not in {row.stage!r}"), "enrol.stage")
    if attempts is not None:
        attempts.take(row.id, ticks())
    seen = _file(fetcher, row.domain) if by == "file" else _records(texts, row.domain)
    wanted = row.challenge if by == "file" else f"hutong-challenge={row.challenge}"
    if wanted not in seen:
        raise named(BadRequest(f"{_where(by, row.domain)} does not hold {wanted}"), "enrol.proof")
    with database.write() as connection:
        return _proved(connection, reference, row, by)


def _proved(connection: Connection, reference: str, before: Any, by: str) -> dict[str, Any]:
    row = enrolment_of(connection, reference)
    if row.challenge != before.challenge:
        raise named(Conflict("the domain was changed meanwhile; prove it again"), "enrol.stage")
    own_domain(connection, row)
    at = now(connection)
    mine = update(enrolment).where(enrolment.c.id == row.id).values(proved_at=at, proved_by=by)
    connection.execute(narrowed(mine))
    record(connection, row.id, Verdict.PROVED, row.stage, row.stage, f"{row.domain}: {by}", ())
    note(connection, Act.DOMAIN_PROVED, row.id, domain=row.domain, by=by)
    return {"domain": row.domain, "proved_by": by, "proved_at": at}


def places(domain: str) -> dict[str, str]:
    """Where the challenge is looked for, by way of proof."""
    return {"file": f"https://{domain}{FILE}", "dns": f"{RECORD}.{domain.split(':')[0]}"}


def _where(by: str, domain: str) -> str:
    return f"{domain}{FILE}" if by == "file" else f"TXT {RECORD}.{domain.split(':')[0]}"


def _file(fetcher: Fetches, domain: str) -> list[str]:
    """The file's lines, over https, else over http. A redirect to another host proves nothing about this one."""
    first: PeerError | None = None
    for scheme in ("https", "http"):
        try:
            return _lines(fetcher, f"{scheme}://{domain}{FILE}", domain)
        except PeerError as error:
            first = first or error
    assert first is not None
    raise named(BadRequest(f"{_where('file', domain)} cannot be read: {first.detail}"), "enrol.proof") from first


def _lines(fetcher: Fetches, url: str, domain: str) -> list[str]:
    response = fetcher.fetch(Request(url)).response
    with response.body:
        text = response.body.read(BYTES).decode("ascii", "replace")
    if urlsplit(response.url).netloc.lower() != domain:
        detail = f"{_where('file', domain)} leads to another host, which proves nothing about {domain}"
        raise named(BadRequest(detail), "enrol.proof")
    return text.split() if response.status == 200 else []


def _records(texts: Texts, domain: str) -> list[str]:
    try:
        return list(texts(f"{RECORD}.{domain.split(':')[0]}"))
    except PeerError as error:
        raise named(BadRequest(f"{_where('dns', domain)} cannot be read: {error.detail}"), "enrol.proof") from error


def resolver(servers: str = "") -> Texts:
    """TXT records through the machine's own resolver, or through `servers` (`10.0.0.53` or `10.0.0.53:5353`, ...)."""

    def texts(name: str) -> Iterable[str]:
        made = dns.resolver.Resolver(configure=not servers)
        if servers:
            made.nameservers = _addresses(servers)
        try:
            answer = made.resolve(name, "TXT", lifetime=SECONDS)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.exception.DNSException as error:
            raise PeerError(f"the name servers do not answer for {name} ({type(error).__name__})") from error
        return [b"".join(row.strings).decode("ascii", "replace") for row in answer]

    return texts


def _addresses(servers: str) -> list[Any]:
    found: list[Any] = []
    for part in servers.split(","):
        host, _, port = part.strip().partition(":")
        found.append(dns.nameserver.Do53Nameserver(host, int(port or 53)))
    return found
