from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from nfq_guard.cli.main import Exit, cli


def ask(*arguments: str, text: str = "") -> tuple[int, list[Any]]:
    result = CliRunner().invoke(cli, ["selector", *arguments], input=text)
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def test_one_expression_is_asked_about_labels() -> None:
    code, answers = ask("a == 'b'&&has( c )", "--labels", "a=b,c=")

    assert (code, answers) == (Exit.GOOD, [{"matches": True, "canonical": '(a == "b" && has(c))'}])


def test_a_selector_that_does_not_match_is_an_answer_not_a_failure() -> None:
    assert ask("has(a)") == (Exit.GOOD, [{"matches": False, "canonical": "has(a)"}])


def test_an_invalid_selector_has_a_column_and_the_answer_is_no() -> None:
    code, (answer,) = ask("a = 'b'")

    assert code == Exit.NO
    assert answer["column"] == 3
    assert answer["error"]


@pytest.mark.parametrize("arguments", [(), ("-",)], ids=["no argument", "a dash"])
def test_lines_are_answered_in_order(arguments: tuple[str, ...]) -> None:
    asked = [
        {"selector": "has(a)", "labels": {"a": ""}},
        {"selector": "has("},
        {"selector": "", "labels": None},
        {"selector": "a", "labels": {"a": 1}},
        {"selector": "all()", "label": {}},
        [],
    ]
    code, answers = ask(*arguments, text="".join(json.dumps(line) + "\n" for line in asked) + "{\n")

    assert code == Exit.NO
    assert answers[0] == {"matches": True, "canonical": "has(a)"}
    assert answers[1].keys() == {"error", "column"}
    assert answers[2] == {"matches": True, "canonical": "all()"}
    assert [answer["line"] for answer in answers[3:]] == [4, 5, 6, 7]
    assert answers[4]["error"] == "unknown key 'label'; there are 'selector' and 'labels'"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("has(a)", "--labels", "a"), "--labels must be k=v,..., found 'a'"),
        (("has(a)", "--labels", "=a"), "--labels must be k=v"),
        (("has(a)", "--labels", "a=1,a=2"), "--labels names 'a' twice"),
        (("--labels", "a=1"), "--labels goes with an EXPRESSION"),
    ],
    ids=["no value", "no key", "a key twice", "no expression"],
)
def test_labels_that_make_no_sense_are_wrong_usage(arguments: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(cli, ["selector", *arguments])

    assert result.exit_code == Exit.USAGE
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("expression", "said"),
    [("all()", "matches: all()"), ("has(a)", "does not match: has(a)"), ("a =", "column 3: error: ")],
)
def test_text_is_a_sentence(expression: str, said: str) -> None:
    result = CliRunner().invoke(cli, ["selector", expression, "--format", "text"])

    assert result.stdout.startswith(said)


def test_text_says_which_line_was_no_question() -> None:
    result = CliRunner().invoke(cli, ["selector", "--format", "text"], input="{\n")

    assert result.stdout.startswith("line 1: error: not JSON")
