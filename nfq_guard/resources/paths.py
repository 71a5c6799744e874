"""Field paths: `spec.ingress[0].source.nets[1]`, and where they stand in a file.

Owns their text and their positions. A path whose end is missing stands where the
deepest part of it that exists stands.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from nfq_guard.resources.tree import Entry, MappingNode, Node, SequenceNode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nfq_guard.resources.base import Path

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STEP = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[([0-9]+)\]|\.?([^.\[\]]+)')


LONGEST_KEY = 320
"""Characters of a key that are shown: those of the longest label key there may be, and a few."""


def format_path(path: Path) -> str:
    """Return a path as text; a key with dots or slashes stands in brackets and quotes, a huge one cut."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif len(step) <= LONGEST_KEY and _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            shown = step if len(step) <= LONGEST_KEY else step[: LONGEST_KEY - 1] + "…"
            escaped = shown.replace("\\", "\\\\").replace('"', '\\"')
            text += f'["{escaped}"]'
    return text


@lru_cache(maxsize=4096)
def parse_path(text: str) -> Path:
    """Return the path that a text names."""
    steps: list[str | int] = []
    for match in _STEP.finditer(text):
        quoted, index, plain = match.groups()
        if index is not None:
            steps.append(int(index))
        else:
            steps.append(plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
    return tuple(steps)


def locate(root: Node, path: Path, *, key: bool = False) -> tuple[int, int]:
    """Return line and column of the value at a path, or of its key.

    Where the path leads on from what is there, the key of the deepest part that exists.
    """
    place = (root.line, root.column)
    node: Node | None = root
    for number, step in enumerate(path, 1):
        found = _step(node, step)
        if found is None:
            return place
        last = number == len(path)
        if isinstance(found, Entry):
            node = found.value
            place = (node.line, node.column) if last and not key else (found.line, found.column)
        else:
            node = found
            place = (node.line, node.column)
    return place


def nodes(root: Node) -> Iterator[tuple[Path, Node]]:
    """Yield every node under a root with its path; one that aliases share once, where it is first."""
    pending: list[tuple[Path, Node]] = [((), root)]
    seen: set[int] = set()
    while pending:
        path, node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield path, node
        children: list[tuple[Path, Node]] = []
        if isinstance(node, MappingNode):
            children = [((*path, key), entry.value) for key, entry in node.entries.items()]
        elif isinstance(node, SequenceNode):
            children = [((*path, index), item) for index, item in enumerate(node.items)]
        pending.extend(reversed(children))  # the first is taken next


def _step(node: Node | None, step: str | int) -> Entry | Node | None:
    if isinstance(node, MappingNode) and isinstance(step, str):
        return node.get(step)
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.items):
        return node.items[step]
    return None
