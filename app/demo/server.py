"""The platforms' process: one HTTP server a platform on 127.0.0.1, ended by the end of its standard input."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

from app.demo.catalogue import DemoPlatform
from app.demo.faces import Face, described, face
from app.demo.federation import platforms


def _handler(platform: DemoPlatform) -> type[BaseHTTPRequestHandler]:
    made: list[Face] = []
    once = threading.Lock()
    asked = {"n": 0}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:
            """Silence: the hub tells what happens."""

        def do_GET(self) -> None:
            with once:
                if not made:
                    made.append(face(platform))
                asked["n"] += 1
                turn = asked["n"]
            if platform.fault == "throttled" and turn == 2:
                self._send(429, {"Retry-After": "2"}, b"slow down")
                return
            status, headers, body = made[0](self.path)
            self._send(status, headers, body, cut=platform.fault == "truncated" and turn == 3)

        def _send(self, status: int, headers: dict[str, str], body: bytes, *, cut: bool = False) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)
            self.close_connection = self.close_connection or cut

    return Handler


def main(number: int, records: int) -> None:
    """Serves until standard input ends; one JSON line with all platforms when ready."""
    told = []
    for platform in platforms(number, records):
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(platform))
        told.append(described(platform, f"http://127.0.0.1:{server.server_address[1]}"))
        if platform.fault == "down":
            server.server_close()
            continue
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(orjson.dumps(told).decode(), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
