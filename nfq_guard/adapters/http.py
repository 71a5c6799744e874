"""The HTTP side: /metrics, /healthz and /readyz.

Owns routing and limits. Must never compute anything about the guard: it asks callables
that only read, and it runs in threads of the controller, never in a verdict process
(one scrape of 3,000 series there costs a fifth of the connections per second).
"""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.exposition import choose_encoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client.registry import Collector, CollectorRegistry

_REQUEST_SECONDS = 5
_MOST_REQUESTS = 16
"""Requests served at once; more are hung up on, so that clients cannot pile up threads."""
_PLAIN = "text/plain; charset=utf-8"


class Health(NamedTuple):
    """An answer to a probe: whether all is well, and what is to be said."""

    good: bool
    text: str


class Sources(NamedTuple):
    """Where the answers come from. Called in threads; must only read."""

    registry: CollectorRegistry | Collector
    healthy: Callable[[], Health]
    ready: Callable[[], Health]


class HttpServer:
    """Serves until closed. `address` is where it really listens (port 0 picks one)."""

    def __init__(self, host: str, port: int, sources: Sources) -> None:
        """Listen; OSError where the address cannot be had."""
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self._server = _Server(family, address, sources)
        self.address: tuple[str, int] = self._server.server_address[:2]  # type: ignore[assignment]
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; requests in flight end with the process."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, family: int, address: tuple[object, ...], sources: Sources) -> None:
        self.address_family = family
        self.sources = sources
        self._places = threading.BoundedSemaphore(_MOST_REQUESTS)
        super().__init__(address, _Handler)  # type: ignore[arg-type]

    def process_request(self, request: object, client_address: object) -> None:
        """Give the request a thread if one is free."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)  # type: ignore[arg-type]
            return
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def process_request_thread(self, request: object, client_address: object) -> None:
        """Serve, and free the thread's place however it ends."""
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _REQUEST_SECONDS
    server_version = "nfq-guard"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer a GET."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            self._send(200, encode(self.server.sources.registry), content_type)
        elif path == "/healthz":
            self._probe(self.server.sources.healthy())
        elif path == "/readyz":
            self._probe(self.server.sources.ready())
        else:
            self._send(404, b"there are /metrics, /healthz and /readyz\n", _PLAIN)

    do_HEAD = do_GET  # noqa: N815 - the name http.server calls

    def _probe(self, health: Health) -> None:
        self._send(200 if health.good else 503, health.text.encode() + b"\n", _PLAIN)

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
        """Log nothing: probes come every few seconds."""
