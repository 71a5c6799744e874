"""A guarded end, a peer, and the web page of the guard: what its tests in JSON and in a browser share."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from guarded import METRICS_PORT, Daemon, Server, connects, endpoint, policy, tcp
from netns import pair, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netns import End

OPEN, CLOSED, SHUT = 8080, 8081, 8082
PAGE = f"http://127.0.0.1:{METRICS_PORT}/"
HOSTILE = "<img src=x onerror=alert(1)>"
ONLY_FRIENDS = (
    f"{{action: Allow, protocol: TCP, source: {{selector: 'note == \"{HOSTILE}\"'}}, "
    f"destination: {{ports: [{SHUT}]}}}}"
)


class Site:
    """A guarded end with a server, a peer, and a daemon that asks about every packet."""

    def __init__(self, ends: tuple[End, End], base: Path, *flags: str) -> None:
        self.guarded, self.peer = ends
        self.server = Server(self.guarded.namespace, OPEN)
        self.daemon = Daemon(self.guarded.namespace, base, "--learned-verdicts", "false", *flags)
        self.daemon.write(endpoint(), policy(tcp(OPEN), ONLY_FRIENDS))

    def denied(self, port: int = CLOSED, family: int = 4) -> bool:
        """Send a packet that is denied; return that it was sent."""
        kind, where = (socket.AF_INET, self.guarded.v4) if family == 4 else (socket.AF_INET6, self.guarded.v6)
        with self.peer.namespace.socket(kind, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            sock.connect_ex((where, port))
        return True

    def allowed(self) -> bool:
        return connects(self.peer, self.guarded, OPEN)

    def api(self, path: str, **parameters: object) -> Any:
        """Return the JSON of an answer."""
        status, body = self.daemon.get(f"/api/{path}?{urlencode(parameters)}")
        assert status == 200, body
        return json.loads(body)

    def explained(self, event: dict[str, Any]) -> Any:
        """Return the answer about a flow, when there is one."""

        def answer() -> Any:
            found = self.api("explain", flow=json.dumps(event))
            return None if found["state"] == "pending" else found

        return until(answer, "an explanation", 60, pause=0.2)

    def helpers(self) -> list[int]:
        """Return the processes that explain."""
        assert self.daemon.process is not None
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if b"explain" in words and os.fsencode(self.daemon.rules) in words:
                found.append(int(path.parent.name))
        return found


@contextlib.contextmanager
def started(base: Path) -> Iterator[Site]:
    """Yield one whose daemon runs."""
    with pair() as ends:
        made = Site(ends, base)
        with made.daemon:
            made.daemon.start()
            yield made
            made.server.close()
