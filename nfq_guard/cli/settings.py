"""Flags of the program's settings, made from their one table.

Owns how a setting looks on the command line and which file and variables are heard.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from nfq_guard.daemon.settings import CONFIG_VARIABLE, DEFAULT_CONFIG, KEYS, Resolved, resolve
from nfq_guard.daemon.values import Choice, boolean
from nfq_guard.model.problem import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from nfq_guard.daemon.settings import Key

Wrapped = TypeVar("Wrapped", bound="Callable[..., Any]")


def settings_options(*only: str) -> Callable[[Wrapped], Wrapped]:
    """Add `--config` and a flag for each setting, or for those named."""
    keys = [key for key in KEYS if not only or key.name in only]

    def decorate(wrapped: Wrapped) -> Wrapped:
        for key in reversed(keys):
            wrapped = _flag(key)(wrapped)
        return click.option(
            "--config",
            type=click.Path(exists=True, dir_okay=False),
            metavar="FILE",
            help=f"TOML file with settings; default {DEFAULT_CONFIG}, if there is one.",
        )(wrapped)

    return decorate


def _flag(key: Key) -> Callable[[Wrapped], Wrapped]:
    given: dict[str, Any] = {"metavar": key.metavar, "help": key.help, "shell_complete": _completion(key)}
    if key.convert is boolean:
        # `--keep-rules` alone means true.
        return click.option(key.flag, key.name, is_flag=False, flag_value="true", **given)
    return click.option(
        key.flag, *_ALSO.get(key.name, ()), key.name, multiple=key.name == "rules", default=None, **given
    )


_ALSO = {"queue_count": ("--queues",)}
"""Second spellings of a flag."""
_PATHS = {"PATH": "file", "SOCKET": "file", "DIR": "dir"}
"""Metavar of a setting that is a path -> what shells complete."""


def _completion(key: Key) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return what tells a shell the values that a setting may have."""
    words: tuple[str, ...] = ("true", "false") if key.convert is boolean else ()
    if isinstance(key.convert, Choice):
        words = key.convert.words

    def complete(_ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        if key.metavar in _PATHS:
            return [CompletionItem(begun, type=_PATHS[key.metavar])]
        return [CompletionItem(word) for word in words if word.startswith(begun)]

    return complete


def resolve_settings(config: str | None, flags: dict[str, object]) -> Resolved:
    """Return what is in force. A bad flag is wrong usage; a bad file or variable is a ConfigError."""
    try:
        return resolve(config=_file(config), environ=os.environ, flags=flags)
    except ConfigError as error:
        if all(problem.position.file.startswith("--") for problem in error.problems):
            raise click.UsageError(
                "\n".join(f"{problem.position}: {problem.message}" for problem in error.problems)
            ) from error
        raise


def _file(given: str | None) -> tuple[str, str] | None:
    path = given or os.environ.get(CONFIG_VARIABLE)
    if path is None and not Path(DEFAULT_CONFIG).exists():
        return None
    name = path or DEFAULT_CONFIG
    try:
        return name, Path(name).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{name}: not UTF-8 text") from error
