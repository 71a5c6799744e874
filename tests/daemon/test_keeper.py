from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from guarded import documents, endpoint, policy, tcp
from netns import Namespace

from nfq_guard.adapters.watch import FileWatch
from nfq_guard.daemon.guard import Guard
from nfq_guard.daemon.keeper import Keeper
from nfq_guard.daemon.logs import Log
from nfq_guard.daemon.settings import Settings
from nfq_guard.daemon.whole import WholeFiles
from nfq_guard.model.host import HostFacts, Interface
from nfq_guard.resources.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.netns

ETH0 = {"eth0": Interface("eth0", ("10.0.0.1",), 2)}
FACTS = HostFacts("guarded", ETH0)
BASIC = documents(endpoint(), policy(tcp(80)))
BROKEN = "kind: Nonsense\n"


class Kept:
    """A keeper over a real guard in a namespace."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.log_fd = os.open(base / "log", os.O_CREAT | os.O_WRONLY)
        self.rules = base / "rules"
        self.rules.mkdir()
        self.retries = 0
        settings = Settings(
            rules=(str(self.rules),), state=str(base / "state"), control=str(base / "c"), metrics="off"
        )
        self.guard = Guard(settings, Log(fd=self.log_fd))
        self.watch = FileWatch([str(self.rules)])
        files = WholeFiles(self.guard.compiler.read, self.watch, lambda _: None)
        self.keeper = Keeper(self.guard, files, self.retry)

    def retry(self) -> None:
        self.retries += 1

    def write(self, text: str) -> None:
        (self.rules / "a.yaml").write_text(text)

    @property
    def log(self) -> str:
        return (self.base / "log").read_text()

    @property
    def generation(self) -> int:
        return self.guard.telemetry.generation

    @property
    def errors(self) -> int:
        return len(self.guard.telemetry.load_errors)

    def close(self) -> None:
        self.watch.close()
        self.guard.stop()
        self.guard.close()
        os.close(self.log_fd)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    with Namespace() as space, space.entered():
        made = Kept(tmp_path)
        yield made
        made.close()


def test_valid_files_come_into_force_and_are_kept_as_the_last_good_ones(kept: Kept) -> None:
    kept.write(BASIC)

    assert kept.keeper.begin(FACTS)

    assert kept.generation == 1
    assert kept.guard.telemetry.loaded_at > 0
    assert [source.data for source in kept.guard.load_snapshot() or ()] == [BASIC.encode()]


def test_neither_good_files_nor_good_memories_is_no_start(kept: Kept) -> None:
    kept.write(BROKEN)
    assert not kept.keeper.begin(FACTS)
    assert "no last good policy is kept" in kept.log

    (kept.base / "state" / "last-good.json").write_text(
        '{"version": 1, "files": [{"name": "a.yaml", "data": "a2luZDogTm9uc2Vuc2UK"}]}'
    )

    assert not kept.keeper.begin(FACTS)
    assert "the last good policy are invalid" in kept.log


def test_a_refused_change_is_remembered_until_a_good_one_even_if_that_is_the_old_one(kept: Kept) -> None:
    kept.write(BASIC)
    kept.keeper.begin(FACTS)

    kept.write(documents(policy("{action: Log}"), BROKEN))
    kept.keeper.reload(FACTS)
    assert "log-only" in kept.log
    assert kept.errors == 1, "a warning refuses nothing"
    kept.keeper.recompile(FACTS)
    assert kept.errors == 1
    kept.write(BASIC)
    kept.keeper.reload(FACTS)

    assert kept.errors == 0
    assert kept.generation == 1
    assert kept.retries == 0


def test_files_that_were_tried_already_are_not_tried_again_unless_asked(kept: Kept) -> None:
    kept.write(BASIC)
    kept.keeper.begin(FACTS)
    kept.write(BROKEN)

    for _ in range(3):
        kept.keeper.reload(FACTS)
    assert kept.log.count("change refused") == 1

    kept.keeper.reload(FACTS, forced=True)
    assert kept.log.count("change refused") == 2


def test_a_change_of_the_host_uses_the_files_in_force_not_those_that_were_refused(kept: Kept) -> None:
    by_address = endpoint(name="wan").replace("interfaceName: eth0", "expectedIPs: [10.0.0.3]")
    kept.write(documents(BASIC, by_address))
    kept.keeper.begin(FACTS)
    kept.write(BROKEN)
    kept.keeper.reload(FACTS)

    kept.keeper.recompile(HostFacts("guarded", ETH0 | {"wan0": Interface("wan0", ("10.0.0.3",), 3)}))

    assert kept.generation == 2
    ruleset = kept.guard.enforcer.ruleset
    assert ruleset is not None
    assert set(ruleset.governed) == {"eth0", "wan0"}


def test_a_change_of_the_host_that_matters_to_nothing_installs_nothing(kept: Kept) -> None:
    kept.write(BASIC)
    kept.keeper.begin(FACTS)
    said = kept.log.count("policy in force")

    kept.keeper.recompile(HostFacts("guarded", ETH0 | {"other0": Interface("other0", (), 3)}))

    assert kept.generation == 1
    assert kept.log.count("policy in force") == said


def test_an_interface_whose_name_cannot_be_written_refuses_the_change(kept: Kept) -> None:
    kept.write(
        documents(endpoint().replace("interfaceName: eth0", "expectedIPs: [10.0.0.1]"), policy(tcp(80)))
    )
    kept.keeper.begin(FACTS)

    kept.keeper.recompile(HostFacts("guarded", {'e"0': Interface('e"0', ("10.0.0.1",), 2)}))

    assert kept.generation == 1
    assert "interface-name" in kept.log
    assert kept.guard.telemetry.load_errors


def reasons(kept: Kept) -> list[str]:
    """Return what was said about endpoints that govern nothing."""
    lines = [line for line in kept.log.splitlines() if "code=governs-nothing" in line]
    return [line.partition("governs nothing: ")[2].partition('"')[0] for line in lines]


def test_an_endpoint_that_a_change_of_policy_leaves_without_interface_is_said_once(kept: Kept) -> None:
    kept.write(BASIC)
    kept.keeper.begin(FACTS)
    assert reasons(kept) == []

    kept.write(BASIC.replace("eth0", "eth9"))
    kept.keeper.reload(FACTS)
    kept.keeper.reload(FACTS, forced=True)
    kept.write("# a remark" + BASIC.replace("eth0", "eth9"))
    kept.keeper.reload(FACTS)

    assert reasons(kept) == ["no interface eth9 yet"]
    assert kept.log.count("warning interfaces no longer guarded interfaces=eth0") == 1

    kept.write(BASIC)
    kept.keeper.reload(FACTS)
    kept.write(BASIC.replace("eth0", "cali1234"))
    kept.keeper.reload(FACTS)

    assert reasons(kept)[1:] == ["cali1234 is a workload's interface: interfacePrefix cali"]


def test_an_endpoint_that_a_change_of_the_host_leaves_without_interface_is_said_each_time(kept: Kept) -> None:
    kept.write(
        documents(endpoint().replace("interfaceName: eth0", "expectedIPs: [10.0.0.1]"), policy(tcp(80)))
    )
    kept.keeper.begin(FACTS)
    without = HostFacts("guarded", {"eth0": Interface("eth0", (), 2)})

    for facts in (without, without, FACTS, without):
        kept.keeper.recompile(facts)

    assert reasons(kept) == ["no interface has 10.0.0.1"] * 2
    assert kept.log.count("interfaces no longer guarded") == 2


def test_an_interface_that_is_named_and_not_there_at_the_start_is_said_once(kept: Kept) -> None:
    kept.write(BASIC)
    kept.keeper.begin(HostFacts("guarded", {}))
    kept.keeper.recompile(HostFacts("guarded", {"lo": Interface("lo", (), 1)}))
    kept.keeper.recompile(FACTS)

    assert reasons(kept) == ["no interface eth0 yet"]
    assert "no longer guarded" not in kept.log


def test_an_endpoint_that_is_taken_away_leaves_interfaces_that_are_named(kept: Kept) -> None:
    kept.write(documents(BASIC, endpoint("eth1", name="other")))
    both = HostFacts("guarded", ETH0 | {"eth1": Interface("eth1", (), 3)})
    kept.keeper.begin(both)

    kept.write(documents(BASIC, endpoint("eth1", name="other").replace("node: guarded", "node: gaurded")))
    kept.keeper.reload(both)

    assert "warning interfaces no longer guarded interfaces=eth1" in kept.log


@pytest.mark.parametrize("stage", ["decode", "compile"])
def test_rules_that_hit_a_bug_at_the_start_give_way_to_the_last_good_policy(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    kept.write(BASIC)
    kept.guard.save_snapshot(kept.guard.compiler.read()[0])
    kept.write(documents(endpoint(), policy(tcp(81))))
    sound = getattr(kept.guard.compiler, stage)
    calls = []

    def broken(*arguments: object) -> object:
        calls.append(stage)
        if len(calls) == 1:
            raise RecursionError("too deep")
        return sound(*arguments)

    monkeypatch.setattr(kept.guard.compiler, stage, broken)

    assert kept.keeper.begin(FACTS)

    assert "the rules hit a bug of nfq-guard" in kept.log
    assert "starting with the last good policy" in kept.log
    assert kept.guard.telemetry.load_errors == ("internal error: RecursionError: too deep",)
    assert kept.generation == 1


def test_without_a_last_good_policy_a_bug_at_the_start_is_no_start(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RecursionError("too deep")

    kept.write(BASIC)
    monkeypatch.setattr(kept.guard.compiler, "decode", broken)

    assert not kept.keeper.begin(FACTS)


def test_a_bug_on_the_way_is_said_and_changes_nothing(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.write(BASIC)
    kept.keeper.begin(FACTS)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(kept.guard.compiler, "compile", broken)
    kept.write(documents(endpoint(), policy(tcp(81))))
    kept.keeper.reload(FACTS)

    assert kept.guard.telemetry.load_errors == ("internal error: ZeroDivisionError: a bug",)
    assert kept.generation == 1


EMPTY = ["", "\n", " \r\n\n", "\ufeff\n"]


@pytest.mark.parametrize("text", EMPTY, ids=repr)
def test_a_file_that_was_emptied_is_refused_and_the_last_good_one_kept(kept: Kept, text: str) -> None:
    kept.write(BASIC)
    kept.keeper.begin(FACTS)

    kept.write(text)
    for forced in (False, True):
        kept.keeper.reload(FACTS, forced=forced)

        (error,) = kept.guard.telemetry.load_errors
        assert "a.yaml: error: the file is empty and had content" in error
        assert "[emptied-file]" in error
    kept.keeper.recompile(FACTS)

    assert kept.errors == 1
    assert kept.guard.telemetry.ready().text != "ok"
    assert kept.generation == 1
    assert [source.data for source in kept.guard.load_snapshot() or ()] == [BASIC.encode()]
    kept.write(BASIC)
    kept.keeper.reload(FACTS)
    assert kept.errors == 0


def test_a_start_with_a_file_that_was_emptied_goes_by_the_last_good_policy(kept: Kept) -> None:
    kept.write(BASIC)
    assert kept.guard.state is not None
    kept.guard.state.save_snapshot([Source(str(kept.rules / "a.yaml"), BASIC.encode())])
    kept.write("")

    assert kept.keeper.begin(FACTS)

    assert kept.errors == 1
    assert "emptied-file" in kept.log
    ruleset = kept.guard.enforcer.ruleset
    assert ruleset is not None
    assert set(ruleset.governed) == {"eth0"}
    kept.keeper.reload(FACTS, forced=True)
    assert kept.errors == 1
    assert [source.data for source in kept.guard.load_snapshot() or ()] == [BASIC.encode()]


@pytest.mark.parametrize("text", ["# nothing, and meant\n", "---\n"])
def test_a_file_may_be_left_with_nothing_but_comments(kept: Kept, text: str) -> None:
    kept.write(BASIC)
    (kept.rules / "b.yaml").write_text(policy(tcp(81), name="b"))
    kept.keeper.begin(FACTS)

    (kept.rules / "b.yaml").write_text(text)
    kept.keeper.reload(FACTS)

    assert (kept.errors, kept.generation) == (0, 2)
    (kept.rules / "b.yaml").write_text("")
    kept.keeper.reload(FACTS)
    assert kept.errors == 1


def test_a_file_may_go_and_one_that_never_said_anything_may_be_empty(kept: Kept) -> None:
    kept.write(BASIC)
    (kept.rules / "b.yaml").write_text(policy(tcp(81), name="b"))
    (kept.rules / "c.yaml").write_text("")
    kept.keeper.begin(FACTS)
    assert kept.errors == 0

    (kept.rules / "b.yaml").unlink()
    kept.keeper.reload(FACTS)
    assert (kept.errors, kept.generation) == (0, 2)
    (kept.rules / "b.yaml").write_text("")
    kept.keeper.reload(FACTS)

    assert kept.errors == 0


def test_a_file_that_is_being_written_is_not_read_and_the_last_good_one_kept(kept: Kept) -> None:
    kept.write(BASIC)
    kept.keeper.begin(FACTS)

    with (kept.rules / "a.yaml").open("w") as half:
        for forced in (False, True, False):
            kept.keeper.reload(FACTS, forced=forced)

            (error,) = kept.guard.telemetry.load_errors
            assert "a.yaml: error: the file is being written" in error
            assert "[unfinished-file]" in error
        half.write(BASIC)

    assert kept.log.count("change not read yet") == 1
    assert kept.guard.telemetry.ready().text != "ok"
    assert [source.data for source in kept.guard.load_snapshot() or ()] == [BASIC.encode()]
    kept.keeper.reload(FACTS)
    assert (kept.errors, kept.generation) == (0, 1)


def test_a_start_while_a_file_is_being_written_goes_by_the_last_good_policy(kept: Kept) -> None:
    kept.write(BASIC)
    assert kept.guard.state is not None
    with (kept.rules / "a.yaml").open("w") as half:
        half.write("# not yet")
        half.flush()
        assert not kept.keeper.begin(FACTS)
        assert "unfinished-file" in kept.log
        kept.guard.state.save_snapshot([Source(str(kept.rules / "a.yaml"), BASIC.encode())])

        assert kept.keeper.begin(FACTS)

        assert (kept.errors, kept.generation) == (1, 1)
        half.write("\n" + BASIC)
    kept.keeper.reload(FACTS)
    assert (kept.errors, kept.generation) == (0, 1)
