from __future__ import annotations

import pytest

from nfq_guard.daemon.ruletext import LONGEST_LINE, MOST_LINES, RuleTexts, excerpt
from nfq_guard.resources.source import Source

BLOCK = """\
spec:
  ingress:
    - action: Allow
      protocol: TCP
      # From there alone.
      source:
        nets: [10.0.0.0/8]

    # The next one.
    - {action: Deny}
  egress: []
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            3,
            "- action: Allow\n  protocol: TCP\n  # From there alone.\n  source:\n    nets: [10.0.0.0/8]",
        ),
        (10, "- {action: Deny}"),
        (0, ""),
        (99, ""),
    ],
)
def test_a_rule_ends_where_the_next_thing_of_its_depth_begins(line: int, expected: str) -> None:
    assert excerpt(BLOCK.splitlines(), line) == expected


def test_a_long_rule_is_cut_and_a_long_line_left_out() -> None:
    long = ["- action: Allow", *(f"  key{number}: x" for number in range(100))]

    cut = excerpt(long, 1).splitlines()

    assert len(cut) == MOST_LINES + 1
    assert cut[-1] == "…"
    assert excerpt(["- " + "x" * LONGEST_LINE], 1) == ""


def test_comments_alone_are_no_rule() -> None:
    assert excerpt(["# nothing", ""], 1) == ""


def test_texts_come_from_the_files_in_force_and_any_bytes_will_do() -> None:
    texts = RuleTexts((Source("a.yaml", BLOCK.encode()), Source("b.yaml", b"- \xff\xfe")))

    assert texts.text("a.yaml", 10) == "- {action: Deny}"
    assert texts.text("b.yaml", 1) == "- \ufffd\ufffd"
    assert texts.text("c.yaml", 1) == ""
