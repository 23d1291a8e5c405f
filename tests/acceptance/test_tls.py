"""`hutong serve --tls-cert`: nothing older than TLS 1.2, and with --tls-client-ca nobody without a certificate."""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.tls import PATIENCE_S, Authority, context, serving


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    """The authority that the hub trusts."""
    return Authority(tmp_path, "ours")


@pytest.fixture
def hub(tmp_path: Path, ours: Authority) -> Iterator[str]:
    """A hub that asks its clients for a certificate."""
    with serving(tmp_path / "data", ours) as url:
        yield url


def test_who_has_no_certificate_or_an_old_protocol_gets_no_answer(hub: str, ours: Authority, tmp_path: Path) -> None:
    good = ours.issue("platform")
    with httpx.Client(verify=context(ours, good), timeout=PATIENCE_S) as client:
        assert client.get(f"{hub}/healthz").json() == {"status": "alive"}
    foreign = Authority(tmp_path, "foreign").issue("stranger")
    for files in (None, foreign):
        with (
            httpx.Client(verify=context(ours, files), timeout=PATIENCE_S) as client,
            pytest.raises(httpx.TransportError),
        ):
            client.get(f"{hub}/healthz")
    old = context(ours, good)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with httpx.Client(verify=old, timeout=PATIENCE_S) as client, pytest.raises(httpx.TransportError):
        client.get(f"{hub}/healthz")


def test_half_of_the_options_is_refused(tmp_path: Path) -> None:
    environment = {**os.environ, "HUTONG_DATA_DIR": str(tmp_path)}
    run = [sys.executable, "-m", "app.cli", "serve", "--tls-cert", "x.pem"]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "--tls-key" in done.stderr) == (2, True)
