from __future__ import annotations

import os
import selectors
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

    def __init__(self, base: Path) -> None:
        self.kernel = KernelSettings(queue=10)
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
    for port in range(100, 116):
        enforcer.change(ruleset(port))
        assert enforcer.ruleset is not None
        seen.append(enforcer.ruleset.generation)

    assert seen == [*range(2, 16), 1, 2]


def test_what_the_kernel_refuses_the_workers_forget_again(rig: Rig, refusing: Path) -> None:
    enforcer = rig.begin()
    refusing.touch()

    with pytest.raises(NotEnforcedError, match="the kernel refuses the table"):
        enforcer.change(ruleset(81))

    assert enforcer.ruleset is not None
    assert enforcer.ruleset.generation == 1
    assert rig.pool.up() == {10: True}
    assert rig.table.installed_generation() == 1


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
