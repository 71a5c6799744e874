from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from events import EVENTS, PING, WEB6, denied, event
from hypothesis import given
from hypothesis import strategies as st
from statuses import chain, rule, status, tier_end

from nfq_guard.cli.screen import draw
from nfq_guard.cli.screen.board import Figures, RuleKey, RuleRow, Sort
from nfq_guard.cli.screen.feed import View
from nfq_guard.stream.heavy import Hitter
from nfq_guard.stream.tally import Latest

NOW = datetime(2026, 1, 31, 12, 0, 5, tzinfo=UTC)


def view(*answers: dict[str, Any], events: tuple[Any, ...] = (), **changes: Any) -> View:
    figures = Figures()
    for second, answer in enumerate(answers):
        figures.status(answer, float(second))
    figures.events(events, changes.pop("passed_over", 0), 1.0)
    made = View(
        figures.board(1.0, Sort.RATE, by_policy=False),
        wanted="verdict == deny",
        gone=None,
        said="",
        skipped=0,
        lost=0,
        unwritten="",
        reading_rate=0.0,
    )
    return made._replace(**changes)


def head(shown: View, width: int = 80, *, paused: bool = False) -> list[str]:
    return [line.plain.rstrip() for line in draw.head(shown, width, NOW, paused=paused)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (1234, "1,234"),
        (999_999, "999,999"),
        (1_234_567, "1,235k"),
        (12_345_678, "12M"),
        (10**15, "1,000,000,000M"),
    ],
)
def test_counts_are_short(value: int, text: str) -> None:
    assert draw.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "?"), (0, "0"), (0.01, "0.1"), (0.5, "0.5"), (9.96, "10.0"), (12.6, "13"), (4000, "4,000")],
)
def test_rates_tell_nothing_from_little_and_both_from_what_is_not_known(
    value: float | None, text: str
) -> None:
    assert draw.rate(value) == text


def test_the_head_says_how_the_guard_is_and_what_it_does() -> None:
    shown = view(status(allow=1, deny=1), status(allow=1235, deny=13), reading_rate=12.2)

    assert head(shown) == [
        "nfq-guard top  worker-1  READY  enforcing generation 3                 12:00:05Z",
        "1 policy  workers 1/1 up  queue 0 waiting, 0 dropped",
        "allow 1,234/s " + "█".rjust(27) + "  deny 12/s " + "█".rjust(27),
        "filter verdict == deny  read 12/s, skipped 0, lost 0",
    ]


def test_what_is_wrong_is_said_in_words() -> None:
    queues = {
        "depth": 12,
        "dropped": 3,
        "user_dropped": 4,
        "workers": [{"queue": 1, "up": False, "pid": None}, {"queue": 2, "up": True, "pid": 1}],
    }
    answer = status(
        ready=False,
        detail="1 of 2 workers up",
        queues=queues,
        load_errors=["a", "b"],
        staged_policies=2,
        worker_restarts=1,
    )
    lines = head(view(answer, skipped=10_000, lost=5), 130, paused=True)

    assert lines[0].startswith("nfq-guard top  worker-1  NOT READY  1 of 2 workers up  ")
    assert lines[1] == (
        "1 policy, 2 staged  workers 1/2 up, 1 restart  queue 12 waiting, 7 dropped  "
        "CHANGE REFUSED: see nfq-guard status"
    )
    assert lines[2].startswith("allow ?/s ")
    assert "deny ?/s" in lines[2]
    assert lines[3] == "PAUSED  filter verdict == deny  read 0/s, skipped 10,000, lost 5"


def test_what_nobody_wrote_down_is_said_beside_what_was_lost() -> None:
    lines = head(view(status(), unwritten="12,345+"), 130)

    assert lines[3].endswith("lost 0, unwritten 12,345+")


def test_a_guard_that_gives_no_status_is_said_with_the_reason() -> None:
    assert (
        "no status: the guard is of another version"
        in head(view(said="no status: the guard is of another version"))[0]
    )


