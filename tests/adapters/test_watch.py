from __future__ import annotations

import os
import select
import shutil
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from nfq_guard.adapters.watch import Activity, FileWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAIT = 5.0
"""Seconds an event may take; it takes microseconds."""


class Watched:
    """A rules folder, a way to it through a link, and a watch on both."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.rules = base / "site" / "rules"
        self.rules.mkdir(parents=True)
        (self.rules / "a.yaml").write_text("one")
        (self.rules / "sub").mkdir()
        (self.rules / "sub" / "b.yaml").write_text("one")
        elsewhere = base / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "c.yaml").write_text("one")
        (self.rules / "c.yaml").symlink_to(elsewhere / "c.yaml")
        (base / "current").symlink_to("site")
        self.watch = FileWatch([str(base / "current" / "rules")])
        self.begun: IO[str] | None = None
        """A file that is open for writing."""

    def path(self, *names: str) -> Path:
        """Return a path as it is watched."""
        return self.base.joinpath("current", "rules", *names)

    def written(self) -> list[str]:
        return [Path(name).name for name in self.watch.written]

    def activity(self) -> Activity:
        return self.watch.activity

    def heard(self) -> bool:
        poll = select.poll()
        poll.register(self.watch, select.POLLIN)
        end = time.monotonic() + WAIT
        # What others do on the way to the rules (in /tmp) wakes us as well, and may do so for ever.
        while poll.poll(max(0.0, end - time.monotonic()) * 1000):
            if self.watch.drain():
                return True
        return False

    def quiet(self) -> bool:
        return not self.watch.drain()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    made.watch.close()
    if made.begun is not None:
        made.begun.close()


def write_in_place(it: Watched) -> None:
    (it.rules / "a.yaml").write_text("two")


def write_below(it: Watched) -> None:
    (it.rules / "sub" / "b.yaml").write_text("two")


def replace_as_editors_do(it: Watched) -> None:
    (it.rules / ".a.yaml.swp").write_text("two")
    it.watch.drain()
    (it.rules / ".a.yaml.swp").rename(it.rules / "a.yaml")


def add(it: Watched) -> None:
    (it.rules / "new.yaml").write_text("")


def remove(it: Watched) -> None:
    (it.rules / "a.yaml").unlink()


def write_behind_a_link(it: Watched) -> None:
    (it.base / "elsewhere" / "c.yaml").write_text("two")


def swap_the_folder_by_rename(it: Watched) -> None:
    fresh = it.base / "site" / "fresh"
    fresh.mkdir()
    (fresh / "a.yaml").write_text("two")
    it.watch.drain()
    it.rules.rename(it.base / "site" / "old")
    fresh.rename(it.rules)


def swap_the_link_on_the_way(it: Watched) -> None:
    (it.base / "release2" / "rules").mkdir(parents=True)
    (it.base / "next").symlink_to("release2")
    it.watch.drain()
    (it.base / "next").rename(it.base / "current")


def move_the_parent_away(it: Watched) -> None:
    (it.base / "site").rename(it.base / "gone")


CHANGES = [
    write_in_place,
    write_below,
    replace_as_editors_do,
    add,
    remove,
    write_behind_a_link,
    swap_the_folder_by_rename,
    swap_the_link_on_the_way,
    move_the_parent_away,
]


@pytest.mark.parametrize("change", CHANGES)
def test_hears(watched: Watched, change: Callable[[Watched], None]) -> None:
    change(watched)

    assert watched.heard()


def test_after_a_swap_the_new_folder_is_watched_and_the_old_one_is_not(watched: Watched) -> None:
    swap_the_folder_by_rename(watched)
    assert watched.heard()
    assert watched.watch.rearm()
    watched.watch.drain()

    (watched.base / "site" / "old" / "a.yaml").write_text("three")
    assert watched.quiet()

    (watched.rules / "a.yaml").write_text("three")
    assert watched.heard()


def test_a_folder_that_comes_back_is_heard(watched: Watched) -> None:
    move_the_parent_away(watched)
    watched.heard()
    watched.watch.rearm()
    watched.watch.drain()

    (watched.base / "gone").rename(watched.base / "site")

    assert watched.heard()


def test_a_new_folder_below_is_watched_after_rearming(watched: Watched) -> None:
    (watched.rules / "more").mkdir()
    assert watched.heard()
    assert watched.watch.rearm()

    (watched.rules / "more" / "d.yaml").write_text("")

    assert watched.heard()


def test_rearming_changes_nothing_where_nothing_changed(watched: Watched) -> None:
    assert not watched.watch.rearm()
    assert watched.watch.unwatched == ()


def test_neighbors_on_the_way_do_not_wake_anybody(watched: Watched) -> None:
    (watched.base / "unrelated.txt").write_text("x")
    (watched.base / "site" / "unrelated.txt").write_text("x")

    assert watched.quiet()


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    loop = tmp_path / "rules"
    loop.mkdir()
    (loop / "self").symlink_to(loop)

    for path in (tmp_path / "a", loop):
        FileWatch([str(path)]).close()


def test_a_path_that_does_not_exist_yet_is_heard_when_it_comes(tmp_path: Path) -> None:
    watch = FileWatch([str(tmp_path / "rules")])

    (tmp_path / "rules").mkdir()

    assert watch.drain()
    watch.close()


def test_an_overflow_counts_as_a_change(watched: Watched) -> None:
    assert watched.watch._matters(-1, 0x4000, "")


def begin_writing(it: Watched) -> None:
    it.begun = (it.rules / "a.yaml").open("w")
    it.begun.write("half")
    it.begun.flush()


def begin_writing_anew(it: Watched) -> None:
    it.begun = (it.rules / "new.yaml").open("w")
    it.begun.write("half")
    it.begun.flush()


def finish_writing(it: Watched) -> None:
    begin_writing(it)
    assert it.begun is not None
    it.begun.close()


def begin_and_remove(it: Watched) -> None:
    begin_writing(it)
    (it.rules / "a.yaml").unlink()


def begin_a_hidden_one(it: Watched) -> None:
    it.begun = (it.rules / ".a.yaml.new").open("w")
    it.begun.write("half")
    it.begun.flush()


def truncate(it: Watched) -> None:
    it.begun = (it.rules / "a.yaml").open("w")


def create_empty(it: Watched) -> None:
    it.begun = (it.rules / "new.yaml").open("w")


def create_and_close(it: Watched) -> None:
    (it.rules / "new.yaml").touch()


def create_a_hard_link(it: Watched) -> None:
    (it.rules / "h.yaml").hardlink_to(it.rules / "a.yaml")


def two(it: Watched) -> None:
    write_in_place(it)
    write_below(it)


def create_a_link(it: Watched) -> None:
    (it.rules / "l.yaml").symlink_to("a.yaml")


def begin_behind_a_link(it: Watched) -> None:
    it.begun = (it.base / "elsewhere" / "c.yaml").open("w")
    it.begun.write("half")
    it.begun.flush()


ACTIVITY = [
    (write_in_place, Activity.DONE),
    (replace_as_editors_do, Activity.DONE),
    (remove, Activity.DONE),
    (add, Activity.DONE),
    (finish_writing, Activity.DONE),
    (begin_and_remove, Activity.DONE),
    (begin_a_hidden_one, Activity.DONE),
    (swap_the_link_on_the_way, Activity.DONE),
    (two, Activity.SEVERAL),
    (create_a_link, Activity.SEVERAL),
    (create_a_hard_link, Activity.SEVERAL),
    (create_and_close, Activity.DONE),
    (truncate, Activity.WRITING),
    (create_empty, Activity.WRITING),
    (begin_writing, Activity.WRITING),
    (begin_writing_anew, Activity.WRITING),
    (begin_behind_a_link, Activity.WRITING),
]


@pytest.mark.parametrize(("change", "activity"), ACTIVITY)
def test_what_is_being_done_to_rule_files_is_told(
    watched: Watched, change: Callable[[Watched], None], activity: Activity
) -> None:
    change(watched)
    watched.heard()

    assert watched.activity() is activity


def test_what_was_done_before_rearming_counts_no_more(watched: Watched) -> None:
    two(watched)
    watched.heard()

    watched.watch.rearm()

    assert watched.activity() is Activity.DONE


@pytest.mark.parametrize("begin", [begin_writing, truncate, create_empty, begin_behind_a_link])
def test_what_is_being_written_counts_until_it_is_closed(
    watched: Watched, begin: Callable[[Watched], None]
) -> None:
    begin(watched)
    assert watched.heard()
    for _ in range(2):
        watched.watch.drain()
        watched.watch.rearm()
        assert watched.activity() is Activity.WRITING
        (name,) = watched.watch.find_unfinished()
        assert name.endswith(".yaml")

    assert watched.begun is not None
    watched.begun.close()
    watched.heard()

    assert watched.activity() is Activity.DONE
    assert watched.watch.find_unfinished() == ()


def test_nobody_waits_for_a_file_in_a_folder_that_is_gone(watched: Watched) -> None:
    watched.begun = (watched.rules / "sub" / "b.yaml").open("w")
    watched.heard()
    assert watched.watch.find_unfinished() == (str(watched.path("sub", "b.yaml")),)

    (watched.rules / "sub").rename(watched.base / "away")
    watched.heard()
    watched.watch.rearm()

    assert watched.watch.find_unfinished() == ()


def test_nobody_waits_for_a_file_in_a_folder_that_is_removed(watched: Watched) -> None:
    folder = watched.rules / "sub"
    watched.begun = (folder / "b.yaml").open("w")
    watched.heard()
    assert watched.watch.find_unfinished()

    shutil.rmtree(folder)
    watched.heard()

    assert watched.watch.find_unfinished() == ()


def test_what_was_written_in_place_since_a_mark_is_told(watched: Watched) -> None:
    write_in_place(watched)
    watched.heard()
    assert watched.written() == ["a.yaml"]

    watched.watch.mark()
    replace_as_editors_do(watched)
    remove(watched)
    watched.heard()
    assert watched.written() == []

    begin_writing(watched)
    watched.heard()
    assert watched.written() == ["a.yaml"]


def test_where_events_were_lost_nobody_knows_and_nobody_waits_for_ever(watched: Watched) -> None:
    truncate(watched)
    watched.heard()

    watched.watch._matters(-1, 0x4000, "")

    assert watched.activity() is Activity.UNKNOWN
    assert not watched.watch.find_unfinished()


@pytest.mark.parametrize(("age", "activity"), [(0, Activity.UNKNOWN), (60, Activity.DONE)])
def test_a_folder_that_comes_with_files_just_written_may_have_half_ones(
    watched: Watched, age: int, activity: Activity
) -> None:
    folder = watched.rules / "fresh"
    folder.mkdir()
    (folder / "n.yaml").write_text("half")
    os.utime(folder / "n.yaml", (time.time() - age, time.time() - age))
    watched.heard()

    assert watched.watch.rearm()

    assert watched.activity() is activity
    watched.watch.rearm()
    assert watched.activity() is Activity.DONE
