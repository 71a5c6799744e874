from __future__ import annotations

import pytest

from nfq_guard.adapters.http import Request
from nfq_guard.daemon.visitors import host_name, is_loopback, refusal

NAMES = frozenset({"localhost", "worker-1"})
HOME = Request("/", "", "127.0.0.1", "127.0.0.1", "127.0.0.1:9091", "", "")


@pytest.mark.parametrize(
    "request_",
    [
        HOME,
        HOME._replace(host="localhost:9091", origin="http://localhost:9091", site="same-origin"),
        HOME._replace(host="LOCALHOST"),
        HOME._replace(host="localhost.:80"),
        HOME._replace(host="worker-1:19091", site="none"),
        HOME._replace(client="::1", server="::1", host="[::1]:9091"),
        HOME._replace(client="::ffff:127.0.0.1", server="::ffff:127.0.0.1"),
        HOME._replace(client="127.0.0.9", server="127.0.0.1"),
    ],
)
def test_this_host_by_its_own_names_is_answered(request_: Request) -> None:
    assert refusal("loopback", request_, NAMES) == ""
    assert refusal("everywhere", request_, NAMES) == ""


@pytest.mark.parametrize(
    ("client", "server"),
    [
        ("10.0.0.2", "10.0.0.1"),
        ("10.0.0.2", "127.0.0.1"),
        ("127.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.2", "::ffff:10.0.0.1"),
        ("fe80::1%eth0", "fe80::2%eth0"),
    ],
)
def test_other_hosts_are_answered_only_where_everybody_is(client: str, server: str) -> None:
    asked = HOME._replace(client=client, server=server)

    assert "loopback" in refusal("loopback", asked, NAMES)
    assert refusal("everywhere", asked, NAMES) == ""


@pytest.mark.parametrize(
    ("host", "origin", "site", "word"),
    [
        ("rebound.example:9091", "", "", "rebound.example"),
        ("worker-1.evil.example", "", "", "Host"),
        ("127.0.0.1.evil.example", "", "", "Host"),
        ("", "", "", "Host"),
        ("localhost:x", "", "", "Host"),
        ("[::1", "", "", "Host"),
        ("[::1]9091", "", "", "Host"),
        ("localhost:9091", "", "cross-site", "another site"),
        ("localhost:9091", "", "same-site", "another site"),
        ("localhost:9091", "http://evil.example", "", "Origin"),
        ("localhost:9091", "http://localhost:8000", "", "Origin"),
        ("localhost:9091", "null", "", "Origin"),
    ],
)
@pytest.mark.parametrize("who", ["loopback", "everywhere"])
def test_what_another_site_makes_a_browser_ask_is_refused(
    who: str, host: str, origin: str, site: str, word: str
) -> None:
    assert word in refusal(who, HOME._replace(host=host, origin=origin, site=site), NAMES)


def test_a_refusal_does_not_repeat_whatever_it_is_sent() -> None:
    assert len(refusal("everywhere", HOME._replace(host="x" * 60_000), NAMES)) < 400


def test_hosts_and_addresses_are_read_as_they_are_spelled() -> None:
    assert host_name("[2001:DB8::1]:80") == "2001:db8::1"
    assert host_name("a:1:2") is None
    assert not is_loopback("")
    assert is_loopback("127.255.0.1")
