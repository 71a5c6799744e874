"""Host facts as JSON: `{"node": "my-host", "interfaces": {"eth0": ["10.0.0.1"]}}`.

Owns that form and its checks. Raises ValueError that says what was expected.
"""

from __future__ import annotations

from nfq_guard.model.addresses import format_address, parse_address
from nfq_guard.model.host import HostFacts, Interface

_KEYS = frozenset({"node", "interfaces"})


def parse_facts(document: object) -> HostFacts:
    """Return the facts of a decoded JSON document."""
    if not isinstance(document, dict):
        raise ValueError("facts must be an object with 'node' and 'interfaces'")  # noqa: TRY004 - operator's input
    unknown = sorted(document.keys() - _KEYS)
    if unknown:
        raise ValueError(f"facts have 'node' and 'interfaces', found also {', '.join(map(repr, unknown))}")
    node = document.get("node")
    if not isinstance(node, str) or not node:
        raise ValueError(f"facts: 'node' must be the host's name, found {node!r}")
    interfaces = document.get("interfaces", {})
    if not isinstance(interfaces, dict):
        raise ValueError("facts: 'interfaces' must be an object of address lists by interface name")  # noqa: TRY004
    return HostFacts(node, {name: _interface(name, given) for name, given in interfaces.items()})


def _interface(name: str, given: object) -> Interface:
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        raise ValueError(f"facts: interface {name!r} must have a list of addresses, found {given!r}")
    return Interface(name, tuple(_plain(name, text) for text in given))


def _plain(name: str, text: str) -> str:
    try:
        return format_address(*parse_address(text))
    except ValueError as error:
        raise ValueError(f"facts: interface {name!r}: {error}") from error
