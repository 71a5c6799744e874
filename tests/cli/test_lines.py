from __future__ import annotations

import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.cli.lines import LONGEST_LINE, Line, read_lines, write_line


def read(data: bytes) -> list[Line]:
    return list(read_lines(io.BytesIO(data)))


def test_one_document_a_line_with_its_number() -> None:
    assert read(b'{"a": 1}\n[2]\n') == [Line(1, {"a": 1}), Line(2, [2])]


def test_blank_lines_are_passed_over_and_counted() -> None:
    assert read(b"\n  \n1\n\n") == [Line(3, 1)]


def test_the_last_line_needs_no_line_feed() -> None:
    assert read(b"1\n2") == [Line(1, 1), Line(2, 2)]


def test_a_byte_order_mark_and_carriage_returns_are_no_problem() -> None:
    assert read(b"\xef\xbb\xbf1\r\n2\r\n") == [Line(1, 1), Line(2, 2)]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"{", "not JSON: Expecting property name enclosed in double quotes at column 2"),
        (b'{"a": 1, "a": 2}', "duplicate key 'a'"),
        (b"NaN", "not JSON: NaN"),
        (b'"\xff"', "not UTF-8: byte 2 of the line"),
        (b"[" * 100_000, "not usable: nested too deeply"),
    ],
    ids=["not JSON", "a duplicate key", "not a number", "not UTF-8", "too deep"],
)
def test_a_bad_line_carries_its_error_and_the_next_is_read(line: bytes, error: str) -> None:
    assert read(line + b"\n1\n") == [Line(1, None, error), Line(2, 1)]


def test_a_line_that_is_too_long_is_one_error_and_bounded_memory() -> None:
    stream = io.BytesIO(b'"' + b"x" * (20 * LONGEST_LINE) + b'"\n1\n')
    tracemalloc.start()
    try:
        found = list(read_lines(stream))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert found == [Line(1, None, f"the line is longer than {LONGEST_LINE} bytes"), Line(2, 1)]
    assert peak < 6 * LONGEST_LINE


@given(st.binary(max_size=200))
def test_any_bytes_are_lines_never_an_exception(data: bytes) -> None:
    for line in read(data):
        assert line.number >= 1


def test_a_lone_surrogate_does_not_stop_the_answer(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write_line({"error": "found '\ud800'"})

    assert capfdbinary.readouterr().out == b'{"error": "found \'\\ud800\'"}\n'
