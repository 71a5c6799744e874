from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from guarded import documents, endpoint, policy, tcp

from nfq_guard.daemon.policy import Compiler, same_policy
from nfq_guard.engine.ruleset import Options
from nfq_guard.model.host import HostFacts, Interface
from nfq_guard.model.problem import ConfigError
from nfq_guard.resources.source import Source

if TYPE_CHECKING:
    from pathlib import Path

    from nfq_guard.engine.ruleset import Ruleset

FACTS = HostFacts("guarded", {"eth0": Interface("eth0", ("10.0.0.1",), 2)})


def compiled(text: str, facts: HostFacts = FACTS) -> Ruleset:
    compiler = Compiler(("unused",), Options())
    return compiler.compile(compiler.decode([Source("a.yaml", text.encode())]), facts).ruleset


BASIC = documents(endpoint(), policy(tcp(80)))

LOGGING = documents(endpoint(), policy("{action: Log}", tcp(80)))
FELIX = "apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata: {name: default}\nspec: {%s}"

ALIKE = {
    "the interface not there yet": compiled(BASIC, HostFacts("guarded", {})),
    "lines that moved": compiled("# a remark\n\n" + BASIC),
    "another generation": replace(compiled(BASIC), generation=7),
    "an interface that went down": compiled(
        BASIC, HostFacts("guarded", {"eth0": Interface("eth0", ("10.0.0.1",), 2, up=False)})
    ),
    "an address that no rule asks for": compiled(
        BASIC, HostFacts("guarded", {"eth0": Interface("eth0", ("10.0.0.2",), 2)})
    ),
}
STAGED = policy(tcp(81)).replace("GlobalNetworkPolicy", "StagedGlobalNetworkPolicy")
DIFFERENT = {
    "a policy that is tried out": compiled(documents(BASIC, STAGED)),
    "another port": compiled(documents(endpoint(), policy(tcp(81)))),
    "another action": compiled(documents(endpoint(), policy(tcp(80, action="Deny")))),
    "another name of the policy": compiled(documents(endpoint(), policy(tcp(80), name="x"))),
    "every interface": compiled(documents(endpoint('"*"'), policy(tcp(80)))),
}


@pytest.mark.parametrize("setting", ["logPrefix: mine", "logActionRateLimit: 1/day"])
def test_how_log_rules_write_makes_a_policy_new(setting: str) -> None:
    changed = compiled(documents(LOGGING, FELIX % setting))

    assert not same_policy(compiled(LOGGING), changed)
    assert same_policy(compiled(documents(LOGGING, FELIX % setting)), changed)


def test_workloads_make_a_policy_new_only_if_they_change() -> None:
    workload = """
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: guarded-k8s-w-eth0, namespace: shop}
spec: {node: guarded, orchestrator: k8s, pod: w, endpoint: eth0, interfaceName: %s, ipNetworks: [10.1.0.1/32]}
"""
    one, other = (documents(BASIC, workload % name) for name in ("cali1", "cali2"))

    assert same_policy(compiled(one), compiled(one))
    assert not same_policy(compiled(one), compiled(other))
    assert not same_policy(compiled(one), compiled(BASIC))


def test_a_policy_that_is_tried_out_is_new_if_it_changes_and_not_if_its_lines_move() -> None:
    one, other = compiled(documents(BASIC, STAGED)), compiled(documents(BASIC, STAGED.replace("81", "82")))

    assert same_policy(one, compiled("# a remark\n\n" + documents(BASIC, STAGED)))
    assert not same_policy(one, other)


@pytest.mark.parametrize("other", ALIKE.values(), ids=ALIKE)
def test_no_new_policy_is(other: Ruleset) -> None:
    assert same_policy(compiled(BASIC), other)


@pytest.mark.parametrize("other", DIFFERENT.values(), ids=DIFFERENT)
def test_a_new_policy_is(other: Ruleset) -> None:
    assert not same_policy(compiled(BASIC), other)


def test_files_are_loaded_from_a_folder_with_every_problem_of_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(BASIC)
    compiler = Compiler((str(tmp_path),), Options())
    assert [source.name for source in compiler.load().sources] == [str(tmp_path / "a.yaml")]

    (tmp_path / "b.yaml").write_text("kind: Nonsense\n")
    (tmp_path / "c.yaml").write_text("{")
    with pytest.raises(ConfigError) as caught:
        Compiler((str(tmp_path), str(tmp_path / "absent")), Options()).load()

    files = {problem.position.file.rpartition("/")[2] for problem in caught.value.problems}
    assert files == {"b.yaml", "c.yaml", "absent"}


def test_files_that_did_not_change_are_read_again_only_when_they_are_to_be_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text(BASIC)
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 3600 * 10**9)
    compiler = Compiler((str(tmp_path),), Options())
    (first,), _ = compiler.read()

    (second,), _ = compiler.read()
    (third,), _ = compiler.read(anew=True)

    assert second is first
    assert third is not first
    assert third == first


def test_a_policy_that_did_not_change_is_the_same_object_after_a_reload() -> None:
    compiler = Compiler(("unused",), Options())
    texts = [BASIC, policy(tcp(81), name="other"), policy(tcp(82), name="other")]

    def names(other: str) -> dict[str, object]:
        sources = [Source("a.yaml", texts[0].encode()), Source("b.yaml", other.encode())]
        inventory = compiler.decode(sources).inventory
        return {located.name: located for located in inventory.global_network_policies}

    one, other = names(texts[1]), names(texts[2])

    assert one["traffic"] is other["traffic"]
    assert one["other"] != other["other"]


def test_the_selector_cache_outlives_a_reload() -> None:
    compiler = Compiler(("unused",), Options())
    loaded = compiler.decode([Source("a.yaml", BASIC.encode())])
    compiler.compile(loaded, FACTS)
    misses = compiler.selectors.misses

    compiler.compile(loaded, FACTS)

    assert compiler.selectors.misses == misses > 0
    assert compiler.selectors.hits > 0
