"""The real daemon in a namespace, with its metrics, its log and its processes at hand.

Owns the daemon's life in a test: started with files of its own, asked over its own
sockets, always ended. Must never be used for anything but tests.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from netns import End, Namespace, until

from nfq_guard.adapters.control import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

METRICS_PORT = 9091
COUNTED_WITHIN = 5.0
STARTS_WITHIN = 20.0
"""Seconds. It takes half a second on an idle machine."""
NODE = "guarded"
ROOT = Path(__file__).resolve().parent.parent.parent

HOST_ENDPOINT = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: %(name)s, labels: {guarded: "yes"}}
spec: {node: guarded, interfaceName: %(interface)s}
"""

POLICY = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: %(name)s}
spec:
  selector: guarded == 'yes'
  types: [Ingress, Egress]
  ingress:
%(ingress)s
  egress:
%(egress)s
"""


def policy(*ingress: str, egress: tuple[str, ...] = ("{action: Allow}",), name: str = "traffic") -> str:
    """Return a policy with these rules, each as YAML flow text: `{action: Allow, protocol: TCP}`."""
    rules = {"ingress": ingress, "egress": egress}
    lines = {side: "\n".join(f"  - {rule}" for rule in listed) for side, listed in rules.items()}
    return POLICY % {"name": name, **lines}


def endpoint(interface: str = "eth0", name: str = "") -> str:
    """Return a host endpoint for an interface, or with `'"*"'` for all."""
    return HOST_ENDPOINT % {"name": name or "guarded-eth0", "interface": interface}


def documents(*texts: str) -> str:
    """Return one file of several YAML documents."""
    return "\n---\n".join(texts)


def tcp(*ports: int, action: str = "Allow") -> str:
    """Return a rule about TCP to these ports."""
    return f"{{action: {action}, protocol: TCP, destination: {{ports: {list(ports)}}}}}"


class Daemon:
    """`nfq-guard run` in a namespace. Use as a context manager."""

    def __init__(
        self,
        space: Namespace,
        base: Path,
        *flags: str,
        rules: Path | None = None,
        environment: dict[str, str] | None = None,
        own_host_name: str = "",
    ) -> None:
        """Keep everything of this daemon under `base`; nothing is started yet."""
        self.space = space
        self.base = base
        self.rules = rules or base / "rules"
        for folder in (base, self.rules):
            folder.mkdir(parents=True, exist_ok=True)
        self.control = base / "control.sock"
        self.state = base / "state"
        self.log_path = base / "log"
        self._flags = flags
        renamed = ("unshare", "--uts", "sh", "-c", f'hostname {own_host_name}; exec "$@"', "sh")
        self._own: tuple[str, ...] = renamed if own_host_name else ()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("NFQ_GUARD_")}
        self._environment = inherited | (environment or {})
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the daemon and whatever worker it left; a failed test shows the log."""
        print(self.log)
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(10)
        for pid in self.recorded_workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    # -- life -------------------------------------------------------------

    def write(self, *texts: str, name: str = "rules.yaml") -> None:
        """Put a rule file in place as an editor does: written beside, then renamed."""
        fresh = self.rules / f".{name}.new"
        fresh.write_text(documents(*texts))
        fresh.rename(self.rules / name)

    def start(self, *, wait: bool = True) -> Self:
        """Start `nfq-guard run`, and wait until it enforces."""
        command = [
            *self._own,
            *(sys.executable, "-m", "nfq_guard", "run"),
            *("--rules", str(self.rules), "--node", NODE, "--state", str(self.state)),
            *("--control", str(self.control), "--metrics", f"127.0.0.1:{METRICS_PORT}", *self._flags),
        ]
        with self.log_path.open("ab") as log:
            self.process = self.space.popen(
                *command, stdin=subprocess.DEVNULL, stderr=log, env=self._environment, cwd=ROOT
            )
        if wait:
            until(self._started, "the daemon is ready", STARTS_WITHIN)
        return self

    def _started(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the daemon ended with {self.process.returncode}: {self.log}"
        return self.ready()

    def signal(self, number: signal.Signals) -> None:
        """Send the controller a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for the controller's end and return its exit code."""
        assert self.process is not None
        return self.process.wait(STARTS_WITHIN)

    def stop(self) -> int:
        """Ask for a clean stop and return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    @property
    def log(self) -> str:
        """Return all it has said, of all its lives."""
        return self.log_path.read_text() if self.log_path.exists() else ""

    def logged(self, message: str, **fields: object) -> list[dict[str, Any]]:
        """Return the lines of a JSON log that have this message and these fields, whole lines only."""
        whole, _, _ = self.log.rpartition("\n")
        wanted = {"message": message, **fields}
        return [line for line in map(json.loads, whole.splitlines()) if wanted.items() <= line.items()]

    # -- what it says -----------------------------------------------------

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of an HTTP answer; (0, reason) where nobody answers."""
        sock = self.space.socket()
        try:
            sock.connect(("127.0.0.1", METRICS_PORT))
            connection = http.client.HTTPConnection("127.0.0.1", METRICS_PORT)
            connection.sock = sock
            connection.request("GET", path, headers={"X-Requested-With": "a test"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)
        finally:
            sock.close()

    def ready(self) -> bool:
        """Return whether /readyz says yes."""
        return self.get("/readyz")[0] == 200

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of all samples of a name that carry these labels."""
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if found and found[1] == name and wanted <= set((found[2] or "").split(",")):
                total += float(found[3])
        return total

    def counts(self, least: float, name: str, **labels: str) -> float:
        """Return a counter when it is that high, or what it is after a while: it is raised behind the answer."""
        found = 0.0

        def reached() -> bool:
            nonlocal found
            found = self.metric(name, **labels)
            return found >= least

        with contextlib.suppress(AssertionError):
            until(reached, name, COUNTED_WITHIN)
        return found

    def denied(self) -> float:
        """Return how many packets were denied in user space."""
        return self.metric("nfq_guard_verdicts_total", verdict="deny")

    def status(self) -> dict[str, Any]:
        """Return the control socket's status."""
        return ask(str(self.control), {"command": "status"})

    def worker(self) -> int:
        """Return the first worker's pid; 0 while there is none."""
        with contextlib.suppress(OSError):
            return int(self.status()["queues"]["workers"][0]["pid"] or 0)
        return 0

    def recorded_workers(self) -> list[int]:
        """Return the pids in the state folder."""
        try:
            document = json.loads((self.state / "workers.json").read_text())
        except (OSError, ValueError):
            return []
        return [entry["pid"] for entry in document["workers"]]

    def table(self) -> str:
        """Return the kernel's table, empty where there is none."""
        return self.space.run("nft", "list", "table", "inet", "nfq_guard", check=False).stdout

    def reloaded(self, before: int) -> bool:
        """Return whether another generation than this is in force."""
        return self.ready() and self.metric("nfq_guard_generation") != before

    @contextlib.contextmanager
    def change(self, within: float = 10.0) -> Iterator[None]:
        """Wait, after the block, until another generation is in force, so many seconds at most."""
        before = int(self.metric("nfq_guard_generation"))
        yield
        until(lambda: self.reloaded(before), "the change is in force", within)


# -- traffic -----------------------------------------------------------------


class Server:
    """A TCP echo and a UDP echo on one port, both families, in threads, until closed."""

    def __init__(self, space: Namespace, port: int) -> None:
        """Listen at once."""
        self._threads: list[threading.Thread] = []
        self._sockets = [
            space.socket(socket.AF_INET6, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)
        ]
        for sock in self._sockets:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.settimeout(None)
            sock.bind(("::", port))
        self._sockets[0].listen(64)
        self.arrived: list[str] = []
        """Source addresses, TCP connections and UDP packets."""
        self._open: list[socket.socket] = []
        for target in (self._tcp, self._udp):
            self._thread(target)

    def _thread(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _tcp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, address = self._sockets[0].accept()
                self.arrived.append(address[0])
                self._open.append(client)
                self._thread(self._echo, client)

    @staticmethod
    def _echo(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(4096):
                client.sendall(data)

    def _udp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, address = self._sockets[1].recvfrom(4096)
                if address is None:  # shut down
                    return
                self.arrived.append(address[0])
                self._sockets[1].sendto(data, address)

    def close(self) -> None:
        """Stop listening and hang up."""
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[:2]:
            thread.join()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in (*self._sockets, *self._open):
            sock.close()


def address(end: End, port: int, family: int = 4) -> tuple[int, tuple[str, int]]:
    """Return the socket family and address of a port at an end."""
    return (socket.AF_INET, (end.v4, port)) if family == 4 else (socket.AF_INET6, (end.v6, port))


def connect(source: End, target: End, port: int, family: int = 4, timeout: float = 5.0) -> socket.socket:
    """Return a TCP connection; OSError if there is none in time."""
    kind, where = address(target, port, family)
    sock = source.namespace.socket(kind)
    sock.settimeout(timeout)
    try:
        sock.connect(where)
    except OSError:
        sock.close()
        raise
    sock.settimeout(5)
    return sock


def connects(source: End, target: End, port: int, family: int = 4) -> bool:
    """Return whether a TCP connection comes about and echoes."""
    try:
        with connect(source, target, port, family) as sock:
            return echoes(sock)
    except OSError:
        return False


def echoes(sock: socket.socket) -> bool:
    """Return whether an open connection carries data both ways."""
    try:
        sock.sendall(b"ping")
        return sock.recv(4) == b"ping"
    except OSError:
        return False


def asks_udp(source: End, target: End, port: int, family: int = 4) -> bool:
    """Return whether a UDP packet is answered within a second."""
    kind, where = address(target, port, family)
    with source.namespace.socket(kind, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        # The sender of a denied packet is told so, or not, by the kernel it leaves.
        with contextlib.suppress(OSError):
            sock.sendto(b"ping", where)
            return sock.recv(4) == b"ping"
    return False


def is_denied(daemon: Daemon, source: End, target: End, port: int, family: int = 4) -> bool:
    """Try a TCP connection until the guard has counted a denial; return whether it never came about."""
    kind, where = address(target, port, family)
    before = daemon.denied()
    with source.namespace.socket(kind) as sock:
        sock.setblocking(False)
        sock.connect_ex(where)
        until(lambda: daemon.denied() > before or _connected(sock), "a denial or a connection")
        return not _connected(sock)


def lives(pid: int) -> bool:
    """Return whether a process runs; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def ping(source: End, target: End, family: int = 4) -> bool:
    """Return whether an echo request is answered within two seconds (raw sockets: no tool needed)."""
    kind, where = address(target, 0, family)
    protocol, request, reply = (
        (socket.IPPROTO_ICMP, 8, 0) if family == 4 else (socket.IPPROTO_ICMPV6, 128, 129)
    )
    with source.namespace.socket(kind, socket.SOCK_RAW, protocol) as sock:
        sock.settimeout(2)
        body = bytes([request, 0, 0, 0, 0x12, 0x34, 0, 1]) + b"nfq-guard"
        if family == 4:
            body = body[:2] + _checksum(body).to_bytes(2) + body[4:]
        sock.sendto(body, where)
        with contextlib.suppress(OSError):
            while True:
                data, sender = sock.recvfrom(2048)
                inner = data[20:] if family == 4 else data
                if sender[0] == where[0] and inner[:1] == bytes([reply]):
                    return True
    return False


def _checksum(data: bytes) -> int:
    padded = data + b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(padded[at : at + 2]) for at in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
