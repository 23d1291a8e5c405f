"""A door in front of a hub that adds the address of a collector to each page's own policy, and collects the reports."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

PASSED = ("content-type", "content-security-policy", "location", "cache-control", "set-cookie")


class Collector:
    """Everything the hub answers, unchanged but for `report-uri`; `planted` goes into each page, to show that it hears."""

    def __init__(self, hub: str) -> None:
        self.reports: list[dict[str, Any]] = []
        self.planted = ""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_POST(self) -> None:
                report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                collector.reports.append(report["csp-report"])
                self._answer(204, {}, b"")

            def do_GET(self) -> None:
                if self.path == "/events":  # a stream without end; 204 tells the browser not to come again
                    return self._answer(204, {}, b"")
                asked = {name: self.headers[name] for name in ("accept", "cookie") if self.headers[name]}
                found = httpx.get(hub + self.path, headers=asked, timeout=60)
                headers = {name: found.headers[name] for name in PASSED if name in found.headers}
                if policy := headers.get("content-security-policy"):
                    headers["content-security-policy"] = f"{policy}; report-uri /csp"
                body = found.content
                if "text/html" in headers.get("content-type", ""):
                    body = body.replace(b"</main>", collector.planted.encode() + b"</main>")
                return self._answer(found.status_code, headers, body)

            def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator["Collector"]:
        """Listening."""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield self
        self._server.shutdown()
        self._server.server_close()
