"""Settings, log lines and failures in docs/operations.md are those of the program."""

from __future__ import annotations

import ast
import re
import socket
from typing import TYPE_CHECKING

import pages
import pytest
from guarded import METRICS_PORT, STARTS_WITHIN, Daemon
from netns import Namespace, until

from nfq_guard.daemon import values
from nfq_guard.daemon.settings import KEYS, describe, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = pages.ROOT / "docs" / "operations.md"
LEVELS = ("info", "warning", "error", "debug")
WHOLE = frozenset({*LEVELS, "write", "Note"})
"""What is called to log: a method of Log, or a worker's note."""


def settings() -> Iterator[tuple[str, ...]]:
    """Yield key, flag, variable, default and help of every setting."""
    for key, (_, default, _) in zip(KEYS, describe(resolve()), strict=True):
        yield key.name, key.flag, key.variable, written(default), key.help


def written(value: object) -> str:
    """Return a value as it is written in TOML, without quotes and brackets."""
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def test_every_setting_is_listed_with_its_spellings_and_default() -> None:
    table = [row for row in pages.rows(pages.section(PAGE, "Settings")) if len(row) == 6]
    listed = [tuple(map(pages.plain, row[:4])) for row in table]

    assert listed == [setting[:4] for setting in settings()]
    for row, setting in zip(table, settings(), strict=True):
        assert row[5].startswith(setting[4])


@pytest.mark.parametrize("row", pages.rows(pages.section(PAGE, "Settings")), ids=lambda row: row[0])
def test_the_values_that_a_setting_is_said_to_take_are_taken_and_no_others(row: list[str]) -> None:
    convert = next(key.convert for key in KEYS if key.name == pages.plain(row[0]))
    if words := re.findall(r"`(\w+)`", row[4]):
        assert [convert(word) for word in words] == words
        with pytest.raises(ValueError, match=" or ".join(words)):
            convert("another")
    elif span := re.fullmatch(r"(\d+)-(\d+)", row[4]):
        low, high = map(int, span.groups())
        assert (convert(low), convert(high)) == (low, high)
        for outside in (low - 1, high + 1):
            with pytest.raises(ValueError, match=f"{low}-{high}"):
                convert(outside)
    else:
        kinds = {
            "boolean": values.boolean,
            "mask": values.mask,
            "address": values.listen,
            "paths": values.paths,
        }
        assert convert is kinds.get(row[4], values.text)


def test_the_example_file_is_accepted() -> None:
    (example,) = pages.blocks(PAGE, "toml")

    assert resolve(config=("config.toml", example.text)).settings.node == "worker-1"


def logged() -> Iterator[str]:
    """Yield the messages that the daemon's modules log."""
    for path in (pages.ROOT / "nfq_guard" / "daemon").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and name_of(node.func) in WHOLE and node.args:
                at = 0 if name_of(node.func) in LEVELS else 1
                message = node.args[at] if len(node.args) > at else None
                if isinstance(message, ast.Constant) and isinstance(message.value, str):
                    yield message.value


def name_of(called: ast.expr) -> str:
    """Return the last part of a called name."""
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def test_every_log_message_is_explained_and_none_that_is_not_logged() -> None:
    explained = [pages.plain(row[0]) for row in pages.rows(pages.section(PAGE, "Logs"))]

    assert len(explained) == len(set(explained))
    assert set(explained) == set(logged())


EVERY = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: every}
spec: {node: guarded, interfaceName: "*"}
"""
OWN = EVERY.replace("every", "lo").replace('"*"', "lo, profiles: [projectcalico-default-allow]")
(SHOWN,) = pages.blocks(PAGE, "yaml", section="The host's own loopback")


@pytest.mark.traffic
@pytest.mark.parametrize("allowing", [SHOWN.text, OWN], ids=["the policy shown", "an endpoint of its own"])
def test_a_wildcard_endpoint_denies_a_scrape_over_loopback_unless_it_is_allowed_by(
    tmp_path: Path, allowing: str
) -> None:
    with Namespace() as space, Daemon(space, tmp_path) as daemon:
        daemon.write(EVERY)
        daemon.start(wait=False)
        until(lambda: "policy in force" in daemon.log, "it guards", STARTS_WITHIN)
        with space.socket() as scrape:
            scrape.settimeout(1)
            with pytest.raises(TimeoutError):
                scrape.connect(("127.0.0.1", METRICS_PORT))
        assert daemon.status()["ready"]

        daemon.write(EVERY, allowing)
        until(lambda: daemon.status()["generation"] == 2, "it is allowed")

        assert daemon.ready()
        with space.socket(socket.AF_INET6) as other, pytest.raises(ConnectionRefusedError):
            other.connect(("::1", METRICS_PORT))  # let through: nobody listens


FAILURES = pages.rows(pages.section(PAGE, "When things fail"))


@pytest.mark.parametrize("row", FAILURES, ids=lambda row: row[0])
def test_every_failure_has_tests_that_make_it_happen(row: list[str]) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row[3])

    assert named
    for file, name in named:
        tree = ast.parse((pages.ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, name
