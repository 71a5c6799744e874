"""What the demo tries and expects: the sheets of rules/expect, and how their rows read.

Owns the form of a sheet and the words for a verdict. Must never send anything.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    Document = dict[str, Any]

WIDTHS = (30, 27, 5, 8, 23)
"""Of attempt, way, what it is meant to get, what happened, and who decided with the counter."""
RULES = Path(__file__).resolve().parents[2] / "rules"


class Sheet(NamedTuple):
    """One file of expectations: rules, and flows with what must become of them."""

    title: str
    rules: tuple[str, ...]
    node: str
    own: tuple[str, ...]
    """Addresses of the guarded eth0."""
    rows: tuple[Document, ...]

    @classmethod
    def read(cls, path: Path) -> Sheet:
        """Read a sheet: its head, then one expectation a line."""
        head, *rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        facts = head["facts"]
        return cls(
            head["title"],
            tuple(head["rules"]),
            facts["node"],
            tuple(facts["interfaces"]["eth0"]),
            tuple(rows),
        )


def outbound(flow: Mapping[str, Any]) -> bool:
    """Return whether the guarded host starts the flow."""
    return bool(flow["direction"] == "out")


def lay_rules(folder: Path, sheet: Sheet) -> None:
    """Copy the RULES rules that a sheet is about into a folder of their own."""
    folder.mkdir()
    for name in sheet.rules:
        for path in sorted(RULES.glob("*.yaml")) if name == "." else [RULES / name]:
            shutil.copy(path, folder)


def counter_of(sheet: Sheet, expected: Document, flow: Document) -> tuple[str, ...]:
    """Return the key in `Demo.counters` that the deciding step must move."""
    side = "egress" if outbound(flow) else "ingress"
    if expected["reason"] == "policy":
        return expected["policy"], str(expected["rule"]), side, expected["verdict"]
    if expected["reason"] == "tier-default":
        return expected["tier"], "default", side, expected["verdict"]
    if expected["reason"] == "no-match":
        return f"{sheet.node}-eth0", "default", side, expected["verdict"]
    return expected["reason"], side, expected["verdict"]


def summary(verdict: Document) -> Document:
    """Return the parts of a verdict that expectations name."""
    policy = verdict["policy"]
    parts = {part: verdict[part] for part in ("verdict", "reason", "tier", "rule")}
    return {**parts, "policy": policy and policy["name"]}


def way(flow: Document) -> str:
    """Return where a flow goes, the guarded host's own address left out."""
    what = flow["protocol"] + (f" {flow['dport']}" if "dport" in flow else "")
    return f"{flow['src']} → {what}" if not outbound(flow) else f"→ {flow['dst']} {what}"


def by(told: Document) -> str:
    """Return who decided, in words."""
    if told["reason"] == "policy":
        return f"{told['policy']} rule {told['rule']}"
    words: dict[str, str] = {
        "tier-default": f"end of tier {told['tier']}",
        "no-match": "nothing matched",
    }
    return words.get(told["reason"], str(told["reason"]))


def row_of(*cells: str) -> str:
    """Return the cells of a row in columns. With a mark ahead, rows have at most 100 characters."""
    return " ".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()
