"""The address guard: tables, notations, the allow list."""

import pytest

from app.harvest.guard import Allow, check_address, check_url
from app.protocol.errors import AddressForbidden

FORBIDDEN = [
    "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::", "fec0::1", "5f00::1", "192.0.0.8",
    "192.88.99.1", "224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1", "::", "::1", "::ffff:127.0.0.1",
    "::ffff:8.8.8.8", "0.0.0.1", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.168.0.1",
    "192.175.48.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "240.0.0.1", "255.255.255.255",
    "2001::1", "2001:1ff:ffff::1", "2001:db8::1", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0",
    "0.0.0.0",  # noqa: S104 - a test value
    "2400:3200::1%eth0", "100::1", "4000::1", "0177.0.0.1", "0x7f.0.0.1", "127.1", "2130706433", "", "name",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8", "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
    "198.20.0.0", "223.255.255.255", "202.112.0.36", "223.5.5.5", "2001:200::1", "2001:4860:4860::8888",
    "2400:3200::1", "2606:4700::1111", "240e::1", "2001:da8::1", "2003::1",
]  # fmt: skip
BAD_URLS = [
    "ftp://8.8.8.8/", "file:///etc/passwd", "gopher://8.8.8.8/", "javascript:alert(1)", "//host.example/",
    "host.example", "", "http://", "http:///x", "http://user@host.example/", "http://user:pw@host.example/", "http://@host.example/",
    "http://host.example:22/", "http://host.example:0/", "http://host.example:99999/", "http://host.example:x/",
    "http://127.0.0.1/", "http://127.1/", "http://0177.0.0.1/", "http://0x7f.0.0.1/", "http://0x7f000001/",
    "http://2130706433/", "http://127.0.0.1./", "http://017700000001/", "http://8.8.8.010/", "http://0x08080808/",
    "http://１２７.0.0.1/", "http://①②⑦.0.0.1/", "http://127。0。0。1/", "http://[::1]/", "http://[::ffff:7f00:1]/",
    "http://[::ffff:127.0.0.1]/", "http://[fe80::1%25eth0]/", "http://[::127.0.0.1]/", "http://169.254.169.254/latest",
    "http://host.example\\@127.0.0.1/", "http://host.example /", "http://ho\tst.example/",
    "http://host.example/\r\nX: y", "http://a..example/", "http://-a.example/", "http://1.2.3.4.5/", "http://%31%32%37.0.0.1/",
]  # fmt: skip
GOOD_URLS = [
    "http://host.example/", "https://host.example/oai?verb=Identify", "HTTPS://HOST.EXAMPLE:8443/a", "http://8.8.8.8:8080/",
    "http://host.example./", "https://教育.example/oai", "https://[2400:3200::1]/", "http://host.example/a@b?c=d@e#f",
    "http://a_b.host.example:80/", "http://0x.host.example/", "http://1.host.example/", "http://host.example?a=x@y",
]  # fmt: skip


@pytest.mark.parametrize("ip", FORBIDDEN)
def test_forbidden_addresses(ip: str) -> None:
    assert not check_address(ip)


@pytest.mark.parametrize("ip", PUBLIC)
def test_public_addresses(ip: str) -> None:
    assert check_address(ip)


@pytest.mark.parametrize("url", BAD_URLS)
def test_urls_refused(url: str) -> None:
    with pytest.raises(AddressForbidden):
        check_url(url, Allow())


@pytest.mark.parametrize("url", GOOD_URLS)
def test_urls_accepted(url: str) -> None:
    check_url(url, Allow())


def test_allow_list() -> None:
    allow = Allow.parse("127.0.0.0/8, 10.0.0.1:8080, Host.Example:8443, ::1 [fd00::/8]:443, any.example.")
    assert allow.permits("x", "127.9.9.9", 1)
    assert allow.permits("x", "10.0.0.1", 8080)
    assert not allow.permits("x", "10.0.0.1", 80)
    assert not allow.permits("x", "10.0.0.2", 8080)
    assert allow.permits("HOST.example.", "10.9.9.9", 8443)
    assert not allow.permits("host.example", "10.9.9.9", 443)
    assert not allow.permits("evil.host.example", "10.9.9.9", 8443)
    assert allow.permits("any.example", "192.168.0.1", 4711)
    assert allow.permits("x", "::1", 9)
    assert allow.permits("x", "fd00::5", 443)
    assert not allow.permits("x", "fd00::5", 80)
    assert not allow.permits("x", "::ffff:127.0.0.1", 80)
    assert not allow.permits("x", "fd00::5%eth0", 443)
    assert not Allow.parse(" ").permits("x", "10.0.0.1", 80)


@pytest.mark.parametrize(
    "text",
    ["10.0.0.1/8", "10.0.0.0/33", "300.1.1.1", "127.1", "a b:x", "host:0", "host:70000", "http://x", "[::1", "x/y"],
)
def test_allow_list_mistakes(text: str) -> None:
    with pytest.raises(ValueError):
        Allow.parse(text)


def test_allowed_urls() -> None:
    allow = Allow.parse("127.0.0.0/8:9000, host.example:22")
    check_url("http://127.0.0.1:9000/", allow)
    check_url("http://host.example:22/", allow)
    check_url("http://resolved-later.example:9000/", allow)
    for url in ("http://127.0.0.1:9001/", "http://127.0.0.1/", "http://other.example:22/", "http://127.1:9000/"):
        with pytest.raises(AddressForbidden):
            check_url(url, allow)
