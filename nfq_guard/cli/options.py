"""Options that several commands share, and the steps behind them.

Owns their spelling and help, so that `--rules` means the same everywhere.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nfq_guard.model.printable import printable
from nfq_guard.model.problem import ConfigError, Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from nfq_guard.compile import Compiled
    from nfq_guard.daemon.settings import Settings
    from nfq_guard.model.host import HostFacts
    from nfq_guard.resources import Inventory

Wrapped = TypeVar("Wrapped", bound="Callable[..., Any]")

EXISTING = click.Path(exists=True, readable=True)


class Format(StrEnum):
    """How a command writes its answer."""

    TEXT = "text"
    JSON = "json"


def format_option(default: Format) -> Callable[[Wrapped], Wrapped]:
    """Add `--format text|json`; the command takes it as `output`."""
    return click.option(
        "--format",
        "output",
        type=click.Choice([str(each) for each in Format]),
        callback=lambda _ctx, _option, value: Format(value),
        default=str(default),
        show_default=True,
        help="For people or for programs.",
    )


def rules_option() -> Callable[[Wrapped], Wrapped]:
    """Add `--rules PATH`, which may be repeated. Without it, the rules of the settings are meant."""
    return click.option(
        "--rules",
        multiple=True,
        type=EXISTING,
        metavar="PATH",
        help="File or folder with resources; may be repeated. Default: the setting `rules`.",
    )


def facts_option() -> Callable[[Wrapped], Wrapped]:
    """Add `--facts FACTS.json`; the command takes it as `facts`, a file's text or None."""
    return click.option(
        "--facts",
        type=click.File("r", encoding="utf-8"),
        metavar="FACTS.json",
        callback=lambda _ctx, _option, stream: None if stream is None else (stream.name, stream.read()),
        help="Decide for the host described there, not for this machine.",
    )


def load_inventory(paths: tuple[str, ...]) -> Inventory:
    """Return the resources under some paths; ConfigError with every problem of all of them."""
    from nfq_guard.adapters.files import read_sources  # noqa: PLC0415 - `selector --help` must not pay for it
    from nfq_guard.resources import load  # noqa: PLC0415 - likewise

    sources, unreadable = read_sources(paths)
    inventory, problems = load(sources)
    found = [*unreadable, *problems]
    if any(problem.severity is Severity.ERROR for problem in found):
        raise ConfigError(found)
    return inventory


def host_facts(given: tuple[str, str] | None, node: str = "") -> HostFacts:
    """Return the facts of a `--facts` file (its name and text), or those of this machine."""
    if given is None:
        from nfq_guard.adapters.host import read_facts  # noqa: PLC0415 - pyroute2 is slow to import

        return read_facts(node)
    from nfq_guard.cli.facts import parse_facts  # noqa: PLC0415 - likewise

    name, text = given
    try:
        return parse_facts(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise click.UsageError(printable(f"{name}: {error}")) from error


def compile_paths(paths: tuple[str, ...], facts: tuple[str, str] | None, settings: Settings) -> Compiled:
    """Return the compiled policy of some paths for the host of `--facts`, as settings say."""
    return compile_inventory(load_inventory(paths), facts, settings)


def compile_inventory(inventory: Inventory, facts: tuple[str, str] | None, settings: Settings) -> Compiled:
    """Return the compiled policy of an inventory for the host of `--facts`, as settings say."""
    from nfq_guard.compile import compile_ruleset  # noqa: PLC0415 - as above
    from nfq_guard.engine.ruleset import Options  # noqa: PLC0415 - as above

    options = Options(allow_neighbor_discovery=settings.allow_neighbor_discovery)
    return compile_ruleset(inventory, host_facts(facts, settings.node), options)
