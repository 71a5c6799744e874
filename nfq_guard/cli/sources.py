"""What the verdicts of a running guard are explained by: what it says that its policy is made of.

Owns whose word counts: the command line, then the guard's, then settings from elsewhere.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.cli.explaining import Explaining, Source
from nfq_guard.cli.main import CommandFailedError
from nfq_guard.model.printable import printable
from nfq_guard.model.problem import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nfq_guard.daemon.settings import Settings


class Asked(NamedTuple):
    """What the command line says, and the settings with what else there is."""

    rules: tuple[str, ...]
    """Of `--rules`; empty: nothing."""
    facts: tuple[str, str] | None
    flags: Mapping[str, object]
    """None: not on the command line."""
    settings: Settings


def source_of(asked: Asked, told: object) -> Source:
    """Return what to explain by; `told`: the guard's `sources`, whatever it is (daemon/watching.py)."""
    said = told if isinstance(told, dict) else {}
    settings = asked.settings
    node, neighbors = said.get("node"), said.get("allow_neighbor_discovery")
    if isinstance(node, str) and asked.flags.get("node") is None:
        settings = replace(settings, node=node)
    if isinstance(neighbors, bool) and asked.flags.get("allow_neighbor_discovery") is None:
        settings = replace(settings, allow_neighbor_discovery=neighbors)
    return Source(asked.rules or _paths(said.get("rules")) or settings.rules, asked.facts, settings)


def _paths(told: object) -> tuple[str, ...]:
    paths = told if isinstance(told, list) else []
    return tuple(paths) if all(isinstance(path, str) for path in paths) else ()


def loaded(asked: Asked, told: object) -> Explaining:
    """Return what explains, its files read; CommandFailedError where there are none, ConfigError for bad ones."""
    source = source_of(asked, told)
    made = Explaining(source)
    try:
        made.load()
    except ConfigError as error:
        absent = [path for path in source.rules if not Path(path).exists()]
        if absent and not asked.rules:
            raise CommandFailedError(printable(_advice(absent[0], asked.settings))) from error
        raise
    return made


def _advice(path: str, settings: Settings) -> str:
    whose = "the settings here have" if path in settings.rules else "the guard has"
    return (
        f"{path}: there is nothing here, where {whose} rules; say with --rules PATH which files to explain by"
    )