def test_a_guard_that_has_gone_is_the_first_thing_said() -> None:
    shown = view(
        status(), gone=12.4, said="the guard is gone (reset); waiting for it to come back", wanted=""
    )

    assert head(shown)[0] == "nfq-guard top  GUARD GONE for 12 s, waiting"
    assert head(shown)[3].startswith("filter none: everything")
    assert head(view())[0] == "nfq-guard top  asking the guard"


ROWS = (
    RuleRow(
        RuleKey("ingress", "default/GlobalNetworkPolicy(ssh) rule 0", "allow"), 12.34, 99, "rules/ssh.yaml:9"
    ),
    RuleRow(RuleKey("egress", "end of tier default", "deny"), None, 1_234_567),
    RuleRow(RuleKey("ingress", "\x1b[2J", "log"), 0.0, 0),
)


def test_rules_stand_in_columns_with_their_place_where_there_is_room() -> None:
    narrow = [line.plain for line in draw.rules(ROWS, 80, 9)]
    wide = [line.plain for line in draw.rules(ROWS, 120, 9)]

    assert narrow == [
        " pkts/s  packets  verdict dir  rule",
        "     12       99  allow   in   default/GlobalNetworkPolicy(ssh) rule 0",
        "      ?   1,235k  deny    out  end of tier default",
        "      0        0  log     in   \\u001b[2J",
    ]
    assert wide[1] == f"{narrow[1]}  rules/ssh.yaml:9"
    assert len(draw.rules(ROWS, 80, 2)) == 2


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("GlobalNetworkPolicy(web)", "default/GlobalNetworkPolicy(web) rule 0"),
        ("GlobalNetworkPolicy(a-rather-long-team-name)", "default/gnp(a-rather-long-team-name) rule 0"),
        ("NetworkPolicy(shop/a-rather-long-team-name)", "default/np(shop/a-rather-long-team-name) rule 0"),
        (
            "GlobalNetworkPolicy(a-rather-long-team-name-that-allows-web-to-many)",
            "default/gnp(a-rather-lon…lows-web-to-many) rule 0",
        ),
    ],
)
def test_rules_with_long_names_are_told_apart_at_80_columns(name: str, shown: str) -> None:
    row = RuleRow(RuleKey("ingress", f"default/{name} rule 0", "allow"), 1.0, 1)
    line = draw.rules([row], 80, 9)[1]

    assert line.plain[31:] == shown
    assert line.cell_len <= 80
    assert all(draw.rules([row], width, 9)[1].cell_len <= width for width in range(1, 80))


def test_the_end_of_a_long_path_is_shown() -> None:
    row = ROWS[0]._replace(place="/very" * 30 + "/ssh.yaml:9")
    line = draw.rules([row], 120, 9)[1]

    assert line.cell_len == 120
    assert line.plain.endswith("/very/ssh.yaml:9")
    assert "  …" in line.plain


def test_titles_say_what_is_shown() -> None:
    shown = view(status(chain(rule("a", 1), tier_end(1))), events=(denied(),))

    assert draw.rules_title(shown, Sort.RATE, by_policy=False) == "2 rules by rate"
    assert draw.rules_title(shown, Sort.ORDER, by_policy=True) == "2 policies in order"
    assert [draw.denied_title(what, shown) for what in ("sources", "ports", "by")] == [
        "denied sources, 60 s",
        "denied ports",
        "denied by, of 1",
    ]


def test_what_is_denied_most_has_counts_that_say_when_they_are_not_exact() -> None:
    hitters = [Hitter("eth0", 1234, 0), Hitter("eth1", 30, 9), Hitter("\x1b", 1, 0)]
    lines = draw.denied(hitters, 30, 3, {"eth0": "worker-1-eth0"})

    assert [line.plain for line in lines] == ["  1,234 eth0 worker-1-eth0", "    >21 eth1", "      1 \\u001b"]
    assert [line.plain for line in draw.denied(hitters, 12, 1)] == ["  1,234 eth0"]


