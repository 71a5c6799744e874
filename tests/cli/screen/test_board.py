from __future__ import annotations

from typing import Any

import pytest
from events import denied, event
from statuses import chain, no_match, rule, status, tier_end

from nfq_guard.cli.screen.board import HISTORY, MOST_RULES, Board, Figures, Sort


def board(figures: Figures, now: float = 10.0, sort: Sort = Sort.RATE, *, by_policy: bool = False) -> Board:
    return figures.board(now, sort, by_policy=by_policy)


def told(*answers: dict[str, Any]) -> Figures:
    """Return figures of answers a second apart."""
    figures = Figures()
    for second, answer in enumerate(answers):
        figures.status(answer, float(second))
    return figures


def texts(shown: Board) -> list[str]:
    return [row.key.text for row in shown.rules]


def test_counters_become_rates_of_rules_and_verdicts() -> None:
    shown = board(told(status(allow=10, deny=5), status(allow=30, deny=6), status(allow=90, deny=6)))

    rates = {row.key.text: (row.rate, row.packets, row.place) for row in shown.rules}
    assert rates == {
        "default/GlobalNetworkPolicy(allow-ssh) rule 0": (40.0, 90, "rules/allow-ssh.yaml:9"),
        "end of tier default": (0.5, 6, ""),
    }
    assert shown.verdicts == {"allow": 60.0, "deny": 0.0}
    assert shown.history == {"allow": (20.0, 60.0), "deny": (1.0, 0.0)}


def test_no_rate_is_known_before_the_second_answer_or_after_the_guard_was_away() -> None:
    figures = told(status(allow=10))
    assert [row.rate for row in board(figures).rules] == [None, None]
    assert board(figures).verdicts == {}

    figures.status(status(allow=20), 1.0)
    figures.forget_rates()
    assert [row.rate for row in board(figures).rules] == [None, None]


CHAINS = (
    chain(rule("b", 50), rule("a", 7, action="deny"), rule("a", 70, number="1"), tier_end(9)),
    chain(rule("b", 50), tier_end(9), no_match("other", 1), endpoint="other"),
)


def test_a_rule_of_several_chains_has_one_count() -> None:
    shown = board(told(status(*CHAINS)), sort=Sort.ORDER)

    assert texts(shown) == [
        "default/GlobalNetworkPolicy(b) rule 0",
        "default/GlobalNetworkPolicy(a) rule 0",
        "default/GlobalNetworkPolicy(a) rule 1",
        "end of tier default",
        "nothing matched: HostEndpoint(other)",
    ]
    assert [row.packets for row in shown.rules] == [50, 7, 70, 9, 1]


def test_rows_are_sorted_as_asked() -> None:
    after = (chain(rule("b", 51), rule("a", 9, action="deny"), rule("a", 70, number="1"), tier_end(9)),)
    figures = told(status(*CHAINS), status(*after))

    assert texts(board(figures, sort=Sort.RATE))[:2] == [
        "default/GlobalNetworkPolicy(a) rule 0",
        "default/GlobalNetworkPolicy(b) rule 0",
    ]
    assert [row.packets for row in board(figures, sort=Sort.PACKETS).rules] == [70, 51, 9, 9]


def test_rules_of_a_policy_are_shown_together_by_what_they_do() -> None:
    figures = told(
        status(chain(rule("a", 1), rule("a", 2, number="1"), rule("a", 4, number="2", action="deny")))
    )
    first = board(figures, by_policy=True, sort=Sort.ORDER)
    figures.status(
        status(chain(rule("a", 3), rule("a", 6, number="1"), rule("a", 4, number="2", action="deny"))), 2.0
    )
    second = board(figures, by_policy=True, sort=Sort.ORDER)

    assert [(row.key.text, row.key.action, row.packets) for row in first.rules] == [
        ("default/GlobalNetworkPolicy(a)", "allow", 3),
        ("default/GlobalNetworkPolicy(a)", "deny", 4),
    ]
    assert [row.rate for row in first.rules] == [None, None]
    assert [row.rate for row in second.rules] == [3.0, 0.0]


def test_of_many_rules_only_some_are_handed_on() -> None:
    many = chain(*(rule(f"p{number}", number) for number in range(MOST_RULES + 10)))

    for sort in Sort:
        shown = board(told(status(many)), sort=sort)
        assert (len(shown.rules), shown.rule_count) == (MOST_RULES, MOST_RULES + 10)


def test_history_is_bounded() -> None:
    figures = told(*(status(allow=10 * number + 1) for number in range(HISTORY + 9)))

    assert board(figures).history["allow"] == (10.0,) * HISTORY


def test_health_is_what_status_tells() -> None:
    queues = {
        "depth": 3,
        "dropped": 4,
        "user_dropped": 5,
        "workers": [{"queue": 1, "up": True, "pid": 2}, {"queue": 2, "up": False, "pid": None}],
    }
    health = board(
        told(
            status(
                *CHAINS,
                queues=queues,
                ready=False,
                detail="a worker is down",
                load_errors=["x"],
                staged_policies=2,
            )
        )
    ).health

    assert health is not None
    assert (health.node, health.generation, health.ready, health.detail) == (
        "worker-1",
        3,
        False,
        "a worker is down",
    )
    assert (health.policies, health.staged, health.refused) == (2, 2, 1)
    assert (health.workers_up, health.workers, health.waiting, health.dropped) == (1, 2, 3, 9)
    assert health.endpoints == {"eth0": "worker-1-eth0"}


@pytest.mark.parametrize("key", ["queues", "chains", "verdicts", "endpoints", "node", "generation"])
def test_an_answer_of_another_form_is_refused_and_changes_nothing(key: str) -> None:
    figures = told(status(allow=5))
    answer = status(allow=9)
    del answer[key]
    before = board(figures)

    with pytest.raises(ValueError, match="of another version"):
        figures.status(answer, 5.0)
    with pytest.raises(ValueError, match="of another version"):
        figures.status({"error": "no"}, 5.0)
    assert board(figures) == before


def test_verdicts_are_counted_until_others_are_meant() -> None:
    figures = Figures()
    figures.events([denied(), event()], 3, 10.0)
    shown = board(figures)

    assert (shown.read, shown.passed_over, shown.denied.packets) == (2, 3, 1)
    assert [one.event.verdict for one in shown.latest] == ["allow", "deny"]
    figures.start_over()
    assert (board(figures).read, board(figures).passed_over, board(figures).latest) == (0, 0, ())


def test_what_the_kernel_denied_is_summed_over_the_same_time() -> None:
    figures = Figures()
    for second in range(100):
        figures.by_kernel(50, float(second))

    assert figures.board(99.5, Sort.RATE, by_policy=False).denied_by_kernel == 60 * 50
    figures.start_over()
    assert figures.board(99.5, Sort.RATE, by_policy=False).denied_by_kernel == 0
