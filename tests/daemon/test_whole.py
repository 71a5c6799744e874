from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nfq_guard.adapters.files import read_sources
from nfq_guard.adapters.watch import Activity, FileWatch
from nfq_guard.daemon.whole import UnfinishedError, WholeFiles, emptied
from nfq_guard.resources.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from nfq_guard.model.problem import Problem


class Folder:
    """A folder of rules that something may happen to while it is read."""

    def __init__(self, base: Path, *, is_watched: bool) -> None:
        self.path = base
        self.file = base / "a.yaml"
        self.file.write_text("before")
        self.watch = FileWatch([str(base)]) if is_watched else None
        self.meanwhile: Callable[[int], object] = int
        """Called with the number of the reading, in the middle of it."""
        self.readings = 0
        self.told: list[Activity] = []
        self.whole = WholeFiles(self.take, self.watch, self.told.append)

    def take(self, *, anew: bool) -> tuple[tuple[Source, ...], tuple[Problem, ...]]:
        assert isinstance(anew, bool)
        self.readings += 1
        self.meanwhile(self.readings)
        sources, problems = read_sources([str(self.path)])
        return tuple(sources), tuple(problems)

    def read(self, *, anew: bool = False) -> list[str]:
        return [source.data.decode() for source in self.whole.read(anew=anew)[0]]

    def refused(self, *, anew: bool = False) -> list[tuple[str, str]]:
        with pytest.raises(UnfinishedError) as caught:
            self.whole.read(anew=anew)
        return [(problem.position.file, problem.code) for problem in caught.value.problems]

    @property
    def unfinished(self) -> list[tuple[str, str]]:
        return [(str(self.file), "unfinished-file")]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path, is_watched=True)
    yield made
    assert made.watch is not None
    made.watch.close()


def test_a_file_is_read_when_its_writer_has_closed_it(folder: Folder) -> None:
    with folder.file.open("w") as half:
        assert folder.refused() == folder.refused(anew=True) == folder.unfinished
        half.write("after")
        half.flush()
        assert folder.refused() == folder.unfinished

    assert folder.read() == ["after"]
    assert folder.told[-1] is Activity.DONE


def test_what_is_opened_while_it_is_read_does_not_count(folder: Folder) -> None:
    halves = []
    folder.meanwhile = lambda _: halves.append(folder.file.open("w"))

    assert folder.refused() == folder.unfinished

    assert folder.readings == 1 or len(halves) == 1
    for half in halves:
        half.close()


def test_what_is_rewritten_while_it_is_read_is_read_again(folder: Folder) -> None:
    folder.meanwhile = lambda number: number == 1 and folder.file.write_text("after")

    assert folder.read() == ["after"]

    assert folder.readings == 2


def test_what_is_rewritten_all_the_time_is_not_read_for_ever(folder: Folder) -> None:
    folder.meanwhile = lambda number: folder.file.write_text(str(number))

    assert folder.refused() == folder.unfinished

    assert folder.readings == 3


def test_what_is_replaced_by_rename_while_it_is_read_is_whole_in_any_case(folder: Folder) -> None:
    def replace(_: int) -> None:
        (folder.path / ".new").write_text("after")
        (folder.path / ".new").rename(folder.file)

    folder.meanwhile = replace

    assert folder.read() == ["after"]

    assert folder.readings == 1
    assert folder.told == [Activity.DONE]


def test_where_nobody_watches_files_are_read_when_they_are_the_same_twice(tmp_path: Path) -> None:
    folder = Folder(tmp_path, is_watched=False)

    assert folder.refused() == []
    assert folder.read() == ["before"]
    with folder.file.open("w") as half:
        assert folder.refused() == []
        half.write("after")
    assert folder.refused() == []
    assert folder.read() == folder.read() == ["after"]


def test_where_nobody_watches_and_somebody_waits_they_are_looked_at_twice_at_once(tmp_path: Path) -> None:
    folder = Folder(tmp_path, is_watched=False)
    assert folder.read(anew=True) == ["before"]
    assert folder.readings == 2

    folder.meanwhile = lambda number: folder.file.write_text(str(number))

    assert folder.refused(anew=True) == []


@pytest.mark.parametrize(
    ("before", "now", "is_refused"),
    [
        (b"a: b\n", b"", True),
        (b"a: b\n", b" \t\r\n", True),
        (b"a: b\n", b"\xef\xbb\xbf\n", True),
        (b"# c\n", b"", True),
        (b"a: b\n", b"# c\n", False),
        (b"a: b\n", b"---\n", False),
        (b"a: b\n", b"a", False),
        (b"", b"", False),
        (b"\n", b"", False),
        (b"", b"a: b\n", False),
    ],
)
def test_a_file_that_had_content_must_not_be_empty(before: bytes, now: bytes, *, is_refused: bool) -> None:
    found = emptied(lambda: [Source("a.yaml", before), Source("b.yaml", b"")], [Source("a.yaml", now)])

    assert [(problem.position.file, problem.code) for problem in found] == (
        [("a.yaml", "emptied-file")] if is_refused else []
    )


def test_a_file_that_is_new_or_gone_is_not_meant() -> None:
    assert not emptied(lambda: [Source("a.yaml", b"a: b")], [Source("b.yaml", b"")])


def test_what_was_before_is_asked_for_only_if_a_file_is_empty() -> None:
    def fail() -> list[Source]:
        raise AssertionError

    assert not emptied(fail, [Source("a.yaml", b"a: b\n")])
