from __future__ import annotations

import http.client
import socket
from typing import TYPE_CHECKING

import pytest
from netns import until
from prometheus_client import CollectorRegistry, Gauge

from nfq_guard.adapters.http import Health, HttpServer, Sources

if TYPE_CHECKING:
    from collections.abc import Iterator


class Site:
    """A server with one gauge, whose health can be changed."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        registry = CollectorRegistry()
        Gauge("test_gauge", "A gauge.", registry=registry).set(3)
        self.ready = Health(good=False, text="starting")
        sources = Sources(registry, lambda: Health(good=True, text="ok"), lambda: self.ready)
        self.server = HttpServer(host, 0, sources)

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
        connection = http.client.HTTPConnection(*self.server.address, timeout=5)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body, answer.getheader("Content-Type") or ""


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.server.close()


def test_metrics_come_in_the_text_form(site: Site) -> None:
    status, body, kind = site.get("/metrics?x=1")

    assert status == 200
    assert "test_gauge 3.0" in body
    assert kind.startswith("text/plain")


def test_metrics_come_in_the_open_form_to_whoever_asks(site: Site) -> None:
    _, body, kind = site.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")

    assert kind.startswith("application/openmetrics-text")
    assert body.endswith("# EOF\n")


def test_probes_say_yes_and_no_with_the_reason(site: Site) -> None:
    assert site.get("/healthz")[:2] == (200, "ok\n")
    assert site.get("/readyz")[:2] == (503, "starting\n")

    site.ready = Health(good=True, text="enforcing generation 1")

    assert site.get("/readyz")[:2] == (200, "enforcing generation 1\n")


def test_a_head_request_gets_no_body(site: Site) -> None:
    assert site.get("/healthz", "HEAD")[:2] == (200, "")


@pytest.mark.parametrize(("method", "path", "expected"), [("GET", "/", 404), ("POST", "/metrics", 501)])
def test_anything_else_is_refused(site: Site, method: str, path: str, expected: int) -> None:
    assert site.get(path, method)[0] == expected


def test_silent_clients_cannot_pile_up_threads(site: Site) -> None:
    silent = [socket.create_connection(site.server.address, timeout=5) for _ in range(40)]
    hung_up = until(lambda: [sock for sock in silent if closed(sock)], "somebody is hung up on")

    assert len(hung_up) >= 1
    for sock in silent:
        sock.close()
    assert until(lambda: answers(site), "an answer after they left")


def closed(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def answers(site: Site) -> bool:
    try:
        return site.get("/healthz")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_it_listens_on_ipv6_too() -> None:
    made = Site("::1")

    assert made.get("/healthz")[0] == 200
    made.server.close()


def test_an_address_in_use_is_an_error(site: Site) -> None:
    sources = Sources(CollectorRegistry(), lambda: site.ready, lambda: site.ready)

    with pytest.raises(OSError, match="in use"):
        HttpServer("127.0.0.1", site.server.address[1], sources)
