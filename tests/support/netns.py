"""Network namespaces for tests: made, joined, entered and always removed.

Owns the lifetime of namespaces named `ngt-<pid>-<n>` and of the processes started
in them. Must never touch the namespace that the tests were started in.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import itertools
import os
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

NETNS_FOLDER = Path("/run/netns")
CLONE_NEWNET = 0x40000000
COMMAND_TIMEOUT = 20.0
"""Seconds a command in a namespace may take; the machine may be busy."""

_numbers = itertools.count(1)
_libc = ctypes.CDLL(None, use_errno=True)
_live: set[Namespace] = set()


def missing() -> str:
    """Return why namespaces cannot be used here, or an empty string where they can."""
    if os.geteuid() != 0:
        return "network namespaces need root (or a user namespace in which we are root)"
    name = f"ngt-{os.getpid()}-probe"
    made = _ip("netns", "add", name, check=False)
    if made.returncode != 0:
        return f"network namespaces cannot be made: {made.stderr.strip()}"
    _ip("netns", "del", name)
    return ""


def until(
    probe: Callable[[], Any], what: str = "condition", timeout: float = 10.0, pause: float = 0.005
) -> Any:
    """Ask until the answer is true, and return it; AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    waiter = threading.Event()
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: still not so after {timeout} s (last answer {answer!r})")
        waiter.wait(pause)
    return answer


class Namespace:
    """One network namespace with `lo` up. Use as a context manager.

    Everything made while it is entered (sockets, subprocesses) stays inside it.
    """

    def __init__(self) -> None:
        """Make the namespace; RuntimeError with the tool's words where that fails."""
        self.name = f"ngt-{os.getpid()}-{next(_numbers)}"
        self._children: list[subprocess.Popen[bytes]] = []
        self._sockets: list[socket.socket] = []
        _ip("netns", "add", self.name)
        _live.add(self)
        self.ip("link", "set", "lo", "up")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the namespace whatever happened."""
        self.close()

    def close(self) -> None:
        """Kill and close what was started here and remove the namespace. May be called twice."""
        if self not in _live:
            return
        _live.discard(self)
        for child in self._children:
            stop(child)
        for made in self._sockets:
            made.close()
        _ip("netns", "del", self.name, check=False)

    # -- commands ---------------------------------------------------------

    def run(
        self,
        *argv: str,
        text: str | None = None,
        check: bool = True,
        timeout: float = COMMAND_TIMEOUT,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside and return it; RuntimeError with its words if it fails."""
        return _run(("ip", "netns", "exec", self.name, *argv), text, check=check, timeout=timeout)

    def ip(self, *argv: str, check: bool = True) -> str:
        """Run `ip` for this namespace and return what it printed."""
        return _ip("-n", self.name, *argv, check=check).stdout

    def nft(self, text: str) -> str:
        """Feed nft with text from stdin and return what it printed."""
        return self.run("nft", "-f", "-", text=text).stdout

    def popen(self, *argv: str, **kwargs: Any) -> subprocess.Popen[bytes]:
        """Start a command inside; it is killed when the namespace is closed."""
        with self.entered():
            child = subprocess.Popen(argv, **kwargs)
        self._children.append(child)
        return child

    # -- this thread --------------------------------------------------------

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Move this thread into the namespace for the duration of the block."""
        with (
            Path("/proc/thread-self/ns/net").open("rb") as before,
            (NETNS_FOLDER / self.name).open("rb") as inside,
        ):
            _setns(inside.fileno())
            try:
                yield
            finally:
                _setns(before.fileno())

    def socket(
        self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, protocol: int = 0
    ) -> socket.socket:
        """Return a socket that lives in the namespace, closed with it, with a time-out of 5 s."""
        with self.entered():
            made = socket.socket(family, kind, protocol)
        self._sockets.append(made)
        made.settimeout(5)
        return made

    def sysctl(self, name: str, value: object) -> None:
        """Set a sysctl of the namespace; `name` with slashes: `net/ipv4/ip_forward`."""
        with self.entered():
            (Path("/proc/sys") / name).write_text(str(value))

    def read(self, path: str) -> str:
        """Return the text of a /proc/net file as this namespace sees it: `nf_conntrack`."""
        with self.entered():
            return (Path("/proc/thread-self/net") / path).read_text()


@dataclass(frozen=True)
class End:
    """One end of a veth pair: where it is, and its addresses without prefix length."""

    namespace: Namespace
    interface: str
    v4: str
    v6: str


def link(
    first: Namespace,
    second: Namespace,
    *,
    names: tuple[str, str] = ("eth0", "eth0"),
    subnet: int = 77,
) -> tuple[End, End]:
    """Join two namespaces by a veth pair with 10.SUBNET.0.1/2 and fd00:SUBNET::1/2, ready at once."""
    first.ip(
        *("link", "add", "name", names[0], "type", "veth"),
        *("peer", "name", names[1], "netns", second.name),
    )
    ends = tuple(
        End(space, name, f"10.{subnet}.0.{host}", f"fd00:{subnet}::{host}")
        for host, (space, name) in enumerate(zip((first, second), names, strict=True), start=1)
    )
    for end in ends:
        space, name = end.namespace, end.interface
        space.sysctl(f"net/ipv6/conf/{name}/accept_dad", 0)
        space.sysctl(f"net/ipv6/conf/{name}/router_solicitations", 0)
        space.ip("address", "add", f"{end.v4}/24", "dev", name)
        space.ip("-6", "address", "add", f"{end.v6}/64", "dev", name, "nodad")
    for end in ends:
        end.namespace.ip("link", "set", end.interface, "up")
    for end in ends:
        until(functools.partial(_addressed, end), f"addresses of {end.interface}")
    return ends[0], ends[1]


@contextlib.contextmanager
def pair(*, subnet: int = 77) -> Iterator[tuple[End, End]]:
    """Yield (guarded, peer): two joined namespaces, removed afterwards."""
    with Namespace() as guarded, Namespace() as peer:
        yield link(guarded, peer, subnet=subnet)


def _addressed(end: End) -> bool:
    return "tentative" not in end.namespace.ip("-6", "address", "show", "dev", end.interface)


def stop(child: subprocess.Popen[bytes]) -> None:
    """Kill a process that we started and reap it."""
    if child.poll() is None:
        child.send_signal(signal.SIGCONT)
        child.kill()
    child.wait(timeout=COMMAND_TIMEOUT)
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream is not None:
            stream.close()


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _ip(*argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return _run(("ip", *argv), None, check=check, timeout=COMMAND_TIMEOUT)


def _run(
    argv: tuple[str, ...], text: str | None, *, check: bool, timeout: float
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=timeout, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()}")
    return done


@atexit.register
def _close_all() -> None:
    for namespace in tuple(_live):
        namespace.close()
