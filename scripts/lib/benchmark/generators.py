"""The programs in c/ that make traffic: built once a run, started, their answers read.

Owns how they are called. They are bounded by themselves, and by a time-out here.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.policies import GUARDED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmark.policies import Client
    from benchmark.spaces import Bed

SOURCES = Path(__file__).with_name("c")
_CLIENTS = "clients"
_BUILD_SECONDS = 60
_SPARE_SECONDS = 30
"""Time beyond its own bound that a generator may take."""


class Generators:
    """The built programs, and the bed that they are to send in."""

    def __init__(self, bed: Bed) -> None:
        """Build them, unless another bed of the run has; RuntimeError with the compiler's words."""
        self._bed = bed
        for source in sorted(SOURCES.glob("*.c")):
            target = bed.programs / source.stem
            if target.exists():
                continue
            command = ["gcc", "-O2", "-Wall", "-Wextra", "-pthread", "-o", str(target), str(source)]
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
            )
            if done.returncode != 0:
                raise RuntimeError(f"gcc: {done.stderr.strip()[:2000]}")

    def aim(self, clients: Iterable[Client], name: str = _CLIENTS) -> None:
        """Let generators that are told to use a list of clients of this name send from these."""
        text = "".join(f"{client.address} {client.port}\n" for client in clients)
        (self._bed.work / name).write_text(text, encoding="ascii")

    def run(self, program: str, *, seconds: float, **words: int) -> dict[str, Any]:
        """Run a generator for at most `seconds` and return what it says; RuntimeError with its words."""
        with subprocess.Popen(
            self.command(program, seconds=seconds, words=words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            return answer(child, seconds + _SPARE_SECONDS)

    def command(
        self, program: str, *, seconds: float, words: Mapping[str, int], name: str = _CLIENTS
    ) -> list[str]:
        """Return the command line of a generator that uses the list of clients of a name."""
        given: dict[str, object] = {
            "sender": self._bed.sender.name,
            "guarded": self._bed.guarded.name,
            "target": GUARDED,
            "clients": self._bed.work / name,
            "milliseconds": round(seconds * 1000),
            **words,
        }
        return [str(self._bed.programs / program), *(f"{word}={value}" for word, value in given.items())]


def answer(child: subprocess.Popen[str], seconds: float) -> dict[str, Any]:
    """Wait for a generator and return what it says."""
    try:
        said, complaint = child.communicate(timeout=seconds)
    except BaseException:
        child.kill()
        raise
    if child.returncode != 0:
        raise RuntimeError(f"{Path(str(child.args[0])).name}: {complaint.strip()}")  # type: ignore[index]  # a list
    said_object: dict[str, Any] = json.loads(said)
    return said_object
