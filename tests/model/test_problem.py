"""Problems as people read them, and the error that carries them all."""

from __future__ import annotations

import pytest

from nfq_guard.model.problem import ConfigError, Position, Problem, Severity

HERE = Position("rules.yaml", 3, 7)

LINES: dict[str, Problem] = {
    "rules.yaml:3:7: error: Tier(web) spec.order: found a list, expected a number [wrong-type]": Problem(
        HERE, "wrong-type", "found a list, expected a number", "spec.order", "Tier", "web"
    ),
    "rules.yaml:3:7: warning: Tier(web) never used [no-effect]": Problem(
        HERE, "no-effect", "never used", kind="Tier", name="web", severity=Severity.WARNING
    ),
    "rules.yaml:3:7: error: spec: found nothing [wrong-type]": Problem(
        HERE, "wrong-type", "found nothing", "spec"
    ),
    "rules.yaml: error: not UTF-8 text [not-text]": Problem(
        Position("rules.yaml"), "not-text", "not UTF-8 text"
    ),
}


@pytest.mark.parametrize("line", LINES)
def test_a_problem_is_one_line_without_the_parts_that_it_does_not_have(line: str) -> None:
    assert str(LINES[line]) == line


def test_a_place_is_written_as_compilers_do_and_a_whole_file_by_its_name_alone() -> None:
    assert [str(HERE), str(Position("rules.yaml"))] == ["rules.yaml:3:7", "rules.yaml"]


def test_a_problem_is_an_error_unless_it_says_otherwise() -> None:
    assert Problem(HERE, "bad-net", "x").severity is Severity.ERROR


def test_a_config_error_carries_every_problem_in_the_order_of_the_files() -> None:
    places = [Position("b", 1, 1), Position("a", 10, 1), Position("a", 9, 20), Position("a", 9, 3)]

    error = ConfigError(Problem(place, "bad-net", "x") for place in [*places, Position("a")])

    assert [str(problem.position) for problem in error.problems] == [
        "a",
        "a:9:3",
        "a:9:20",
        "a:10:1",
        "b:1:1",
    ]


def test_the_text_of_a_config_error_is_a_line_for_each_problem() -> None:
    problems = sorted(LINES.values())

    assert str(ConfigError(reversed(problems))).splitlines() == [str(problem) for problem in problems]


def test_problems_at_one_place_are_all_kept() -> None:
    problems = [Problem(HERE, code, "x") for code in ("bad-net", "conflict", "bad-net")]

    assert [problem.code for problem in ConfigError(problems).problems] == ["bad-net", "bad-net", "conflict"]
