"""1.1 to 1.3: in a network of its own, with a listener at the cloud's metadata address, nothing ever connects to it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.harvest.test_guard import BAD_URLS

ROOT = Path(__file__).resolve().parents[2]
CANARY, PUBLIC = "169.254.169.254", "93.184.216.34"
# Runs inside: both addresses are this machine's there, so that whatever dials them arrives.
INSIDE = f"""
import json, subprocess, sys, threading, socket
from app.harvest.fetch import Fetcher
from app.protocol.connector import Request
from app.protocol.errors import HutongError

for command in ("link set lo up", "addr add {CANARY}/32 dev lo", "addr add {PUBLIC}/32 dev lo"):
    subprocess.run(["ip", *command.split()], check=True)
came = {{"canary": 0, "public": 0}}

def listen(name, address, answer):
    server = socket.create_server((address, 80))
    def serve():
        while True:
            peer, _ = server.accept()
            came[name] += 1
            peer.recv(65536)
            peer.sendall(answer)
            peer.close()
    threading.Thread(target=serve, daemon=True).start()

where = iter(json.loads(sys.argv[1]))
listen("canary", "{CANARY}", b"HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\n\\r\\nsecret")
listen("public", "{PUBLIC}", b"HTTP/1.1 302 Found\\r\\nLocation: http://{CANARY}/latest\\r\\nContent-Length: 0\\r\\n\\r\\n")

names = {{
    "canary.example": ["{CANARY}"], "half.example": ["{PUBLIC}", "{CANARY}"], "mapped.example": ["::ffff:{CANARY}"],
    "public.example": ["{PUBLIC}"],
}}
turns = {{"rebinding.example": 0}}

def resolve(host, port):
    if host in turns:
        turns[host] += 1
        return ["{PUBLIC}"] if turns[host] % 2 else ["{CANARY}"]
    return names[host]

fetcher = Fetcher(resolver=resolve)
told = {{}}
for url in where:
    try:
        fetcher.fetch(Request(url)).response.body.close()
        told[url] = "answered"
    except HutongError as error:
        told[url] = error.kind
rebound = []
for _ in range(100):
    try:
        fetcher.fetch(Request("http://rebinding.example/"))
    except HutongError as error:
        rebound.append(error.kind)
# The listener is no dummy: a client without a guard reaches it.
import urllib.request
before = came["canary"]
body = urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open("http://{CANARY}/").read().decode()
print(json.dumps({{"told": told, "rebound": sorted(set(rebound)), "canary": before, "public": came["public"], "unguarded": body}}))
"""


def test_nothing_ever_reaches_the_metadata_address_whatever_names_it() -> None:
    unshare = shutil.which("unshare")
    if os.geteuid() != 0 or unshare is None or shutil.which("ip") is None:
        pytest.skip("a network namespace needs root, unshare and ip (Debian: util-linux, iproute2)")
    if subprocess.run([unshare, "--net", "true"], check=False, capture_output=True).returncode:
        pytest.skip("network namespaces are not allowed here")
    forms = [f"http://{name}.example/" for name in ("canary", "half", "mapped", "public")]
    forms += [
        f"http://{CANARY}/", f"http://{CANARY}:80/latest/meta-data", "http://2852039166/", "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/", f"http://[::ffff:{CANARY}]/", "http://[::ffff:a9fe:a9fe]/",
        "http://[64:ff9b::a9fe:a9fe]/", f"http://{CANARY}./", "http://１６９.254.169.254/",
    ]  # fmt: skip
    urls = list(dict.fromkeys([*forms, *BAD_URLS]))
    command = [unshare, "--net", sys.executable, "-c", INSIDE, json.dumps(urls)]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=100,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["canary"] == 0, "bytes reached the canary"
    assert found["unguarded"] == "secret"
    assert set(found["told"].values()) == {"net.address_forbidden"}, "the public one redirects to the canary"
    assert found["rebound"] == ["net.address_forbidden"]
    assert found["public"] >= 2, "legitimate addresses are dialled"
