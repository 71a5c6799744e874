"""Settings of the program: where each comes from and what is in force.

Owns the one table of keys that the TOML file, `NFQ_GUARD_*` variables, flags, `--help`
and `nfq-guard config` share. Must never hold policy: that lives in resources.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from nfq_guard.daemon import values
from nfq_guard.kernel.plan import EstablishedFlows, FailMode, KernelSettings
from nfq_guard.model.problem import ConfigError, Position, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

DEFAULT_CONFIG = "/etc/nfq-guard/config.toml"
ENVIRONMENT_PREFIX = "NFQ_GUARD_"
CONFIG_VARIABLE = "NFQ_GUARD_CONFIG"
"""Names the TOML file where no `--config` does; the one variable that is not a key."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is in force. One field a key; `KEYS` says what each means."""

    rules: tuple[str, ...] = ("/etc/nfq-guard/rules",)
    node: str = ""
    fail_mode: str = "closed"
    established_flows: str = "reevaluate"
    allow_neighbor_discovery: bool = True
    queue: int = 4600
    queue_count: int = 1
    queue_length: int = 4096
    packet_mark_mask: int = 0x3000
    connection_mark_mask: int = 0xF0000000
    flow_table_size: int = 65536
    learned_verdicts: bool = True
    learned_allow_seconds: int = 60
    learned_deny_seconds: int = 10
    metrics: str = "127.0.0.1:9091"
    page: str = "loopback"
    control: str = "/run/nfq-guard/control.sock"
    state: str = "/var/lib/nfq-guard"
    keep_rules: bool = False
    log_format: str = "text"
    log_level: str = "info"
    deny_log: bool = True

    def kernel(self) -> KernelSettings:
        """Return the kernel's share; ValueError for masks and queues that cannot be."""
        return KernelSettings(
            queue=self.queue,
            queue_count=self.queue_count,
            fail_mode=FailMode(self.fail_mode),
            packet_mark_mask=self.packet_mark_mask,
            connection_mark_mask=self.connection_mark_mask,
            established_flows=EstablishedFlows(self.established_flows),
            learned_verdicts=self.learned_verdicts,
        )


class Key(NamedTuple):
    """One setting as every surface sees it."""

    name: str
    convert: Callable[[object], Any]
    """Value or text in, checked value out; ValueError says what was expected."""
    help: str
    metavar: str

    @property
    def flag(self) -> str:
        """Return the command line spelling, `--fail-mode`."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Return the environment spelling, `NFQ_GUARD_FAIL_MODE`."""
        return ENVIRONMENT_PREFIX + self.name.upper()


KEYS: tuple[Key, ...] = (
    Key("rules", values.paths, "Files and folders with resources; in a variable split by ':'.", "PATH"),
    Key("node", values.text, "Name of this host in HostEndpoint spec.node; empty: its host name.", "NAME"),
    Key("fail_mode", values.choice("closed", "open"), "What packets get while nobody can decide.", "MODE"),
    Key(
        "established_flows",
        values.choice("reevaluate", "keep"),
        "Judge live connections again after a change, or leave them.",
        "MODE",
    ),
    Key("allow_neighbor_discovery", values.boolean, "Accept ICMPv6 133-137 ahead of policy.", "BOOL"),
    Key("queue", values.integer(0, 65535), "First NFQUEUE number.", "N"),
    Key("queue_count", values.integer(1, 64), "Number of queues, each with a worker of its own.", "N"),
    Key("queue_length", values.integer(64, 65536), "Packets that may wait in one queue.", "N"),
    Key("packet_mark_mask", values.mask, "Bits of the packet mark that are ours, two or more.", "MASK"),
    Key("connection_mark_mask", values.mask, "Bits of the connection mark that hold the generation.", "MASK"),
    Key(
        "flow_table_size",
        values.integer(0, 16_777_216),
        "Packets a worker remembers, of those that may come again.",
        "N",
    ),
    Key("learned_verdicts", values.boolean, "Teach the kernel verdicts that come again.", "BOOL"),
    Key("learned_allow_seconds", values.integer(1, 86_400), "How long the kernel keeps an allow.", "N"),
    Key("learned_deny_seconds", values.integer(1, 86_400), "How long the kernel keeps a deny.", "N"),
    Key(
        "metrics",
        values.listen,
        "Where /metrics, /healthz and /readyz are served; 'off': nowhere.",
        "HOST:PORT",
    ),
    Key(
        "page",
        values.choice("loopback", "everywhere", "off"),
        "Who may see the web page beside /metrics.",
        "WHO",
    ),
    Key("control", values.text, "Unix socket of `nfq-guard status`, `watch` and `top`.", "SOCKET"),
    Key("state", values.text, "Folder of the last good policy and the record of workers.", "DIR"),
    Key("keep_rules", values.boolean, "Leave table and workers in place on a clean stop.", "BOOL"),
    Key("log_format", values.choice("text", "json"), "How log lines on stderr are written.", "FORMAT"),
    Key(
        "log_level",
        values.choice("debug", "info", "warning", "error"),
        "Least severe line that is written.",
        "LEVEL",
    ),
    Key("deny_log", values.boolean, "Log which packets are denied, and by which rule.", "BOOL"),
)

