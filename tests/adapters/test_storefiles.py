from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nfq_guard.adapters.storefiles import ConflictError, RuleStore
from nfq_guard.store.draft import FileChange, Root

if TYPE_CHECKING:
    from collections.abc import Iterable

OLD, NEW = b"# old\n", b"# new\n"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: other owners, file systems of its own")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "a.yaml").write_bytes(OLD)
    (rules / "b.yaml").write_bytes(OLD)
    return rules


def write(folder: Path, *changes: FileChange) -> None:
    with RuleStore([str(folder)], patience=0) as store:
        store.write(changes)


def change(path: Path, after: bytes = NEW, before: bytes | None = OLD, *, remove: bool = False) -> FileChange:
    return FileChange(str(path), before, after, remove)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file, hidden ones too."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_are_changed_made_and_removed(folder: Path) -> None:
    write(
        folder,
        change(folder / "a.yaml"),
        change(folder / "c.yaml", before=None),
        change(folder / "b.yaml", b"", remove=True),
    )

    assert contents(folder) == {"a.yaml": NEW, "c.yaml": NEW}


def test_mode_and_attributes_stay(folder: Path) -> None:
    file = folder / "a.yaml"
    file.chmod(0o640)
    write(folder, change(file))

    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@as_root
def test_the_owner_stays(folder: Path) -> None:
    os.chown(folder / "a.yaml", 12345, 23456)
    write(folder, change(folder / "a.yaml"))

    assert ((folder / "a.yaml").stat().st_uid, (folder / "a.yaml").stat().st_gid) == (12345, 23456)


def test_a_new_file_is_as_the_umask_says(folder: Path) -> None:
    before = os.umask(0o027)
    try:
        write(folder, change(folder / "c.yaml", before=None))
    finally:
        os.umask(before)

    assert stat.S_IMODE((folder / "c.yaml").stat().st_mode) == 0o640


