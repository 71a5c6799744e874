from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nfq_guard.daemon.state import StateFolder, StateInUseError, WorkerRecord
from nfq_guard.resources.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = (Source("rules/a.yaml", b"kind: Tier\n"), Source("b.json", b"\xff\x00"))
RECORDS = (WorkerRecord(10, 123456, 0), WorkerRecord(11, 123457, 1))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFolder]:
    folder = StateFolder(str(tmp_path / "deep" / "state"))
    yield folder
    folder.close()


def test_what_was_saved_is_read_back_byte_for_byte(state: StateFolder) -> None:
    state.save_snapshot(SOURCES)
    state.save_workers(RECORDS, 0xF0000000)

    assert state.load_snapshot() == SOURCES
    assert state.load_workers() == RECORDS


def test_workers_of_another_run_of_the_machine_are_nobody(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.save_workers(RECORDS, 0xF0000000)
    assert state.load_mask() == 0xF0000000

    monkeypatch.setattr("nfq_guard.daemon.state.boot_id", lambda: "another")

    assert state.load_workers() == ()
    assert state.load_mask() == 0


def test_an_empty_folder_has_neither_snapshot_nor_workers(state: StateFolder) -> None:
    assert state.load_snapshot() is None
    assert state.load_workers() == ()


@pytest.mark.parametrize(
    "rubbish", [b"", b"{", b"[]", b'{"version": 99}', b'{"version": 1, "files": [{}]}', b"\xff"]
)
def test_rubbish_in_the_folder_is_nothing_saved(state: StateFolder, rubbish: bytes) -> None:
    for name in ("last-good.json", "workers.json"):
        Path(state.path, name).write_bytes(rubbish)

    assert state.load_snapshot() is None
    assert state.load_workers() == ()


def test_a_second_controller_is_refused_and_told_who_holds_the_folder(state: StateFolder) -> None:
    with pytest.raises(StateInUseError, match=f"pid {os.getpid()}"):
        StateFolder(state.path)


def test_a_folder_is_free_again_when_its_holder_has_gone(tmp_path: Path) -> None:
    StateFolder(str(tmp_path)).close()

    StateFolder(str(tmp_path)).close()


def test_nobody_but_the_owner_reads_the_folder(state: StateFolder) -> None:
    state.save_snapshot(SOURCES)

    assert Path(state.path).stat().st_mode & 0o077 == 0
    assert Path(state.path, "last-good.json").stat().st_mode & 0o077 == 0


def test_a_full_disk_leaves_the_snapshot_before_and_no_rubbish(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.save_snapshot(SOURCES)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        state.save_snapshot(())

    assert state.load_snapshot() == SOURCES
    assert sorted(path.name for path in Path(state.path).iterdir()) == ["last-good.json", "lock"]


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o720, 0o702])
def test_a_folder_in_which_others_may_write_is_refused_with_the_way_to_mend_it(
    tmp_path: Path, mode: int
) -> None:
    tmp_path.chmod(mode)

    with pytest.raises(StateInUseError, match=rf"mode {mode:04o}.*chmod 0700 {tmp_path}"):
        StateFolder(str(tmp_path))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755])
def test_a_folder_in_which_nobody_else_may_write_is_used(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)

    StateFolder(str(tmp_path)).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused_with_the_way_to_mend_it(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)

    with pytest.raises(StateInUseError, match=rf"uid 65534.*chown -R 0 {tmp_path}"):
        StateFolder(str(tmp_path))


def test_a_lock_that_is_a_link_is_not_followed_and_its_target_stays(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("years of work", encoding="utf-8")
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    (folder / "lock").symlink_to(target)

    with pytest.raises(StateInUseError, match=r"lock: a link or .*; remove it"):
        StateFolder(str(folder))

    assert target.read_text(encoding="utf-8") == "years of work"


def test_a_lock_that_is_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    os.mkfifo(tmp_path / "lock")

    with pytest.raises(StateInUseError, match="no ordinary file; remove it"):
        StateFolder(str(tmp_path))


def test_a_snapshot_is_neither_read_nor_written_through_a_link(state: StateFolder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    state.save_snapshot(SOURCES)
    Path(state.path, "last-good.json").rename(elsewhere)
    for name in ("last-good.json", ".last-good.json.new"):
        Path(state.path, name).symlink_to(elsewhere)
    before = elsewhere.read_bytes()

    assert state.load_snapshot() is None
    state.save_snapshot(())

    assert elsewhere.read_bytes() == before
    assert state.load_snapshot() == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_snapshot_that_somebody_else_left_is_not_used(state: StateFolder) -> None:
    state.save_snapshot(SOURCES)
    os.chown(Path(state.path, "last-good.json"), 65534, 65534)

    assert state.load_snapshot() is None
