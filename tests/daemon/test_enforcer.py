from __future__ import annotations

import os
import re
import selectors
import subprocess
from typing import TYPE_CHECKING

import pytest
from guarded import documents, endpoint, policy, tcp
from netns import Namespace

from nfq_guard.adapters.nft import Table, probe_queue_target
from nfq_guard.daemon import protocol
from nfq_guard.daemon.enforcer import Enforcer, NotEnforcedError
from nfq_guard.daemon.logs import Log
from nfq_guard.daemon.policy import Compiler
from nfq_guard.daemon.pool import Pool
from nfq_guard.daemon.slots import SlotTable
from nfq_guard.engine.ruleset import Options
from nfq_guard.kernel.plan import KernelSettings
from nfq_guard.model.host import HostFacts, Interface
from nfq_guard.resources.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nfq_guard.engine.ruleset import Ruleset

pytestmark = pytest.mark.netns


def ruleset(port: int) -> Ruleset:
    compiler = Compiler(("unused",), Options())
    text = documents(endpoint(), policy(tcp(port)))
    facts = HostFacts("guarded", {"eth0": Interface("eth0", ("10.0.0.1",), 2)})
    return compiler.compile(compiler.decode([Source("a.yaml", text.encode())]), facts).ruleset


class Rig:
    """An enforcer with its workers and table, in a namespace."""

    def __init__(self, base: Path, mask: int = 0xF0000000) -> None:
        self.kernel = KernelSettings(queue=10, connection_mark_mask=mask)
        self.log_fd = os.open(base / "log", os.O_CREAT | os.O_WRONLY)
        self.selector = selectors.DefaultSelector()
        self.table = Table(self.kernel, probe_queue_target())
        setups = (protocol.WorkerSetup(10, 128, self.kernel, 100),)
        self.pool = Pool(setups, Log(fd=self.log_fd), self.selector, lambda _: None)
        slots = SlotTable(100, self.pool.reader.policy)
        self.enforcer = Enforcer(self.kernel, self.table, self.pool, slots)

    def begin(self) -> Enforcer:
        self.enforcer.begin(ruleset(80), lambda: None)
        return self.enforcer

    def close(self) -> None:
        self.pool.stop()
        self.selector.close()
        os.close(self.log_fd)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Namespace() as space, space.entered():
        made = Rig(tmp_path)
        yield made
        made.close()


@pytest.fixture
def roomy(tmp_path: Path) -> Iterator[Rig]:
    """A rig whose generations do not come round within a test."""
    with Namespace() as space, space.entered():
        made = Rig(tmp_path, 0xFF000000)
        yield made
        made.close()


@pytest.fixture
def refusing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A flag file: while it is there, nft loads nothing."""
    flag, tools = tmp_path / "refuse", tmp_path / "tools"
    tools.mkdir()
    script = tools / "nft"
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    script.write_text(f'#!/bin/sh\n[ -e {flag} ] && [ "$1" = -f ] && exit 1\nPATH={path}\nexec nft "$@"\n')
    script.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tools}:{path}")
    return flag


def test_workers_and_kernel_go_from_generation_to_generation_together(rig: Rig) -> None:
    enforcer = rig.begin()
    assert enforcer.table_present()

    enforcer.change(ruleset(81))

    assert enforcer.ruleset is not None
    assert enforcer.ruleset.generation == rig.table.installed_generation() == 2
    assert rig.pool.up() == {10: True}


def test_generations_wrap_and_stay_in_step(rig: Rig) -> None:
    enforcer = rig.begin()

    seen = []
    for port in range(100, 106):
        enforcer.change(ruleset(port))
        assert enforcer.ruleset is not None
        seen.append(enforcer.ruleset.generation)

    assert seen == [2, 3, 4, 5, 1, 2]


def test_what_the_kernel_refuses_the_workers_forget_again(rig: Rig, refusing: Path) -> None:
    enforcer = rig.begin()
    refusing.touch()

    with pytest.raises(NotEnforcedError, match="the kernel refuses the table"):
        enforcer.change(ruleset(81))

    assert enforcer.ruleset is not None
    assert enforcer.ruleset.generation == 1
    assert rig.pool.up() == {10: True}
    assert rig.table.installed_generation() == 1


@pytest.fixture
def nft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shell script that is run ahead of each nft: what it says there goes."""
    tools = tmp_path / "wrapped"
    tools.mkdir()
    before, wrapper = tools / "before", tools / "nft"
    before.write_text("")
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    wrapper.write_text(f'#!/bin/sh\nPATH={path}\n. {before}\nexec nft "$@"\n')
    wrapper.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tools}:{path}")
    return before


