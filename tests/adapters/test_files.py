"""Which files are read, and what is told about those that cannot be."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nfq_guard.adapters import files
from nfq_guard.adapters.files import FileMemory, read_sources
from nfq_guard.model.problem import Position, Severity
from nfq_guard.resources import load
from nfq_guard.resources.source import MAX_FILE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder `rules` in the working directory."""
    monkeypatch.chdir(tmp_path)
    rules = Path("rules")
    rules.mkdir()
    return rules


def names(*paths: str | Path) -> list[str]:
    """Return the names of what is read, which must be everything."""
    sources, problems = read_sources(paths)
    assert problems == []
    return [source.name for source in sources]


def test_a_folder_is_read_with_all_below_it_in_the_order_of_names(folder: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.json", "sub/z.yaml", "sub/deeper/y.yaml", "B.yaml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")

    assert names("rules") == [
        "rules/B.yaml",
        "rules/a.yml",
        "rules/b.yaml",
        "rules/c.json",
        "rules/sub/deeper/y.yaml",
        "rules/sub/z.yaml",
    ]


def test_what_editors_and_systems_leave_in_a_folder_is_not_read(folder: Path) -> None:
    left = (
        "a.yaml~",
        ".a.yaml.swp",
        ".a.yaml",
        "#a.yaml#",
        "a.yaml.bak",
        "README.md",
        "notes",
        ".git/x.yaml",
        "~x.yaml",
    )
    for name in ("a.yaml", *left):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    (folder / ".#a.yaml").symlink_to("user@host.1234")

    assert names("rules") == ["rules/a.yaml"]


def test_a_file_whose_ending_is_nearly_right_is_named_and_refuses_nothing(folder: Path) -> None:
    for name in (
        "a.yaml",
        "B.YAML",
        "c.yml.txt",
        "sub/d.Json",
        "e.yaml.disabled",
        "f.jsonl",
        "yaml",
        "g.yamlx",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")

    sources, problems = read_sources(["rules"])

    assert [source.name for source in sources] == ["rules/a.yaml"]
    assert [(str(problem.position), problem.code, problem.severity) for problem in problems] == [
        (f"rules/{name}", "skipped-file", Severity.WARNING) for name in ("B.YAML", "c.yml.txt", "sub/d.Json")
    ]


def test_a_folder_with_such_files_alone_is_a_folder_without_rules(folder: Path) -> None:
    (folder / "a.YAML").write_text("")

    _, problems = read_sources(["rules"])

    assert [problem.code for problem in problems] == ["skipped-file", "no-files"]


def test_a_file_that_is_named_is_read_whatever_its_name(folder: Path) -> None:
    (folder / "policy.txt").write_bytes(b"x")

    sources, problems = read_sources(["rules/policy.txt"])

    assert [(source.name, source.data) for source in sources] == [("rules/policy.txt", b"x")]
    assert problems == []


def test_absolute_names_stay_absolute_and_paths_keep_their_order(folder: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (folder / name).write_text("")
    absolute = str(folder.absolute() / "b.yaml")

    assert names(absolute, "rules/a.yaml") == [absolute, "rules/a.yaml"]


def test_a_file_that_is_named_twice_is_read_once(folder: Path) -> None:
    (folder / "a.yaml").write_text("")

    assert names("rules", "rules/a.yaml", Path("rules")) == ["rules/a.yaml"]


def test_symbolic_links_are_followed_as_kubernetes_mounts_them(folder: Path) -> None:
    (folder / "..2026").mkdir()
    (folder / "..2026" / "a.yaml").write_bytes(b"x")
    (folder / "..data").symlink_to("..2026")
    (folder / "a.yaml").symlink_to("..data/a.yaml")
    Path("link").symlink_to("rules")

    sources, problems = read_sources(["link"])

    assert [(source.name, source.data) for source in sources] == [("link/a.yaml", b"x")]
    assert problems == []


def test_a_folder_inside_itself_ends(folder: Path) -> None:
    (folder / "a.yaml").write_text("")
    (folder / "sub").mkdir()
    (folder / "sub" / "loop").symlink_to("..")

    sources, problems = read_sources(["rules"])

    assert [source.name for source in sources] == ["rules/a.yaml"]
    assert [str(problem) for problem in problems] == [
        "rules/sub/loop: error: the folder contains itself by a symbolic link [unreadable]"
    ]


def test_what_is_not_there(folder: Path) -> None:
    (folder / "gone.yaml").symlink_to("nowhere")

    problems = read_sources(["rules", "nowhere.yaml"])[1]

    assert [(problem.position, problem.code) for problem in problems] == [
        (Position("rules/gone.yaml"), "unreadable"),
        (Position("nowhere.yaml"), "unreadable"),
    ]
    assert "no such file or directory" in problems[0].message


def test_a_folder_without_rule_files(folder: Path) -> None:
    (folder / "README.md").write_text("")

    problems = read_sources(["rules"])[1]

    assert [(problem.position.file, problem.code) for problem in problems] == [("rules", "no-files")]


def test_a_pipe_is_refused_and_does_not_wait_for_a_writer(folder: Path) -> None:
    os.mkfifo(folder / "pipe.yaml")

    problems = read_sources(["rules", "/dev/zero"])[1]

    assert [(problem.position.file, problem.message) for problem in problems] == [
        ("rules/pipe.yaml", "cannot be read: not a regular file"),
        ("/dev/zero", "cannot be read: not a regular file"),
    ]


def test_a_huge_file_is_read_no_further_than_it_takes_to_refuse_it(folder: Path) -> None:
    with (folder / "huge.yaml").open("wb") as file:
        file.truncate(1 << 40)

    sources, problems = read_sources(["rules"])

    assert problems == []
    assert [len(source.data) for source in sources] == [MAX_FILE_BYTES + 1]
    assert [problem.code for problem in load(sources)[1]] == ["too-large"]


def test_too_many_files_or_bytes_end_the_reading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        (folder / f"{number}.yaml").write_bytes(b"12345")
    for limit, value in (("MAX_FILES", 3), ("MAX_TOTAL_BYTES", 15)):
        with monkeypatch.context() as patched:
            patched.setattr(files, limit, value)
            sources, problems = read_sources(["rules"])

        assert len(sources) == 3
        assert [(problem.position.file, problem.code) for problem in problems] == [
            ("rules/3.yaml", "too-large")
        ]


def test_names_that_are_not_utf_8_are_told_not_raised(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.yaml")).write_text("kind: x")

    sources, problems = read_sources(["rules"])

    assert len(sources) == 1
    assert problems == []
    assert load(sources)[1]


def test_folders_in_a_folder_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a.yaml", "deep/b.yaml"):
        (tmp_path / name).write_text("", encoding="utf-8")

    sources, problems = read_sources([tmp_path], recursive=False)

    assert ([source.name for source in sources], problems) == ([str(tmp_path / "a.yaml")], [])


OLD = 1_700_000_000
"""Seconds since 1970, long enough ago that nobody can doubt a file's times."""


class Opened:
    """Reads a folder again and again by one memory; counts what is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.memory = FileMemory()
        self.opened: list[str] = []
        self._open = files._bounded
        monkeypatch.setattr(files, "_bounded", self._counted)

    def _counted(self, path: str) -> tuple[bytes, files._Stamp | None]:
        self.opened.append(path)
        return self._open(path)

    def read(self) -> list[tuple[str, bytes]]:
        self.opened.clear()
        sources, problems = read_sources(["rules"], memory=self.memory)
        assert problems == []
        return [(source.name, source.data) for source in sources]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    return Opened(monkeypatch)


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an hour pass: what was just written is then old."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 3600 * 10**9)


def test_a_file_that_did_not_change_is_not_read_again(
    folder: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (folder / f"{name}.yaml").write_text(name)
    later(monkeypatch)
    first = read_sources(["rules"], memory=opened.memory)[0]

    second = read_sources(["rules"], memory=opened.memory)[0]

    assert opened.opened == ["rules/a.yaml", "rules/b.yaml", "rules/c.yaml"]
    assert all(one is other for one, other in zip(first, second, strict=True))


def write(folder: Path) -> None:
    (folder / "a.yaml").write_text("two")


def write_and_set_the_time_back(folder: Path) -> None:
    write(folder)
    os.utime(folder / "a.yaml", (OLD, OLD))


def replace(folder: Path) -> None:
    (folder / ".new").write_text("two")
    os.utime(folder / ".new", (OLD, OLD))
    (folder / ".new").rename(folder / "a.yaml")


def switch_a_link(folder: Path) -> None:
    (folder / "..two").write_text("two")
    (folder / "a.yaml").unlink()
    (folder / "a.yaml").symlink_to("..two")


@pytest.mark.parametrize("change", [write, write_and_set_the_time_back, replace, switch_a_link])
def test_a_file_of_the_same_size_that_changed_is_read_again(
    folder: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    for name in ("a.yaml", "b.yaml"):
        (folder / name).write_text("one")
        os.utime(folder / name, (OLD, OLD))
    later(monkeypatch)
    opened.read()

    change(folder)

    assert opened.read() == [("rules/a.yaml", b"two"), ("rules/b.yaml", b"one")]
    assert opened.opened == ["rules/a.yaml"]


def test_a_file_that_was_written_just_before_it_was_read_is_read_once_more(
    folder: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.yaml").write_text("one")
    opened.read()
    assert opened.read() == [("rules/a.yaml", b"one")]
    assert opened.opened == ["rules/a.yaml"], "a write within the clock's tick leaves the same times"

    later(monkeypatch)
    opened.read()
    opened.read()

    assert opened.opened == []


def test_a_file_that_went_is_forgotten(folder: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.yaml", "b.yaml"):
        (folder / name).write_text("one")
    later(monkeypatch)
    opened.read()

    (folder / "a.yaml").unlink()
    opened.read()

    assert list(opened.memory.kept) == ["rules/b.yaml"]