def test_a_link_stays_and_its_file_changes(folder: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.yaml"
    real.write_bytes(OLD)
    (folder / "link.yaml").symlink_to(real)
    write(folder, change(folder / "link.yaml"))

    assert (folder / "link.yaml").is_symlink()
    assert real.read_bytes() == NEW


def test_an_emptied_link_is_not_removed(folder: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.yaml"
    real.write_bytes(OLD)
    (folder / "link.yaml").symlink_to(real)
    write(folder, change(folder / "link.yaml", b"", remove=True))

    assert (folder / "link.yaml").read_bytes() == b""
    assert real.exists()


@pytest.mark.parametrize(
    ("before", "found", "said"),
    [(OLD, b"# theirs\n", "has changed"), (OLD, None, "is gone"), (None, b"# theirs\n", "has appeared")],
)
def test_what_somebody_else_did_meanwhile_is_kept(
    folder: Path, before: bytes | None, found: bytes | None, said: str
) -> None:
    file = folder / "x.yaml"
    if found is not None:
        file.write_bytes(found)
    kept = contents(folder)

    with pytest.raises(ConflictError, match=f"^update conflict: .*x.yaml {said}"):
        write(folder, change(folder / "a.yaml"), change(file, before=before))
    assert contents(folder) == kept


def test_a_change_between_staging_and_rename_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fsync

    def editor_saves(descriptor: int) -> None:
        (folder / "a.yaml").write_bytes(b"# theirs\n")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", editor_saves)
    with pytest.raises(ConflictError, match="has changed"):
        write(folder, change(folder / "a.yaml"))
    assert contents(folder) == {"a.yaml": b"# theirs\n", "b.yaml": OLD}


def test_a_failure_between_two_renames_says_what_is_done(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def then_it_breaks(self: Path, target: Path) -> Path:
        result = replace(self, target)
        (folder / "b.yaml").write_bytes(b"# theirs\n")
        return result

    monkeypatch.setattr(Path, "replace", then_it_breaks)
    with pytest.raises(ConflictError, match=r"already written: .*a\.yaml$"):
        write(folder, change(folder / "a.yaml"), change(folder / "b.yaml"))
    assert contents(folder) == {"a.yaml": NEW, "b.yaml": b"# theirs\n"}


def test_one_command_at_a_time(folder: Path) -> None:
    with RuleStore([str(folder)]), pytest.raises(ConflictError, match="another command"):
        RuleStore([str(folder)], patience=0.1).__enter__()
    RuleStore([str(folder)], patience=0).__enter__()


def test_a_file_and_its_folder_have_one_lock(folder: Path) -> None:
    with RuleStore([str(folder), str(folder / "a.yaml")], patience=0), pytest.raises(ConflictError):
        RuleStore([str(folder / "b.yaml")], patience=0).__enter__()


def test_what_a_killed_command_left_is_swept_but_nothing_young(folder: Path) -> None:
    stale, young = folder / ".1.nfq-guard-new", folder / ".2.nfq-guard-new"
    for path in (stale, young):
        path.write_bytes(b"half")
    long_ago = time.time() - 3600
    os.utime(stale, (long_ago, long_ago))
    write(folder, change(folder / "a.yaml"))

    assert not stale.exists()
    assert young.exists()


def test_roots_know_what_is_in_their_folder(folder: Path) -> None:
    store = RuleStore([f"{folder}/", f"{folder}/./a.yaml"])

    assert store.roots() == [
        Root(str(folder), frozenset({"a.yaml", "b.yaml"})),
        Root(str(folder / "a.yaml"), None),
    ]


def test_an_empty_folder_is_no_problem(tmp_path: Path) -> None:
    assert RuleStore([str(tmp_path)]).read() == ([], [])


def test_a_path_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    _, (problem,) = RuleStore([str(tmp_path / "none")]).read()

    assert problem.code == "unreadable"


def limited(folder: str, changes: Iterable[FileChange], answer: multiprocessing.SimpleQueue[str]) -> None:
    """Write with a limit on the size of files, as a full disk has it."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    try:
        with RuleStore([folder]) as store:
            store.write(list(changes))
    except OSError as error:
        answer.put(error.strerror or "")
    else:
        answer.put("")


def test_a_file_that_does_not_fit_changes_nothing(folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answer = context.SimpleQueue()
    changes = [change(folder / "a.yaml"), change(folder / "b.yaml", b"x" * 1000)]
    child = context.Process(target=limited, args=(str(folder), changes, answer))
    child.start()
    child.join(60)

    assert answer.get() == "File too large"
    assert contents(folder) == {"a.yaml": OLD, "b.yaml": OLD}


def in_own_file_system(program: str, folder: Path) -> list[str]:
    """Run a program with a small file system at a folder, seen by it alone; return the lines it prints."""
    script = f'mount -t tmpfs -o size=64k none {folder} && exec {sys.executable} -c "$0" {folder}'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, program], capture_output=True, text=True, check=False
    )
    if "mount:" in done.stderr:
        pytest.skip(f"no file system of its own: {done.stderr}")
    return done.stdout.splitlines()


FULL_DISK = """
import sys
from pathlib import Path
from nfq_guard.adapters.storefiles import RuleStore
from nfq_guard.store.draft import FileChange
folder = Path(sys.argv[1])
(folder / "a.yaml").write_bytes(b"# old\\n")
try:
    with RuleStore([str(folder)]) as store:
        store.write([FileChange(str(folder / "a.yaml"), b"# old\\n", b"x" * 200_000)])
except OSError as error:
    print(error.strerror)
print(sorted(path.name for path in folder.iterdir()), (folder / "a.yaml").read_bytes())
"""


@as_root
@pytest.mark.netns
def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    assert in_own_file_system(FULL_DISK, tmp_path) == ["No space left on device", "['a.yaml'] b'# old\\n'"]


KILLED = """
import os, signal, sys
from pathlib import Path
from nfq_guard.adapters.storefiles import RuleStore
from nfq_guard.store.draft import FileChange
folder, fatal = Path(sys.argv[1]), int(sys.argv[2])
calls = 0

def dying(event, args):
    global calls
    if event in {"open", "os.rename", "os.link", "os.remove", "os.chmod"} and str(folder) in str(args):
        calls += 1
        if calls == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

store = RuleStore([str(folder)])
store.__enter__()
sys.addaudithook(dying)
store.write([
    FileChange(str(folder / "a.yaml"), b"# old\\n", b"# new\\n"),
    FileChange(str(folder / "c.yaml"), None, b"# new\\n"),
    FileChange(str(folder / "b.yaml"), b"# old\\n", b"# new\\n"),
])
"""


def test_a_kill_at_any_point_leaves_every_file_whole(folder: Path) -> None:
    for fatal in range(1, 100):
        shutil.rmtree(folder)
        folder.mkdir()
        for name in ("a.yaml", "b.yaml"):
            (folder / name).write_bytes(OLD)
        done = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(fatal)], check=False)
        found = {name: data for name, data in contents(folder).items() if not name.startswith(".")}
        assert found.keys() >= {"a.yaml", "b.yaml"}
        assert all(data in {OLD, NEW} for data in found.values())
        assert found.get("c.yaml", NEW) == NEW
        if done.returncode == 0:
            assert found == {"a.yaml": NEW, "b.yaml": NEW, "c.yaml": NEW}
            assert fatal > 8
            return
        assert done.returncode == -signal.SIGKILL
    pytest.fail("it never came to an end")


READ_ONLY = """
import subprocess, sys
from pathlib import Path
from nfq_guard.adapters.storefiles import RuleStore
from nfq_guard.store.draft import FileChange
folder = Path(sys.argv[1])
(folder / "a.yaml").write_bytes(b"# old\\n")
subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
try:
    with RuleStore([str(folder)]) as store:
        store.write([FileChange(str(folder / "a.yaml"), b"# old\\n", b"# new\\n")])
except OSError as error:
    print(error.strerror)
print(sorted(path.name for path in folder.iterdir()), (folder / "a.yaml").read_bytes())
"""


@as_root
@pytest.mark.netns
def test_a_folder_that_cannot_be_written_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    assert in_own_file_system(READ_ONLY, tmp_path) == ["Read-only file system", "['a.yaml'] b'# old\\n'"]
