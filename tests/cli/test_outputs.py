from __future__ import annotations

import io
import json
import os
import resource
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from captures import wire
from events import PACKETS, SSH, denied, event
from scapy.utils import RawPcapNgReader

from nfq_guard.cli.main import CommandFailedError
from nfq_guard.cli.outputs import CaptureFile, Lines, wants_colour
from nfq_guard.stream.counted import Counted, Labels

if TYPE_CHECKING:
    from pathlib import Path

COUNTED = Counted(Labels("failsafe", "allow", "ingress", "normal"), 12)


def packets(path: Path) -> list[bytes]:
    with RawPcapNgReader(io.BytesIO(path.read_bytes())) as reader:
        return [data for data, _ in reader]


def test_text_lines_are_written_a_batch_at_a_time(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    lines = Lines.text(colour=False)
    lines.event(event())
    assert lines.counted(COUNTED.event(0), COUNTED.packets)
    assert capfdbinary.readouterr().out == b""

    lines.flush()
    first, second = capfdbinary.readouterr().out.decode().splitlines()
    assert "198.51.100.7:40000 > 192.0.2.10:22" in first
    assert "counted: 12 packets" in second

    lines.flush()
    assert capfdbinary.readouterr().out == b""


def test_the_verdict_is_coloured_and_nothing_else(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    plain, coloured = Lines.text(colour=False), Lines.text(colour=True)
    for lines in (plain, coloured):
        lines.event(denied())
        lines.flush()

    first, second = capfdbinary.readouterr().out.decode().splitlines()
    assert second == first.replace("deny    ", "\x1b[31mdeny    \x1b[0m", 1)


def test_json_lines_are_objects_without_anything_that_commands_a_terminal(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    lines = Lines.json()
    lines.event(event(in_interface="\x1b[31m\ud800"))
    lines.counted(COUNTED.event(0), COUNTED.packets)
    lines.flush()

    text = capfdbinary.readouterr().out.decode()
    first, second = map(json.loads, text.splitlines())
    assert first["in_interface"] == "\x1b[31m\ud800"
    assert second["counted"] == 12
    assert all(line.isprintable() for line in text.splitlines())


@pytest.mark.parametrize(
    ("terminal", "variables", "expected"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_colour_is_for_terminals(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], *, terminal: bool, expected: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    leader, follower = os.openpty()
    with os.fdopen(leader, "wb"), os.fdopen(follower, "wb", 0) as raw:
        where = io.TextIOWrapper(raw if terminal else io.BytesIO())
        monkeypatch.setattr(sys, "stdout", where)

        assert wants_colour() is expected

        monkeypatch.undo()
        where.detach()


def test_a_capture_is_a_new_file_of_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    capture = CaptureFile(str(path), force=False)
    capture.flush()
    assert packets(path) == []
    for packet in PACKETS:
        capture.event(event(packet=packet))
        assert not capture.counted(COUNTED.event(0), COUNTED.packets)
    capture.flush()
    capture.close()

    assert packets(path) == [wire(packet) for packet in PACKETS]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_there_is_written_over_by_force_only(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    path.write_bytes(b"x" * 10_000)
    with pytest.raises(FileExistsError):
        CaptureFile(str(path), force=False)
    assert path.stat().st_size == 10_000

    capture = CaptureFile(str(path), force=True)
    capture.event(event())
    capture.flush()
    capture.close()
    assert packets(path) == [wire(SSH)]


FULL = """
import sys
from events import event
from nfq_guard.cli.main import CommandFailedError
from nfq_guard.cli.outputs import CaptureFile

capture = CaptureFile(sys.argv[1], force=False)
try:
    for _ in range(100):
        for _ in range(7):
            capture.event(event())
        capture.flush()
except CommandFailedError as error:
    sys.exit(error.message)
"""


@pytest.mark.parametrize("most", [0, 50, 1000, 4097, 9999])
def test_a_full_disk_leaves_whole_blocks_and_says_so(tmp_path: Path, most: int) -> None:
    """A limit of the file's size stands for the disk: the write in which it is reached is cut short as well."""
    path = tmp_path / "a.pcapng"

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (
        done.stderr
        == f"{path}: File too large; the file ends behind the last packet that was written whole\n"
    )
    size = path.stat().st_size
    assert size <= most
    if size:
        found = packets(path)
        assert found == [wire(SSH)] * len(found)
        whole = CaptureFile(str(tmp_path / "b.pcapng"), force=False)
        for _ in found:
            whole.event(event())
        whole.flush()
        whole.close()
        assert path.read_bytes() == (tmp_path / "b.pcapng").read_bytes()
        assert most - size < 400


def test_a_pipe_that_nobody_reads_is_no_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    capture = CaptureFile(str(path), force=True)
    os.close(reader)

    with pytest.raises(BrokenPipeError):
        capture.flush()
    capture.close()


def test_a_device_that_takes_nothing_is_told_too() -> None:
    capture = CaptureFile("/dev/full", force=True)

    with pytest.raises(CommandFailedError, match="/dev/full: No space left on device"):
        capture.flush()
    capture.close()
