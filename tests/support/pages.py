"""The documents as data: code blocks, tables, headings, links, and sessions that can be run.

Owns how a document is read by tests. Must never change one.
"""

from __future__ import annotations

import functools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) +(.+?)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_END = "end-of-command-5f2c"


class Block(NamedTuple):
    """A fenced code block."""

    section: str
    """The heading that it stands under."""
    language: str
    text: str


class Step(NamedTuple):
    """A command of a session, and what the document says that it prints."""

    command: str
    output: str


@functools.cache
def read(page: Path) -> str:
    """Return a document's text."""
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """Return a document's text without its code blocks."""
    return _FENCE.sub("", read(page))


def blocks(page: Path, *languages: str, section: str = "") -> list[Block]:
    """Return the code blocks of some languages, of one section if it is named."""
    text = read(page)
    found = []
    for match in _FENCE.finditer(text):
        indent, language, body = match.groups()
        headings = _HEADING.findall(_FENCE.sub("", text[: match.start()]))
        under = headings[-1][1] if headings else ""
        if language in languages and section in {"", under}:
            lines = (line.removeprefix(indent) for line in body.splitlines(keepends=True))
            found.append(Block(under, language, "".join(lines)))
    return found


def section(page: Path, heading: str) -> str:
    """Return the text under a heading, up to the next of its level or above."""
    text = read(page)
    start = re.search(rf"^(#+) +{re.escape(heading)}$", text, re.MULTILINE)
    assert start, f"{page.name} has no heading {heading!r}"
    rest = text[start.end() :]
    end = re.search(rf"^#{{1,{len(start[1])}}} ", _FENCE.sub(_blank, rest), re.MULTILINE)
    return rest[: end.start()] if end else rest


def _blank(match: re.Match[str]) -> str:
    """Return as much text as a code block has, and no comment of it that looks like a heading."""
    return re.sub(r"[^\n]", " ", match[0])


def rows(text: str) -> list[list[str]]:
    """Return the cells of every table row of a text, heads and rulers left out."""
    found: list[list[str]] = []
    for line in text.splitlines():
        cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            found.pop()  # the head
        elif cells:
            found.append(cells)
    return found


def plain(cell: str) -> str:
    """Return a cell without the marks of code."""
    return cell.replace("`", "")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a document's headings, as they are made on the web."""
    titles = (title for _, title in _HEADING.findall(prose(page)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> list[str]:
    """Return the targets of a document's links."""
    return _LINK.findall(prose(page))


# -- sessions ------------------------------------------------------------------


def steps(text: str) -> list[Step]:
    """Return the commands of a console block (`$ ` before each) with their output."""
    found: list[Step] = []
    for line in text.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append(Step(line[2:].rstrip("\n"), ""))
        else:
            assert found, f"output before any command: {line!r}"
            found[-1] = found[-1]._replace(output=found[-1].output + line)
    return found


class Shell:
    """A bash that keeps its folder, functions and jobs from command to command. A context manager."""

    def __init__(self, folder: Path, setup: str = "") -> None:
        """Start it in a folder, with the commands of this environment at hand."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("NFQ_GUARD_")}
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin", "/sbin"))
        self._process = subprocess.Popen(
            ("bash", "--norc"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env=inherited | {"PATH": path, "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
        self.run(setup or "true")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it, and what it started that is still of its session."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream
            stream.close()

    def run(self, command: str) -> str:
        """Run a command to its end and return what it printed."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{command}\nprintf '%s\\n' '{_END}'\n")
        self._process.stdin.flush()
        lines: list[str] = []
        while (line := self._process.stdout.readline()) != f"{_END}\n":
            assert line, f"the shell ended at {command!r}: {''.join(lines)}"
            lines.append(line)
        return "".join(lines)


def alike(output: str) -> str:
    """Return output with what differs from run to run made the same: times, processes, counts."""
    for pattern, stands_for in (
        # A host tells its multicast groups (MLD, RFC 3810) a while after an address came up: before the guard or under it.
        (r"^\S+ info denied .* dst=ff02::16 icmp_type=143 .*\n", ""),
        (r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", "TIME"),
        (r"\bpid([ =])\d+", r"pid\1PID"),
        (r"queue_target=\w+", "queue_target=TARGET"),
        (r"Packets: [1-9]\d* *", "Packets: some "),
        (r"Packets: 0 *", "Packets: none "),
        (r" [1-9]\d*\.0$", " some"),
    ):
        output = re.sub(pattern, stands_for, output, flags=re.MULTILINE)
    return output


def follow(shell: Shell, console: str, *, patience: float = 0.0) -> None:
    """Run a console block and compare every output with what the document says.

    With patience, a command that prints something else is asked again for so many seconds:
    a person who types takes longer than what the command waits for.
    """
    for command, expected in steps(console):
        deadline = time.monotonic() + patience
        output = shell.run(command)
        while alike(output) != alike(expected) and expected and time.monotonic() < deadline:
            output = shell.run(command)
        assert alike(output) == alike(expected), f"{command}\n{output}"
