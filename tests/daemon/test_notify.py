from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from nfq_guard.daemon.notify import Notifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["a path", "an abstract name"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    address = str(tmp_path / "notify") if request.param == "a path" else f"@nfq-guard-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + address[1:] if address.startswith("@") else address)
        sock.settimeout(5)
        yield sock, address


def test_the_service_manager_hears_what_happens(manager: tuple[socket.socket, str]) -> None:
    sock, address = manager
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "4000000"})

    notifier.reloading()
    notifier.ready("enforcing generation 2")
    notifier.status("degraded")
    notifier.alive()
    notifier.stopping()

    said = [sock.recv(4096).decode() for _ in range(5)]
    assert said[0].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert said[1:] == [
        "READY=1\nSTATUS=enforcing generation 2",
        "STATUS=degraded",
        "WATCHDOG=1",
        "STOPPING=1",
    ]
    assert notifier.watchdog_seconds == 2.0


def test_nobody_listening_is_no_error(tmp_path: Path) -> None:
    Notifier({}).ready("x")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("x")


def test_a_watchdog_meant_for_another_process_is_not_fed() -> None:
    assert Notifier({"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "1"}).watchdog_seconds == 0
