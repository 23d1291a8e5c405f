"""What tests of enrolment share: applicants, their web and name servers, and the people who decide."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler, UDPServer
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import httpx
from stdnum.cn import uscc

from tests.app.access.desk import Desk

CONTACT = {"name": "陈工", "duty": "技术", "email": "chen@example.com"}
FEED = {"name": "f", "connector": "ix", "config": {"base_url": "https://ix.example.com"}}


def credit_code(number: int = 0) -> str:
    """A right 统一社会信用代码, another for each number."""
    stem = f"91110000{number:09}"
    return stem + uscc.calc_check_digit(stem)


def application(domain: str = "resources.example.com", number: int = 0, **more: Any) -> dict[str, Any]:
    """A vendor's application."""
    return {
        "name": "备课助手", "organisation": "示例教育科技有限公司", "region": "110000", "domain": domain,
        "credit_code": credit_code(number), "contacts": [CONTACT], "agreement": "2026-1", **more,
    }  # fmt: skip


class Applicant:
    """An applicant with its enrolment key."""

    def __init__(self, hub: Desk, asked: dict[str, Any]) -> None:
        answer = httpx.post(f"{hub.url}/api/v1/enrolments", json=asked)
        assert answer.status_code == 201, answer.text
        self.said, self.id, self.challenge = asked, answer.json()["id"], answer.json()["challenge"]
        self.client = hub.key_client(answer.json()["key"])

    def post(self, verb: str, body: Any = None, **more: Any) -> httpx.Response:
        """A request on its own enrolment."""
        return self.client.post(f"/api/v1/enrolments/{self.id}/{verb}", json=body or {}, **more)

    def shown(self) -> dict[str, Any]:
        """Its own enrolment as it reads it."""
        found: dict[str, Any] = self.client.get(f"/api/v1/enrolments/{self.id}").json()
        return found

    def attach(self, kind: str = "report", content: bytes = b"a report", name: str = "report.json") -> httpx.Response:
        """Uploads a document."""
        path, params = f"/api/v1/enrolments/{self.id}/documents", {"kind": kind, "name": name}
        return self.client.post(path, params=params, content=content)


def decide(client: httpx.Client, reference: str, verb: str, status: int = 200, **body: Any) -> dict[str, Any]:
    """What an operator does with an enrolment; the answer."""
    answer = client.post(f"/api/v1/enrolments/{reference}/{verb}", json=body)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


@contextmanager
def website(pages: dict[str, str], moved: dict[str, str] | None = None) -> Iterator[str]:
    """A web server on loopback with these pages; its host and port. Paths in `moved` redirect."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            place, body = (moved or {}).get(self.path), pages.get(self.path, "").encode()
            self.send_response(302 if place else 200 if self.path in pages else 404)
            if place:
                self.send_header("Location", place)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@contextmanager
def nameserver(records: dict[str, str]) -> Iterator[str]:
    """A DNS server on loopback with these TXT records; its host and port."""

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            content, socket = self.request
            query = dns.message.from_wire(content)
            answer, name = dns.message.make_response(query), query.question[0].name
            answer.flags |= dns.flags.RA
            text = records.get(name.to_text(omit_final_dot=True))
            if text is None:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            else:
                answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", f'"{text}"'))
            socket.sendto(answer.to_wire(), self.client_address)

    with UDPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@contextmanager
def proved(hub: Desk, number: int = 0, **more: Any) -> Iterator[Applicant]:
    """An applicant whose domain is a server on loopback and proved; submitted by the caller."""
    pages: dict[str, str] = {}
    with website(pages) as domain:
        applicant = Applicant(hub, application(domain, number, **more))
        pages["/.well-known/hutong-challenge"] = applicant.challenge
        answer = applicant.post("proof", {"by": "file"})
        assert answer.status_code == 200, answer.text
        yield applicant


def in_sandbox(hub: Desk, applicant: Applicant, operator: httpx.Client) -> tuple[str, httpx.Client]:
    """Through the review; the platform's code and a client with its sandbox key."""
    assert applicant.post("submit").json() == {"stage": "review"}
    code = decide(operator, applicant.id, "approve")["code"]
    return code, hub.key_client(applicant.post("credential").json()["key"])


def reported(hub: Desk, applicant: Applicant, code: str) -> str:
    """A validation report as the hub itself writes it; its SHA-256."""
    from app.platforms import documents

    with hub.database.write() as connection:
        row = documents.keep(
            connection, hub.settings.documents, code, "validation", "v.json", applicant.id.encode(), by_hub=True
        )
    return str(row["sha256"])


def admitted(hub: Desk, applicant: Applicant, first: httpx.Client, second: httpx.Client) -> tuple[str, httpx.Client]:
    """All the way to the trial; the platform's code and a client with its main key."""
    code, _ = in_sandbox(hub, applicant, first)
    reported(hub, applicant, code)
    assert applicant.post("submit").json() == {"stage": "conformance"}
    assert decide(first, code, "approve")["verdict"] == "voted"
    assert decide(second, code, "approve")["stage"] == "trial"
    return code, hub.key_client(applicant.post("credential").json()["key"])
