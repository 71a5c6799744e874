"""The HTTP side: /metrics, /healthz and /readyz, and the web page where there is one.

Owns routing and limits. Must never compute anything about the guard: it asks callables
that only read, and it runs in threads of the controller, never in a verdict process
(one scrape of 3,000 series there costs a fifth of the connections per second).
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.exposition import choose_encoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client.registry import Collector, CollectorRegistry

REQUEST_SECONDS = 5.0
"""From the connection to the last byte of the answer, however the client spreads its own."""
MOST_REQUESTS = 64
"""Requests served at once: clients cannot pile up threads."""
_LOOK_SECONDS = 0.25
"""Between looks for requests that are overdue."""
_SLOW_SECONDS = 1.0
"""An answer that takes longer to be taken may be given up for a new request."""
_PLAIN = "text/plain; charset=utf-8"


class Health(NamedTuple):
    """An answer to a probe: whether all is well, and what is to be said."""

    good: bool
    text: str


class Request(NamedTuple):
    """A GET or HEAD, as far as whoever answers it may want to know."""

    path: str
    query: str
    """Behind the question mark, as it was sent."""
    client: str
    """Address that it comes from."""
    server: str
    """Address that it came to."""
    host: str
    """The Host header; empty unless there is exactly one."""
    origin: str
    """The Origin header, empty for none."""
    site: str
    """Sec-Fetch-Site: whose page made the browser ask; empty for none."""
    requested_with: str = ""
    """X-Requested-With: what made the request, which a browser lets no other site's page say."""


class Answer(NamedTuple):
    """What is sent back."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Sources(NamedTuple):
    """Where the answers come from. Called in threads; must only read."""

    registry: CollectorRegistry | Collector
    healthy: Callable[[], Health]
    ready: Callable[[], Health]
    page: Callable[[Request], Answer | None] | None = None
    """Answers what else is asked for; None: there is no such path."""


class HttpServer:
    """Serves until closed. `address` is where it really listens (port 0 picks one)."""

    def __init__(self, host: str, port: int, sources: Sources, seconds: float = REQUEST_SECONDS) -> None:
        """Listen; a request may take so many seconds. OSError where the address cannot be had."""
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self._server = _Server(family, address, sources, seconds)
        self.address: tuple[str, int] = self._server.server_address[:2]  # type: ignore[assignment]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_LOOK_SECONDS,), name="http", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening; requests in flight end with the process."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Places:
    """Who is being served, the longest served first. Whoever loses the place is hung up on.

    A client that has not said what it wants is the first to go: an honest one says so
    at once, and a crowd that says nothing must not keep it out.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._since: dict[socket.socket, float] = {}
        self._asked: set[socket.socket] = set()

    def take(self, client: socket.socket) -> bool:
        """Give a client a place, somebody else's if need be; return whether there is one."""
        now = time.monotonic()
        with self._lock:
            if len(self._since) >= MOST_REQUESTS:
                slowest = self._slowest(now)
                if slowest is None:
                    return False
                self._hang_up(slowest)
            self._since[client] = now
        return True

    def asked(self, client: socket.socket) -> None:
        """Note that a client's request is complete."""
        with self._lock:
            if client in self._since:
                self._asked.add(client)

    def leave(self, client: socket.socket) -> None:
        """Give a place back, if it was not taken away before."""
        with self._lock:
            self._since.pop(client, None)
            self._asked.discard(client)

    def expire(self) -> None:
        """Take their places from all whose time is over."""
        over = time.monotonic() - self._seconds
        with self._lock:
            for client in [client for client, since in self._since.items() if since <= over]:
                self._hang_up(client)

    def _slowest(self, now: float) -> socket.socket | None:
        silent = next((client for client in self._since if client not in self._asked), None)
        if silent is not None:
            return silent
        oldest, since = next(iter(self._since.items()))
        return oldest if now - since > _SLOW_SECONDS else None

    def _hang_up(self, client: socket.socket) -> None:
        del self._since[client]
        self._asked.discard(client)
        # Its thread wakes from whatever read or write it is in, and closes it.
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


_IP_FREEBIND = 15
"""linux/in.h; Python has no name for it. Good for IPv6 sockets, too."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, family: int, address: tuple[object, ...], sources: Sources, seconds: float) -> None:
        self.address_family = family
        self.sources = sources
        self.places = _Places(seconds)
        super().__init__(address, _Handler)  # type: ignore[arg-type]

    def server_bind(self) -> None:
        """Bind, also to an address that the host does not have yet: at boot the guard is first."""
        self.socket.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        # Not HTTPServer's, which asks for the name of the address: at boot nobody answers.
        TCPServer.server_bind(self)

    def service_actions(self) -> None:
        """Look after those being served, between two connections and when there is none."""
        self.places.expire()

    def process_request(self, request: object, client_address: object) -> None:
        """Give the request a thread."""
        assert isinstance(request, socket.socket)  # noqa: S101 - what a stream server accepts
        if not self.places.take(request):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread to be had
            self.places.leave(request)
            self.shutdown_request(request)

    def process_request_thread(self, request: object, client_address: object) -> None:
        """Serve, and free the place however it ends."""
        assert isinstance(request, socket.socket)  # noqa: S101 - as above
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.leave(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_SECONDS
    server_version = "nfq-guard"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer a GET."""
        self.server.places.asked(self.connection)
        path, _, query = self.path.partition("?")
        if path == "/metrics":
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            self._send(Answer(200, content_type, encode(self.server.sources.registry)))
        elif path == "/healthz":
            self._probe(self.server.sources.healthy())
        elif path == "/readyz":
            self._probe(self.server.sources.ready())
        else:
            self._send(self._other(path, query) or Answer(404, _PLAIN, self._paths()))

    do_HEAD = do_GET  # noqa: N815 - the name http.server calls

    def _probe(self, health: Health) -> None:
        self._send(Answer(200 if health.good else 503, _PLAIN, health.text.encode() + b"\n"))

    def _other(self, path: str, query: str) -> Answer | None:
        page = self.server.sources.page
        if page is None:
            return None
        hosts = self.headers.get_all("Host", [])
        return page(
            Request(
                path,
                query,
                self.client_address[0],
                self.connection.getsockname()[0],
                hosts[0].strip() if len(hosts) == 1 else "",
                self.headers.get("Origin", ""),
                self.headers.get("Sec-Fetch-Site", ""),
                self.headers.get("X-Requested-With", ""),
            )
        )

    def _paths(self) -> bytes:
        more = "" if self.server.sources.page is None else ", and / for browsers"
        return f"there are /metrics, /healthz and /readyz{more}\n".encode()

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
        """Log nothing: probes come every few seconds."""
