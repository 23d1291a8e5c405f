"""docs/examples/enrol.sh: a vendor's whole way, with curl alone, against a real hub in a process of its own."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which

import httpx
import pytest

from tests.ports import free

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "docs" / "examples" / "enrol.sh"
ALTERED = 20
BASH = which("bash") or ""


class Quiet(SimpleHTTPRequestHandler):
    """The vendor's own website."""

    def log_message(self, *_: object) -> None: ...


def _alter(folder: Path) -> None:
    """What an intruder with the database in hand does: the triggers go first, then one row."""
    with sqlite3.connect(folder / "hutong.db") as base:
        base.execute("DROP TRIGGER audit_no_update")
        base.execute("UPDATE audit SET actor = 'person:nobody' WHERE seq = ?", [ALTERED])
    base.close()


@pytest.mark.skipif(which("curl") is None or not BASH, reason="the script needs bash and curl")
def test_the_script_brings_a_vendor_in_and_names_the_row_that_was_altered(tmp_path: Path) -> None:
    port, web = free(), tmp_path / "web"
    web.mkdir()
    environment = os.environ | {
        "HUTONG_DATA_DIR": str(tmp_path), "HUTONG_FETCH_ALLOW": "127.0.0.0/8",
        "HUTONG_PUBLIC_URL": f"http://127.0.0.1:{port}", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    environment.pop("HUTONG_DATABASE_URL", None)
    hutong = [sys.executable, "-m", "app.cli"]
    said = subprocess.run([*hutong, "init"], env=environment, capture_output=True, text=True, check=True).stdout
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(web))) as site:
        thread = threading.Thread(target=site.serve_forever, daemon=True)
        thread.start()
        hub = subprocess.Popen([*hutong, "serve", "--port", str(port)], env=environment)
        try:
            _ready(port)
            script = {
                "HUB": f"http://127.0.0.1:{port}", "CODE": said.split()[-1], "WEBROOT": str(web),
                "DOMAIN": f"127.0.0.1:{site.server_address[1]}", "HUTONG": " ".join(hutong),
            }  # fmt: skip
            script["ALTER"] = f"{sys.executable} -m tests.acceptance.test_enrol {tmp_path}"
            done = subprocess.run([BASH, str(SCRIPT)], env=environment | script, capture_output=True, text=True, check=False, timeout=300)  # fmt: skip
        finally:
            site.shutdown()
            hub.terminate()
            hub.wait(60)
            thread.join()
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "校验位不符",
        "3 records of E-110000-01",
        " 0 failed",
        "the chain holds",
        f"broken at row {ALTERED}:",
        "== done",
    ):
        assert words in done.stdout, f"{words}\n{done.stdout}"


def _ready(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the hub did not start")


if __name__ == "__main__":
    _alter(Path(sys.argv[1]))
