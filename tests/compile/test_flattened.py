"""What rules come to is remembered by their identity and by what the address book says, and by nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policy import inventory_of, policy, resource

from nfq_guard.compile.addresses import AddressBook, AddressMemory
from nfq_guard.compile.flattened import FlatMemory, Flattener
from nfq_guard.selector import SelectorCache

if TYPE_CHECKING:
    from nfq_guard.resources import Rule

SELECTORS, ADDRESSES = SelectorCache(), AddressMemory()


def flattener(memory: FlatMemory, *nets: str, ports: int = 80) -> Flattener:
    """Return one that knows a network set, and a host endpoint with a named port."""
    named = {"name": "web", "protocol": "TCP", "port": ports}
    host = resource(
        "HostEndpoint", "there", node="other", interfaceName="eth0", expectedIPs=["192.0.2.7"], ports=[named]
    )
    known = inventory_of(resource("GlobalNetworkSet", "a", nets=list(nets), labels={"set": "a"}), host)
    return Flattener(AddressBook(known, SELECTORS, ADDRESSES), memory)


def rules_of(**source: Any) -> tuple[Rule, ...]:
    (found,) = inventory_of(
        policy(ingress=[{"action": "Allow", "protocol": "TCP", "source": source}])
    ).global_network_policies
    return found.value.spec.ingress


def test_the_same_object_while_nothing_that_was_asked_for_changes() -> None:
    memory, rules = FlatMemory(), rules_of(selector="set == 'a'")
    first = flattener(memory, "10.0.0.0/8").lines(rules, None)

    assert flattener(memory, "10.0.0.0/8").lines(rules, None) is first
    assert first.length == 1


def test_another_answer_of_the_address_book_is_taken_up_and_back() -> None:
    memory, rules = FlatMemory(), rules_of(selector="set == 'a'")
    first = flattener(memory, "10.0.0.0/8").lines(rules, None)

    other = flattener(memory, "10.0.0.0/8", "172.16.0.0/12").lines(rules, None)

    assert other != first
    assert flattener(memory, "10.0.0.0/8").lines(rules, None) == first


def test_a_named_port_that_is_elsewhere_is_taken_up() -> None:
    memory, rules = FlatMemory(), rules_of(ports=["web"])
    first = flattener(memory).lines(rules, None)

    assert flattener(memory).lines(rules, None) is first
    assert flattener(memory, ports=81).lines(rules, None) != first


def test_rules_in_another_namespace_are_others() -> None:
    memory, rules = FlatMemory(), rules_of(selector="set == 'a'")
    one = flattener(memory, "10.0.0.0/8")

    assert one.lines(rules, "shop") != one.lines(rules, None)
    assert one.lines(rules, "shop").rules[0].matches != one.lines(rules, None).rules[0].matches


def test_rules_that_only_look_alike_are_not_taken_for_each_other() -> None:
    memory, twins = FlatMemory(), [rules_of(selector="set == 'a'") for _ in range(2)]
    one = flattener(memory, "10.0.0.0/8")

    first, second = (one.lines(rules, None) for rules in twins)

    assert first == second
    assert first is not second


def test_what_two_rounds_did_not_ask_for_is_forgotten() -> None:
    memory = FlatMemory()
    flattener(memory).lines(rules_of(), None)

    flattener(memory)
    flattener(memory)

    assert not memory.now
    assert not memory.before
