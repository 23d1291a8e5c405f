"""docs/ix.md is true: its files, its script and its commands make a harvested feed, and its figures are right."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from app.protocol.canonical import canonical, content_hash, element, root
from tests.commands import hutong
from tests.peers.contract import faults
from tests.ports import free

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "ix.md").read_text()
CATALOGUE, PUBLISH = (re.findall(rf"```{kind}\n(.*?)```", GUIDE, re.DOTALL)[0] for kind in ("csv", "python"))
SERVE, HUB = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
MANIFEST = "site/ix/v1/all/snapshots/latest"


@contextmanager
def _site(folder: Path, port: int) -> Iterator[None]:
    """The guide's own web server, at another port."""
    command = SERVE.splitlines()[1].replace("python3", sys.executable).replace("8080", str(port)).split()
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as server:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield
        server.kill()


def _publish(folder: Path, catalogue: str) -> dict[str, Any]:
    (folder / "catalogue.csv").write_text(catalogue)
    (folder / "publish.py").write_text(PUBLISH)
    subprocess.run([sys.executable, "publish.py"], cwd=folder, check=True, timeout=60)
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    return manifest


def _hub(folder: Path, script: str) -> list[dict[str, Any]]:
    """Runs the guide's commands; the JSON documents they print."""
    known = {"PYTHONPATH": str(ROOT), "HUTONG_DATA_DIR": str(folder / "hub"), "PYTHON": sys.executable}
    script = 'set -e\nhutong() { "$PYTHON" -m app.cli "$@"; }\n' + script
    done = subprocess.run(["/bin/bash", "-c", script], cwd=folder, env=os.environ | known, capture_output=True, text=True, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _again(folder: Path) -> dict[str, Any]:
    """The guide's last command once more."""
    place = {"HUTONG_DATA_DIR": str(folder / "hub"), "HUTONG_FETCH_ALLOW": "127.0.0.0/8"}
    done = hutong(*shlex.split(HUB.splitlines()[-1])[1:], **place)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def port() -> int:
    """A free port."""
    return free()


def test_the_guide_leads_from_nothing_to_a_harvested_feed(tmp_path: Path, port: int) -> None:
    manifest = _publish(tmp_path, CATALOGUE)
    assert faults("Manifest", manifest) == []
    with _site(tmp_path, port):
        lines = urlopen(f"http://127.0.0.1:{port}/ix/v1/all/snapshots/{manifest['parts'][0]['href']}").read()
        assert len(lines) == manifest["parts"][0]["bytes"]
        (report,) = _hub(tmp_path, HUB.replace("8080", str(port)))
        assert (report["status"], report["created"], report["rejected"]) == ("done", 3, 0)
        assert _again(tmp_path)["seen"] == 0, "an unchanged manifest costs one request"
        _publish(tmp_path, CATALOGUE.replace("lesson-0001,1,勾股定理", "lesson-0001,2,勾股定理的证明"))
        assert _again(tmp_path)["changed"] == 1
        kept = _publish(tmp_path, "".join(line for line in CATALOGUE.splitlines(True) if "lesson-0003" not in line))
        report = _again(tmp_path)
        assert (report["tombstoned"], report["requests"]) == (1, 2)
        assert kept["count"] == 2


def test_the_parts_of_the_guide_are_by_the_contract(tmp_path: Path) -> None:
    import gzip

    part = _publish(tmp_path, CATALOGUE)["parts"][0]
    content = gzip.decompress((tmp_path / MANIFEST).parent.joinpath(part["href"]).read_bytes())
    items = [json.loads(line) for line in content.splitlines()]
    assert [fault for item in items for fault in faults("Put", item)] == []
    assert [item["hash"] for item in items] == [content_hash(canonical(item["record"])) for item in items]
    total = sum(int.from_bytes(element(i["id"], i["version"], i["hash"]), "big") for i in items) % (1 << 256)
    assert json.loads((tmp_path / MANIFEST).read_bytes())["root"] == root(total, 3)


def test_the_figures_to_check_against_are_right() -> None:
    rows = dict(re.findall(r"^\| `(record|hash|version|root)`[^|]*\| `(.*)` \|$", GUIDE, re.MULTILINE))
    record = json.loads(rows["record"])
    assert canonical(record).decode() == rows["record"]
    assert content_hash(canonical(record)) == rows["hash"]
    number = int.from_bytes(element(record["id"], int(rows["version"]), rows["hash"]), "big")
    assert root(number, 1) == rows["root"]
