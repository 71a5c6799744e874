from __future__ import annotations

from typing import Any

import pytest

from nfq_guard.cli.facts import parse_facts
from nfq_guard.model.host import HostFacts, Interface


def test_facts_name_the_host_and_its_interfaces() -> None:
    given = {"node": "my-host", "interfaces": {"eth0": ["10.0.0.1", "fd00::1"], "lo": []}}

    assert parse_facts(given) == HostFacts(
        "my-host", {"eth0": Interface("eth0", ("10.0.0.1", "fd00::1")), "lo": Interface("lo")}
    )


def test_addresses_are_written_in_their_usual_form() -> None:
    facts = parse_facts({"node": "a", "interfaces": {"eth0": ["FD00:0::1", "::ffff:10.0.0.1"]}})

    assert facts.interfaces["eth0"].addresses == ("fd00::1", "10.0.0.1")


def test_a_host_may_have_no_interfaces() -> None:
    assert parse_facts({"node": "a"}) == HostFacts("a")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "facts must be an object"),
        ({"node": "a", "name": "b"}, "found also 'name'"),
        ({"interfaces": {}}, "'node' must be the host's name, found None"),
        ({"node": ""}, "'node' must be the host's name, found ''"),
        ({"node": "a", "interfaces": []}, "'interfaces' must be an object"),
        ({"node": "a", "interfaces": {"eth0": "10.0.0.1"}}, "interface 'eth0' must have a list of addresses"),
        ({"node": "a", "interfaces": {"eth0": [1]}}, "interface 'eth0' must have a list of addresses"),
        ({"node": "a", "interfaces": {"eth0": ["10.0.0.1/24"]}}, "interface 'eth0': "),
        ({"node": "a", "interfaces": {"eth0": ["fe80::1%eth0"]}}, "zones are not allowed"),
    ],
    ids=[
        "a list",
        "an unknown key",
        "no node",
        "an empty node",
        "interfaces as a list",
        "one address without its list",
        "an address that is a number",
        "an address with a prefix length",
        "an address with a zone",
    ],
)
def test_what_is_not_facts_is_refused_with_its_reason(given: Any, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_facts(given)

    assert message in str(refused.value)
