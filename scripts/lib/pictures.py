"""Takes the pictures of docs/page.md: the example rules, real packets, a real browser.

Owns what is to be seen on them. Everything happens in namespaces of its own. Look at the
pictures before you commit them: nothing else does.
"""

from __future__ import annotations

import io
import itertools
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import browser
from browser import Browser
from guarded import METRICS_PORT, Daemon, Server
from netns import End, pair, until
from PIL import Image

if TYPE_CHECKING:
    from types import TracebackType

    from netns import Namespace

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
HOST, MANAGEMENT, STRANGER, SCANNER = "192.0.2.10", "198.51.100.7", "203.0.113.99", "203.0.113.7"
HOST6, STRANGER6 = "2001:db8:77::10", "2001:db8:77::99"
SECONDS = 45
"""Of traffic ahead of the first picture: rates are a curve then."""
COLOURS = 160
"""Of a picture: letters on plain ground need no more."""
CHOSEN = "[...document.querySelectorAll('#verdicts tbody tr')].find((row) => row.innerText.includes(':9100'))"


def address(guarded: End, peer: End) -> None:
    """Give both ends the addresses that the example rules speak of."""
    for end, own, other in (
        (guarded, (HOST, HOST6), ("198.51.100.0/24", "203.0.113.0/24")),
        (peer, (MANAGEMENT, STRANGER, SCANNER, STRANGER6), ("192.0.2.0/24",)),
    ):
        for each in own:
            end.namespace.ip(
                "address",
                "add",
                f"{each}/{64 if ':' in each else 32}",
                "dev",
                "eth0",
                *(["nodad"] * (":" in each)),
            )
        for net in other:
            end.namespace.ip("route", "add", net, "dev", "eth0")


def attempt(
    space: Namespace, source: str, target: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM
) -> None:
    """Send one packet, whatever becomes of it."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    with space.socket(family, kind) as sock:
        sock.bind((source, 0))
        sock.setblocking(False)
        sock.connect_ex((target, port))
        if kind == socket.SOCK_DGRAM:
            sock.send(b"?")


def traffic(guarded: Namespace, peer: Namespace, turn: int) -> None:
    """Send what a host on the net sees in half a second."""
    attempt(peer, MANAGEMENT, HOST, 22)
    attempt(peer, STRANGER, HOST, 9100)
    attempt(peer, SCANNER, HOST, (23, 445, 3389, 5900, 8080)[turn % 5])
    if turn % 2:
        attempt(peer, STRANGER, HOST, 10250)
        attempt(peer, STRANGER6, HOST6, 9100)
        attempt(peer, SCANNER, HOST, 161, socket.SOCK_DGRAM)
    if turn % 3 == 0:
        attempt(guarded, HOST, STRANGER, 443)


class Bustle:
    """Traffic in a thread of its own, for as long as the block takes."""

    def __init__(self, guarded: Namespace, peer: Namespace) -> None:
        """Send nothing yet."""
        self._ends = (guarded, peer)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        for turn in itertools.count():
            traffic(*self._ends, turn)
            if self._over.wait(0.5 if turn % 8 else 1.5):
                return

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self._over.set()
        self._thread.join()


def save(tab: Browser, name: str) -> None:
    """Keep what is to be seen."""
    picture = Image.open(io.BytesIO(tab.picture())).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    IMAGES.mkdir(exist_ok=True)
    picture.save(IMAGES / f"{name}.png", optimize=True)


def take(tab: Browser) -> None:
    """Take all pictures of a page that has seen some traffic."""
    tab.scheme("light")
    save(tab, "page-live")
    tab.run(f"{CHOSEN}.querySelector('button').click()")
    tab.wait("document.querySelectorAll('#explanation h3').length > 1", 60)
    save(tab, "page-explanation")
    tab.press("Escape")
    tab.click("#tab-map")
    tab.wait("!!document.querySelector('#endpoints tr.rule')")
    tab.run("scrollTo(0, 0)")
    time.sleep(2.5)  # for the counts to be asked for again
    save(tab, "page-map")
    tab.click("#tab-live")
    tab.size(400, 800)
    tab.scheme("dark")
    tab.run("scrollTo(0, 0)")
    time.sleep(1)
    save(tab, "page-narrow")


def main() -> int:
    """Take the pictures; return an exit code."""
    if reason := browser.missing():
        print(reason, file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory() as folder, pair() as (guarded, peer):
        base = Path(folder)
        address(guarded, peer)
        servers = [Server(guarded.namespace, port) for port in (22, 10250)]
        flags = ("--node", "worker-1", "--learned-verdicts", "false")
        with Daemon(guarded.namespace, base, *flags, rules=Path("rules")) as daemon:
            daemon.start()
            with Browser(guarded.namespace, base / "profile") as tab:
                tab.size(1280, 860)
                tab.open(f"http://127.0.0.1:{METRICS_PORT}/")
                with Bustle(guarded.namespace, peer.namespace):
                    time.sleep(SECONDS)
                    until(lambda: tab.run(f"!!{CHOSEN}"), "a denial is shown")
                    take(tab)
        for server in servers:
            server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
