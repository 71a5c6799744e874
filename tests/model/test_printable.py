"""What reaches a terminal says what is there and does nothing."""

from __future__ import annotations

import json

import pytest

from nfq_guard.model.printable import printable

CASES = {
    "plain text": ("a-b_c é 日本 🙂", "a-b_c é 日本 🙂"),
    "a title for the window": ("\x1b]0;pwn\a", r"\u001b]0;pwn\u0007"),
    "a second line": ("a\nb\r", r"a\nb\r"),
    "an eight-bit introducer": ("\x9b31m\x7f", r"\u009b31m\u007f"),
    "writing turned round": ("a\u202eb\u2066", r"a\u202eb\u2066"),
    "beyond sixteen bits": ("\U000e0041", r"\udb40\udc41"),
    "half a character": ("\ud800", r"\ud800"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_commands_a_terminal_is_spelled_out(case: str) -> None:
    text, expected = CASES[case]

    assert printable(text) == expected
    assert printable(text).isprintable()


@pytest.mark.parametrize("case", CASES)
def test_json_means_the_same_as_before(case: str) -> None:
    text = CASES[case][0]

    assert json.loads(printable(json.dumps([text], ensure_ascii=False))) == [text]
