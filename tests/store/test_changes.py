from __future__ import annotations

import pytest

from nfq_guard.store.changes import Changes


def test_places_are_those_of_the_text_as_it_was() -> None:
    changes = Changes("one two three")
    changes.replace(8, 13, "3")
    changes.replace(0, 3, "1")

    assert changes.result() == "1 two 3"


def test_lines_go_below_in_the_order_they_come() -> None:
    changes = Changes("a\nb\n")
    changes.insert_lines(0, ["x", "y"])
    changes.insert_lines(0, ["z"])

    assert changes.result() == "a\nx\ny\nz\nb\n"


def test_a_last_line_that_is_not_closed_stays_so() -> None:
    changes = Changes("a\nb")
    changes.insert_lines(2, ["c"])

    assert changes.result() == "a\nb\nc"


def test_lines_are_removed_whole() -> None:
    changes = Changes("a\n  b b\nc\nd")
    changes.remove_lines(4, 9)

    assert changes.result() == "a\nd"


def test_new_lines_take_the_place_of_removed_ones() -> None:
    changes = Changes("a\nb\n")
    changes.remove_lines(2, 2)
    changes.insert_lines(0, ["c"])

    assert changes.result() == "a\nc\n"


def test_windows_line_ends_are_kept() -> None:
    changes = Changes("a\r\nb\r\n")
    changes.insert_lines(0, ["x"])

    assert changes.result() == "a\r\nx\r\nb\r\n"


def test_what_was_undone_does_not_happen() -> None:
    changes = Changes("a")
    changes.replace(0, 1, "b")
    mark = changes.mark()
    changes.replace(0, 1, "c")
    changes.undo_to(mark)

    assert changes.result() == "b"


def test_two_changes_of_one_place_are_a_mistake() -> None:
    changes = Changes("abc")
    changes.replace(0, 2, "x")
    changes.replace(1, 3, "y")

    with pytest.raises(ValueError, match="overlap"):
        changes.result()


def test_blanks_before_a_place_leave_it_alone_on_its_line() -> None:
    changes = Changes("a\n  b\n- c\n")

    assert changes.alone_on_line(4)
    assert not changes.alone_on_line(8)
