"""A file's bytes with its name, and how much of everything is too much.

Owns the bounds of loading. Must never read anything: adapters/files.py does.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_FILE_BYTES = 16 * 1024 * 1024
"""A list of half a million addresses fits; beyond it stands a mistake or an attack."""

MAX_TOTAL_BYTES = 64 * 1024 * 1024
MAX_FILES = 10_000

MAX_NODES = 500_000
"""Values in one file, each alias counted as what it stands for. About 200 bytes each."""

MAX_DEPTH = 64
"""Levels of nesting. A policy in a list has eight."""

MAX_PROBLEMS = 1_000
"""Problems told about one load; a screen nobody reads to the end helps nobody."""


class Source(NamedTuple):
    """A file as read."""

    name: str
    """As the operator gave it."""
    data: bytes