LOADS = 'case "$*" in *-f*) '
FAILURES = {
    "refused once": LOADS + "rm {once} && exit 1;; esac",
    "refused twice": LOADS + "rm {once} && exit 1; rm {twice} && exit 1;; esac",
    "done, and yet a failure is reported": LOADS + 'rm {once} && nft "$@"; exit 1;; esac',
    "done, and never heard of again": LOADS
    + 'rm {once} && nft "$@" && exit 1; esac; [ -e {once} ] || exit 1',
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_number_never_stands_for_two_policies_however_a_change_fails(
    roomy: Rig, nft: Path, tmp_path: Path, failure: str
) -> None:
    enforcer = roomy.begin()
    policies: dict[int, set[int]] = {1: {80}}

    for port in (81, 82, 83):
        once, twice = tmp_path / "once", tmp_path / "twice"
        once.touch()
        twice.touch()
        nft.write_text(failure.format(once=once, twice=twice))
        with pytest.raises(NotEnforcedError):
            enforcer.change(ruleset(port))
        nft.write_text("")
        found = roomy.table.installed_generation()
        assert found is not None
        policies.setdefault(found, set()).add(80)
        if enforcer.table_trouble:
            enforcer.reinstall()
        assert enforcer.table_present()
        assert enforcer.ruleset is not None
        policies.setdefault(enforcer.ruleset.generation, set()).add(80)
    enforcer.change(ruleset(84))

    assert enforcer.ruleset is not None
    assert enforcer.ruleset.generation not in policies
    assert enforcer.table_present()


def marked(mark: int) -> list[int]:
    """Leave one tracked connection with this mark in the namespace, and return the marks of all."""
    pinned = ["conntrack", "-I", "-p", "udp", "-s", "10.0.0.2", "-d", "10.0.0.1", "--sport", "7"]
    subprocess.run([*pinned, "--dport", "80", "-t", "100", "-m", str(mark)], check=True, capture_output=True)
    return marks()


def marks() -> list[int]:
    listed = subprocess.run(["conntrack", "-L"], check=True, capture_output=True, text=True).stdout
    return [int(mark) for mark in re.findall(r"mark=(\d+)", listed)]


def test_where_the_kernel_takes_nothing_all_connections_are_judged_again(rig: Rig, refusing: Path) -> None:
    enforcer = rig.begin()
    assert marked(1 << 28 | 5) == [1 << 28 | 5]
    refusing.touch()

    with pytest.raises(NotEnforcedError):
        enforcer.change(ruleset(81))

    assert marks() == [5]


def test_a_refused_change_leaves_no_connection_with_the_generation_in_force(rig: Rig, nft: Path) -> None:
    enforcer = rig.begin()
    assert marked(1 << 28) == [1 << 28]
    nft.write_text(f"{LOADS} rm {nft.parent}/once && exit 1;; esac")
    (nft.parent / "once").touch()

    with pytest.raises(NotEnforcedError):
        enforcer.change(ruleset(81))

    assert enforcer.ruleset is not None
    assert enforcer.ruleset.generation == rig.table.installed_generation() == 3
    assert 3 not in {mark >> 28 for mark in marks()}


@pytest.mark.parametrize("damage", ["delete chain inet nfq_guard output", "flush chain inet nfq_guard input"])
def test_a_damaged_table_hands_on_its_generation_and_its_connections_are_judged_again(
    rig: Rig, tmp_path: Path, damage: str
) -> None:
    rig.begin()
    marked(2 << 28)
    rig.pool.stop()
    subprocess.run(["nft", damage], check=True)
    (tmp_path / "next").mkdir()
    successor = Rig(tmp_path / "next")

    enforcer = successor.begin()

    assert enforcer.ruleset is not None
    assert enforcer.ruleset.generation == 2
    assert marks() == [0]
    successor.close()


def test_a_first_table_that_is_refused_leaves_neither_table_nor_worker(rig: Rig, refusing: Path) -> None:
    refusing.touch()

    with pytest.raises(NotEnforcedError):
        rig.begin()

    assert rig.pool.pids() == {}
    assert rig.table.read_back() is None


def test_an_adopted_table_that_cannot_be_changed_still_gets_workers(
    rig: Rig, refusing: Path, tmp_path: Path
) -> None:
    rig.begin()
    rig.pool.stop()
    (tmp_path / "next").mkdir()
    successor = Rig(tmp_path / "next")
    refusing.touch()

    enforcer = successor.begin()

    assert "refuses" in enforcer.table_trouble
    assert successor.pool.up() == {10: True}
    refusing.unlink()
    enforcer.reinstall()
    assert enforcer.table_trouble == ""
    assert enforcer.table_present()
    successor.close()


def test_a_table_that_is_gone_is_put_back_under_the_same_generation(rig: Rig) -> None:
    enforcer = rig.begin()
    rig.table.remove()
    assert not enforcer.table_present()

    enforcer.reinstall()

    assert enforcer.table_present()


def test_a_table_that_cannot_be_put_back_is_trouble_until_it_can(rig: Rig, refusing: Path) -> None:
    enforcer = rig.begin()
    rig.table.remove()
    refusing.touch()

    enforcer.reinstall()

    assert "refuses" in enforcer.table_trouble


def test_a_ruleset_that_decides_alike_is_taken_over_without_a_new_generation(rig: Rig) -> None:
    enforcer = rig.begin()

    enforcer.describe(ruleset(80))

    assert enforcer.ruleset is not None
    assert enforcer.ruleset.generation == 1