def test_a_flow_says_what_decided() -> None:
    lines = [
        draw.flow(one).plain
        for one in (
            denied(),
            event(packet=WEB6),
            denied(packet=PING, reason="no-match", direction="forward", out_interface="eth1", rule=None),
            denied(packet=None, data=b"", unparsable="bad-ip-header", reason="", rule=None),
            event(reason="established", rule=None),
        )
    ]

    assert lines == [
        " 00:00:00 deny  in  eth0  TCP  198.51.100.7:40000 > 192.0.2.10:22  end of tier default",
        (
            " 00:00:00 allow in  eth0  TCP  [2001:db8::7]:40000 > [2001:db8:77::10]:443  "
            "tier default, GlobalNetworkPolicy(allow-ssh) ingress rule 0 at rules/ssh.yaml:14"
        ),
        " 00:00:00 deny  fwd eth0>eth1 ICMP 203.0.113.99 > 192.0.2.10 type 8 code 0  no-match: a rule of generation 3",
        " 00:00:00 deny  in  eth0  60 bytes  unparsable: bad-ip-header",
        " 00:00:00 allow in  eth0  TCP  198.51.100.7:40000 > 192.0.2.10:22  established",
    ]


@given(EVENTS, st.integers(0, 150))
def test_any_flow_fits_and_commands_no_terminal(one: Any, width: int) -> None:
    (line,) = draw.flows([Latest(1, one)], 0, width, 1)

    assert line.cell_len == max(width, 0)
    assert line.plain.isprintable()


LATEST = tuple(Latest(100 - index, event()) for index in range(10))


@pytest.mark.parametrize(
    ("chosen", "height", "first"), [(0, 4, 0), (3, 4, 0), (4, 4, 1), (9, 4, 6), (0, 20, 0), (9, 20, 0)]
)
def test_the_chosen_flow_is_always_among_those_shown(chosen: int, height: int, first: int) -> None:
    lines = draw.flows(LATEST, chosen, 80, height)

    assert len(lines) == min(height, len(LATEST))
    assert [line.plain[0] for line in lines].index(">") == chosen - first


def test_where_nothing_came_yet_it_is_said_why() -> None:
    assert draw.nothing_yet(view()) == "no verdict yet that the filter means"
    assert draw.nothing_yet(view(passed_over=12)) == "none of 12 verdicts read is one that the filter means"


def test_lines_are_one_text() -> None:
    assert draw.lines_of(draw.rules(ROWS, 80, 3)).plain.count("\n") == 2


def test_where_there_is_little_room_what_decided_is_said_shortly() -> None:
    (narrow,) = draw.flows([Latest(1, event())], 0, 100, 1)

    assert narrow.plain.rstrip() == (
        ">00:00:00 allow in  eth0  TCP  198.51.100.7:40000 > 192.0.2.10:22  allow-ssh rule 0"
    )


def test_a_log_rule_that_was_met_is_a_line_too() -> None:
    one = event(verdict="log", reason="")

    assert draw.flow(one, wide=False).plain.endswith(
        "log   in  eth0  TCP  198.51.100.7:40000 > 192.0.2.10:22  allow-ssh rule 0"
    )
    assert draw.flow(one).plain.endswith(
        "  tier default, GlobalNetworkPolicy(allow-ssh) ingress rule 0 at rules/ssh.yaml:14"
    )


def test_what_the_kernel_denied_is_said_to_be_in_no_column() -> None:
    assert draw.by_kernel(view(events=(denied(),)), 80) == []
    shown = view(events=(denied(),) * 22)
    shown = shown._replace(board=shown.board._replace(denied_by_kernel=2950))

    (line,) = draw.by_kernel(shown, 80)
    assert line.plain == "of 22 read in 60 s; 2,950 denied by the kernel not among them"
