from __future__ import annotations

from typing import TYPE_CHECKING

import netns
import pytest

from nfq_guard.adapters.command import KernelError
from nfq_guard.adapters.xtqueue import _handles, put_queue_rule
from nfq_guard.kernel.plan import FailMode, KernelSettings
from nfq_guard.kernel.render import render_groundwork

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.netns


@pytest.fixture
def space() -> Iterator[netns.Namespace]:
    """Yield an entered namespace with our table and the queue's empty chain."""
    with netns.Namespace() as made, made.entered():
        made.nft(render_groundwork())
        yield made


def _rules(space: netns.Namespace) -> str:
    return space.run("nft", "-j", "list", "chain", "inet", "nfq_guard", "to_queue").stdout


def test_the_rule_is_a_queue_target_with_a_remark_that_says_which(space: netns.Namespace) -> None:
    put_queue_rule(KernelSettings(queue=7, queue_count=2, fail_mode=FailMode.OPEN))
    assert '"comment": "queue 7-8 bypass"' in _rules(space)
    assert '"name": "NFQUEUE"' in _rules(space)


def test_putting_it_again_leaves_one_rule(space: netns.Namespace) -> None:
    for number in (1, 2, 3):
        put_queue_rule(KernelSettings(queue=number))
        assert len(_handles("nfq_guard", "to_queue")) == 1
    assert "queue 3-3 no bypass" in _rules(space)


def test_a_missing_chain_is_the_kernels_complaint(space: netns.Namespace) -> None:
    space.nft("flush ruleset\n")
    with pytest.raises(KernelError, match="No such file or directory"):
        put_queue_rule(KernelSettings())


def test_a_refusal_by_netlink_names_the_target(
    space: netns.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert space.name
    monkeypatch.setattr("nfq_guard.adapters.xtqueue._REVISION", 99)
    with pytest.raises(KernelError, match="xt target NFQUEUE in chain nfq_guard to_queue: "):
        put_queue_rule(KernelSettings())
