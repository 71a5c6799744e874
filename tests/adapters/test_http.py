from __future__ import annotations

import http.client
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from netns import Namespace, until
from prometheus_client import CollectorRegistry, Gauge

import nfq_guard.adapters.http
from nfq_guard.adapters.http import (
    MOST_REQUESTS,
    REQUEST_SECONDS,
    Answer,
    Health,
    HttpServer,
    Request,
    Sources,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class Site:
    """A server with one gauge, whose health can be changed."""

    def __init__(self, host: str = "127.0.0.1", seconds: float = REQUEST_SECONDS, size: int = 0) -> None:
        registry = CollectorRegistry()
        Gauge("test_gauge", "A gauge.", registry=registry).set(3)
        if size:
            Gauge("test_bulk", "x" * size, registry=registry)
        self.ready = Health(good=False, text="starting")
        sources = Sources(registry, lambda: Health(good=True, text="ok"), lambda: self.ready)
        self.server = HttpServer(host, 0, sources, seconds)

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


def crowd(site: Site, count: int, words: bytes) -> list[socket.socket]:
    """Return clients that have said some words and wait."""
    clients = []
    for _ in range(count):
        sock = socket.create_connection(site.server.address, timeout=5)
        sock.sendall(words)
        clients.append(sock)
    return clients


def leave(clients: list[socket.socket]) -> None:
    for sock in clients:
        sock.close()


@pytest.mark.parametrize("words", [b"", b"GET /readyz HTT"], ids=["silent", "in the middle of a word"])
@pytest.mark.parametrize("count", [16, MOST_REQUESTS, MOST_REQUESTS + 40])
def test_slow_clients_never_keep_a_probe_out(count: int, words: bytes) -> None:
    site = Site(seconds=3600)
    slow = crowd(site, count, words)

    assert [site.get("/healthz")[0] for _ in range(5)] == [200] * 5
    assert until(lambda: count_of_threads() <= MOST_REQUESTS, "the crowd is thinned out")
    leave(slow)
    site.server.close()


def count_of_threads() -> int:
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


def test_a_client_that_drips_is_hung_up_on_when_its_time_is_over() -> None:
    site = Site(seconds=0.5)
    (dripping,) = crowd(site, 1, b"GET /readyz HTTP/1.0\r\n")

    def drip() -> bool:
        try:
            dripping.setblocking(True)
            dripping.sendall(b"x")
        except OSError:
            return True
        return closed(dripping)

    assert until(drip, "the drip is over")
    leave([dripping])
    site.server.close()


def test_clients_that_do_not_take_their_answers_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nfq_guard.adapters.http, "MOST_REQUESTS", 4)
    site = Site(seconds=3600, size=16_000_000)
    greedy = crowd(site, 4, b"GET /metrics HTTP/1.0\r\n\r\n")

    assert until(lambda: answers(site), "an answer for somebody else")
    leave(greedy)
    site.server.close()


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


@pytest.mark.netns
@pytest.mark.parametrize("address", ["10.77.0.200", "fd77::200"], ids=["IPv4", "IPv6"])
def test_an_address_that_comes_later_is_served_when_it_comes(address: str) -> None:
    def fine() -> Health:
        return Health(good=True, text="ok")

    with Namespace() as space, space.entered():
        server = HttpServer(address, 9091, Sources(CollectorRegistry(), fine, fine))
        try:
            space.run(
                "ip", "address", "add", f"{address}/{128 if ':' in address else 32}", "dev", "lo", "nodad"
            )
            with space.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as client:
                client.settimeout(5)
                client.connect((address, 9091))
                client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                assert client.recv(64).startswith(b"HTTP/1.0 200")
        finally:
            server.close()


def test_an_address_in_use_is_an_error(site: Site) -> None:
    sources = Sources(CollectorRegistry(), lambda: site.ready, lambda: site.ready)

    with pytest.raises(OSError, match="in use"):
        HttpServer("127.0.0.1", site.server.address[1], sources)


class Paged(Site):
    """A server with a page that says what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Request] = []
        registry, fine = CollectorRegistry(), Health(good=True, text="ok")
        self.server.close()
        sources = Sources(registry, lambda: fine, lambda: fine, self.page)
        self.server = HttpServer("127.0.0.1", 0, sources)

    def page(self, request: Request) -> Answer | None:
        self.asked.append(request)
        return None if request.path == "/nothing" else Answer(201, "text/x", b"body", (("X-Ours", "yes"),))


@pytest.fixture
def paged() -> Iterator[Paged]:
    made = Paged()
    yield made
    made.server.close()


def test_a_page_is_told_who_asks_for_what_and_from_where(paged: Paged) -> None:
    headers = {"Host": "x:1", "Origin": "http://y", "Sec-Fetch-Site": "cross-site", "X-Requested-With": "z"}

    assert paged.get("/a?b=c?d", **headers) == (201, "body", "text/x")
    assert paged.asked == [
        Request("/a", "b=c?d", "127.0.0.1", "127.0.0.1", "x:1", "http://y", "cross-site", "z")
    ]


def test_two_hosts_are_none(paged: Paged) -> None:
    with socket.create_connection(paged.server.address, timeout=5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        head = sock.recv(65536)

    assert b"X-Ours: yes" in head
    assert paged.asked[0].host == ""


def test_a_page_is_asked_for_nothing_that_is_metrics_and_may_know_no_path(paged: Paged) -> None:
    assert paged.get("/metrics")[0] == paged.get("/healthz")[0] == 200
    assert paged.asked == []
    assert paged.get("/nothing")[:2] == (
        404,
        "there are /metrics, /healthz and /readyz, and / for browsers\n",
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_a_page_is_only_ever_read(paged: Paged, method: str) -> None:
    assert paged.get("/", method)[0] == 501
    assert paged.asked == []
    assert paged.get("/", "HEAD")[:2] == (201, "")
