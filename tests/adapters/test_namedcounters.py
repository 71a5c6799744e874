from __future__ import annotations

from typing import TYPE_CHECKING

import netns
import pytest

from nfq_guard.adapters.command import KernelError
from nfq_guard.adapters.namedcounters import Count, NamedCounters

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.netns

ONE = "add counter inet any rule_7 {{ packets {0} bytes {0} }}\n"


@pytest.fixture
def space() -> Iterator[netns.Namespace]:
    """Yield a namespace with a table that this thread has entered."""
    with netns.Namespace() as made, made.entered():
        made.nft("add table inet any\n" + ONE.format(5))
        yield made


@pytest.fixture
def counters() -> NamedCounters:
    return NamedCounters("any")


def test_without_a_table_the_last_values_stand(space: netns.Namespace, counters: NamedCounters) -> None:
    assert counters.read() == {"rule_7": Count(5, 5)}

    space.nft("delete table inet any\n")

    assert counters.read() == {"rule_7": Count(5, 5)}
    assert NamedCounters("any").read() == {}


def test_a_table_that_was_made_again_counts_on(space: netns.Namespace, counters: NamedCounters) -> None:
    counters.read()
    space.nft("delete table inet any\nadd table inet any\n" + ONE.format(9))

    counters.start_over()

    assert counters.read() == counters.read() == {"rule_7": Count(14, 14)}


def test_a_counter_that_is_deleted_goes_on_where_it_stopped_when_it_comes_again(
    space: netns.Namespace, counters: NamedCounters
) -> None:
    counters.delete(["rule_7", "rule_8"])

    assert "rule_7" not in space.run("nft", "list", "ruleset").stdout
    assert counters.read() == {"rule_7": Count(5, 5)}
    space.nft(ONE.format(3))
    assert counters.read() == counters.read() == {"rule_7": Count(8, 8)}


def test_a_counter_that_something_names_is_not_deleted_nor_one_with_it(
    space: netns.Namespace, counters: NamedCounters
) -> None:
    space.nft(
        'add counter inet any rule_8\nadd chain inet any c\nadd rule inet any c counter name "rule_8"\n'
    )

    with pytest.raises(KernelError, match="busy"):
        counters.delete(["rule_7", "rule_8"])

    assert "rule_7" in space.run("nft", "list", "counters").stdout
    assert counters.read().keys() == {"rule_7", "rule_8"}