_BY_NAME = {key.name: key for key in KEYS}
_LONGEST_NAME = 60
"""Characters of an unknown name that are compared with known ones."""


class Origin(NamedTuple):
    """Where a value came from: `default`, `file`, `environment` or `flag`, and its place."""

    kind: str
    place: str

    def __str__(self) -> str:
        """Return the origin as `nfq-guard config` prints it."""
        return f"{self.kind} {self.place}".rstrip()


class Resolved(NamedTuple):
    """Settings in force, with the origin of each by key."""

    settings: Settings
    origins: Mapping[str, Origin]


class _Given(NamedTuple):
    key: str
    value: object
    origin: Origin
    position: Position


def resolve(
    *,
    config: tuple[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Resolved:
    """Return what is in force: flags over variables over the file over defaults.

    `config` is the TOML file's (name, text); flags are by key (`fail_mode`), those
    that were not given are left out or None. ConfigError carries every problem of
    every source at once.
    """
    problems: list[Problem] = []
    given = [
        *_from_file(config, problems),
        *_from_environment(environ or {}, problems),
        *_from_flags(flags or {}, problems),
    ]
    chosen: dict[str, Any] = {}
    origins = {key.name: Origin("default", "") for key in KEYS}
    for item in given:
        try:
            chosen[item.key] = _BY_NAME[item.key].convert(item.value)
        except ValueError as error:
            problems.append(Problem(item.position, "bad-setting", f"{error}, found {item.value!r}", item.key))
            continue
        origins[item.key] = item.origin
    settings = Settings(**chosen)
    problems.extend(_conflicts(settings, origins))
    if problems:
        raise ConfigError(problems)
    return Resolved(settings, origins)


def _from_file(config: tuple[str, str] | None, problems: list[Problem]) -> Iterator[_Given]:
    if config is None:
        return
    name, text = config
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problems.append(Problem(Position(name), "bad-toml", f"not TOML: {error}"))
        return
    seen: dict[str, str] = {}
    for spelled, value in document.items():
        position = Position(name, *_place(text, spelled))
        key = _normal(spelled)
        if key not in _BY_NAME:
            problems.append(_unknown(position, spelled))
        elif key in seen:
            message = f"{spelled!r} is {seen[key]!r} in another spelling: give it once"
            problems.append(Problem(position, "duplicate-setting", message, key))
        else:
            seen[key] = spelled
            yield _Given(key, values.typed(value), Origin("file", str(position)), position)


def _from_environment(environ: Mapping[str, str], problems: list[Problem]) -> Iterator[_Given]:
    for variable, value in sorted(environ.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable == CONFIG_VARIABLE:
            continue
        key = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        position = Position(variable)
        if key in _BY_NAME:
            yield _Given(key, value, Origin("environment", variable), position)
        else:
            problems.append(_unknown(position, variable))


def _from_flags(flags: Mapping[str, object], problems: list[Problem]) -> Iterator[_Given]:
    for key, value in flags.items():
        if value is None or value == ():
            continue
        if key not in _BY_NAME:
            problems.append(_unknown(Position(key), key))
            continue
        flag = _BY_NAME[key].flag
        yield _Given(key, value, Origin("flag", flag), Position(flag))


def _conflicts(settings: Settings, origins: Mapping[str, Origin]) -> Iterator[Problem]:
    """Yield what is well formed key by key and yet impossible for the kernel."""
    default = Settings()
    for keys in (("queue", "queue_count"), ("packet_mark_mask",), ("connection_mark_mask",)):
        # One group at a time, so that each is reported, and where it was given.
        alone = replace(default, **{key: getattr(settings, key) for key in keys})
        try:
            alone.kernel()
        except ValueError as error:
            place = next((origins[key].place for key in reversed(keys) if origins[key].place), "settings")
            yield Problem(Position(place), "bad-setting", str(error), keys[-1])


def _normal(spelled: str) -> str:
    """Return the key for `fail_mode`, `fail-mode` or `failMode`: all three are in use."""
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in spelled)
    return snake.replace("-", "_")


def _place(text: str, spelled: str) -> tuple[int, int]:
    """Return line and column of a top-level key: tomllib keeps neither."""
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.lstrip()
        head = bare.partition("=")[0].strip().strip("\"'[]")
        if head == spelled or head.startswith(spelled + "."):
            return number, len(line) - len(bare) + 1
    return 0, 0


def _unknown(position: Position, spelled: str) -> Problem:
    names = ", ".join(sorted(_BY_NAME))
    asked = _normal(spelled if spelled != spelled.upper() else spelled.lower()).removeprefix("nfq_guard_")
    near = get_close_matches(asked[:_LONGEST_NAME], _BY_NAME, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    message = f"there is no setting {spelled!r}{hint} (there are: {names})"
    return Problem(position, "unknown-setting", message)


def describe(resolved: Resolved) -> Iterable[tuple[str, object, str]]:
    """Yield (key, value, origin) in the order of the table, as `nfq-guard config` prints."""
    for field in fields(Settings):
        value = getattr(resolved.settings, field.name)
        shown = hex(value) if _BY_NAME[field.name].convert is values.mask else value
        yield field.name, shown, str(resolved.origins[field.name])
