"""Resources as tables for people, with calicoctl's columns.

Owns headings and cells. Must never refuse a resource: what a table cannot show stays empty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from nfq_guard.resources.groups import DEFAULT_TIER_ORDER
from nfq_guard.resources.policies import DEFAULT_TIER
from nfq_guard.store.refs import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nfq_guard.store.values import Data

_GAP = 3
_NARROWEST = 5
_LONGEST_NETS = 80
"""As calicoctl: a set may have thousands of addresses, a terminal has one line."""
_MISSING = "<nil>"
"""How calicoctl shows an order that is not set."""

Cell: TypeAlias = Callable[[dict[str, Any]], str]


class Columns(NamedTuple):
    """What tables of a kind can show."""

    short: tuple[str, ...]
    wide: tuple[str, ...]
    cells: dict[str, Cell]


class UnknownColumnError(ValueError):
    """A column that the kind has not. Its text is for people."""


def _joined(value: Data) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return ",".join(f"{key}={_joined(each)}" for key, each in sorted(value.items()))
    if isinstance(value, list):
        return ",".join(map(_joined, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and value.is_integer() else str(value)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_NETS else text[: _LONGEST_NETS - 3] + "..."


def _part(resource: dict[str, Any], part: str, field: str) -> Data:
    holder = resource.get(part)
    return holder.get(field) if isinstance(holder, dict) else None


def _spec(field: str, default: str = "") -> Cell:
    def cell(resource: dict[str, Any]) -> str:
        value = _part(resource, "spec", field)
        return default if value is None else _joined(value)

    return cell


def _metadata(field: str, default: str = "") -> Cell:
    def cell(resource: dict[str, Any]) -> str:
        return _joined(_part(resource, "metadata", field)) or default

    return cell


def _nets(resource: dict[str, Any]) -> str:
    return _shortened(_joined(_part(resource, "spec", "nets")))


def _workload(resource: dict[str, Any]) -> str:
    return _spec("workload")(resource) or _spec("pod")(resource)


_COMMON: dict[str, Cell] = {"NAME": _metadata("name"), "NAMESPACE": _metadata("namespace", DEFAULT_NAMESPACE)}
_POLICY: dict[str, Cell] = {
    **_COMMON,
    "TIER": _spec("tier", DEFAULT_TIER),
    "ORDER": _spec("order", _MISSING),
    "SELECTOR": _spec("selector"),
}
_SET = Columns(("NAME",), ("NAME", "NETS"), {**_COMMON, "NETS": _nets})
_POLICY_WIDE = ("NAME", "TIER", "ORDER", "SELECTOR")

COLUMNS: dict[str, Columns] = {
    "FelixConfiguration": Columns(("NAME",), ("NAME",), _COMMON),
    "GlobalNetworkPolicy": Columns(("NAME",), _POLICY_WIDE, _POLICY),
    "GlobalNetworkSet": _SET,
    "HostEndpoint": Columns(
        ("NAME", "NODE"),
        ("NAME", "NODE", "INTERFACE", "IPS", "PROFILES"),
        {
            **_COMMON,
            "NODE": _spec("node"),
            "INTERFACE": _spec("interfaceName"),
            "IPS": _spec("expectedIPs"),
            "PROFILES": _spec("profiles"),
        },
    ),
    "NetworkPolicy": Columns(("NAME", "TIER"), _POLICY_WIDE, _POLICY),
    "NetworkSet": _SET,
    "Profile": Columns(("NAME",), ("NAME", "LABELS"), {**_COMMON, "LABELS": _spec("labelsToApply")}),
    "StagedGlobalNetworkPolicy": Columns(("NAME", "TIER"), _POLICY_WIDE, _POLICY),
    "StagedNetworkPolicy": Columns(("NAME", "TIER"), _POLICY_WIDE, _POLICY),
    "Tier": Columns(
        ("NAME",), ("NAME", "ORDER"), {**_COMMON, "ORDER": _spec("order", f"{DEFAULT_TIER_ORDER:.0f}")}
    ),
    "WorkloadEndpoint": Columns(
        ("WORKLOAD", "NODE", "NETWORKS", "INTERFACE"),
        ("NAME", "WORKLOAD", "NODE", "NETWORKS", "INTERFACE", "PROFILES", "NATS"),
        {
            **_COMMON,
            "WORKLOAD": _workload,
            "ORCHESTRATOR": _spec("orchestrator"),
            "NODE": _spec("node"),
            "NETWORKS": _spec("ipNetworks"),
            "INTERFACE": _spec("interfaceName"),
            "PROFILES": _spec("profiles"),
            "NATS": _spec("ipNATs"),
        },
    ),
}
"""Kind to its columns."""


def headings(
    kind: str, chosen: Sequence[str] = (), *, wide: bool = False, namespace: bool = False
) -> list[str]:
    """Return a table's headings: those chosen, in any letter case, or the kind's own."""
    columns = COLUMNS[kind]
    wanted = [name.strip().upper() for name in chosen] or list(columns.wide if wide else columns.short)
    unknown = [name for name in wanted if name not in columns.cells]
    if unknown:
        known = ", ".join(columns.cells)
        raise UnknownColumnError(f"Unknown column name '{unknown[0]}'; columns of {kind}: {known}")
    return ["NAMESPACE", *wanted] if namespace and "NAMESPACE" not in wanted else wanted


def table(kind: str, resources: Iterable[dict[str, Any]], names: Sequence[str]) -> str:
    """Return a table with a line of headings, each line closed."""
    cells = COLUMNS[kind].cells
    rows = [list(names), *([_printable(cells[name](each)) for name in names] for each in resources)]
    widths = [max(max(map(len, column)) + _GAP, _NARROWEST) for column in zip(*rows, strict=True)]
    lines = ("".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "".join(line + "\n" for line in lines)


def _printable(text: str) -> str:
    """Return text that stays on its line and does nothing to a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
