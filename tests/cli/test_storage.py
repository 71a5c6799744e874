from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from commands import endpoint, tier

from nfq_guard.adapters.storefiles import RuleStore
from nfq_guard.cli.main import CommandFailedError, Exit
from nfq_guard.cli.reports import RefusedError
from nfq_guard.cli.storage import InvalidRulesError, change_rules, named_refs, rules_of
from nfq_guard.model.problem import Position, Problem, Severity
from nfq_guard.store.refs import Ref, ref_of

if TYPE_CHECKING:
    from commands import Rules

    from nfq_guard.store.draft import Draft

REF = ref_of("Tier", "a")
DATA = {"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": {"name": "a"}, "spec": {"order": 7}}


def put(draft: Draft) -> None:
    draft.put(REF, DATA)


def test_a_change_is_written(rules: Rules) -> None:
    rules.put("a.yaml", tier("a"))
    change_rules(["rules"], put, [REF])

    assert rules.files() == {"a.yaml": tier("a", 7)}


def test_rules_in_one_file_take_new_ones_at_its_end(rules: Rules) -> None:
    rules.put("all.yaml", tier("b"))
    change_rules(["./rules/all.yaml"], put, [REF])

    assert rules.files() == {"all.yaml": tier("b") + "---\n" + tier("a", 7)}


def test_no_change_needs_no_valid_rules(rules: Rules) -> None:
    rules.put("bad.yaml", "a: [")
    change_rules(["rules"], lambda _draft: None, [])


def test_every_problem_of_the_whole_refuses_a_change(rules: Rules) -> None:
    rules.put("x.yaml", endpoint("eth0", node="''"))
    rules.put("y.yaml", "a: [")

    with pytest.raises(InvalidRulesError) as refused:
        change_rules(["rules"], put, [REF])
    assert {problem.position.file for problem in refused.value.problems} == {"rules/x.yaml", "rules/y.yaml"}
    assert rules.files().keys() == {"x.yaml", "y.yaml"}


def test_errors_that_were_there_before_are_not_blamed_on_the_change(rules: Rules) -> None:
    rules.put("x.yaml", endpoint("eth0", node="''"))

    with pytest.raises(
        InvalidRulesError, match=r"(?s)^\[rules/x.yaml:.*\nthis was wrong in the rules before"
    ):
        change_rules(["rules"], put, [REF])


def test_an_error_of_the_change_is_told_with_the_file_as_it_would_be(rules: Rules) -> None:
    rules.put("a.yaml", tier("a"))
    rules.put("x.yaml", endpoint("eth0", node="''"))

    def spoil(draft: Draft) -> None:
        draft.put(REF, {**DATA, "spec": {"order": "x"}})

    with pytest.raises(InvalidRulesError) as refused:
        change_rules(["rules"], spoil, [REF])
    assert str(refused.value).endswith(
        "\nlines are those of rules/a.yaml as it would be with the change; nothing was changed"
    )
    assert [problem.position.file for problem in refused.value.problems] == ["rules/a.yaml", "rules/x.yaml"]


def test_warnings_that_a_change_brings_to_others_are_told(
    rules: Rules, capsys: pytest.CaptureFixture[str]
) -> None:
    rules.put("every.yaml", endpoint("eth0").replace("interfaceName: eth0", "interfaceName: '*'"))
    rules.put(
        "old.yaml", endpoint("eth1").replace("  interfaceName", "  profiles: [nowhere]\n  interfaceName")
    )
    ref = ref_of("GlobalNetworkPolicy", "p")
    policy: dict[str, Any] = {**DATA, "kind": ref.kind, "metadata": {"name": "p"}}
    policy["spec"] = {"doNotTrack": True, "applyOnForward": True}

    change_rules(["rules"], lambda draft: draft.put(ref, policy), [ref])

    (line,) = capsys.readouterr().err.splitlines()
    assert "HostEndpoint(eth0) spec.interfaceName: doNotTrack policy selects this endpoint" in line


def test_rules_that_are_not_there_take_no_change(rules: Rules) -> None:
    with pytest.raises(
        CommandFailedError, match=r"nowhere: No such file or directory; nothing was changed"
    ) as failed:
        change_rules(["nowhere/rules"], put, [REF])
    assert failed.value.exit_code == Exit.FAILED


def test_a_file_that_changed_since_it_was_read_is_kept(rules: Rules) -> None:
    rules.put("a.yaml", tier("a"))

    def slow(draft: Draft) -> None:
        put(draft)
        rules.put("a.yaml", tier("a", 99))

    with pytest.raises(RefusedError, match=r"^update conflict: rules/a.yaml has changed"):
        change_rules(["rules"], slow, [REF])
    assert rules.files() == {"a.yaml": tier("a", 99)}


def test_a_name_that_somebody_took_meanwhile_is_kept(rules: Rules) -> None:
    def slow(draft: Draft) -> None:
        put(draft)
        rules.put("tier-a.yaml", "# theirs\n")

    with pytest.raises(RefusedError, match=r"tier-a.yaml has appeared"):
        change_rules(["rules"], slow, [REF])
    assert rules.files() == {"tier-a.yaml": "# theirs\n"}


def test_another_command_at_the_rules_is_waited_for_and_then_named(
    rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nfq_guard.cli.storage.RuleStore", lambda paths: RuleStore(paths, patience=0))
    with RuleStore(["rules"]), pytest.raises(RefusedError, match=r"another command is changing"):
        change_rules(["rules"], put, [REF])


def test_warnings_are_about_the_resources_concerned(rules: Rules, capsys: pytest.CaptureFixture[str]) -> None:
    rules.put("x.yaml", endpoint("eth0") + "  profiles: [none]\n")
    rules.put("y.yaml", endpoint("eth1") + "  profiles: [none]\n")
    change_rules(["rules"], put, [ref_of("HostEndpoint", "eth1")])

    assert capsys.readouterr().err.splitlines() == [
        str(
            Problem(
                Position("rules/y.yaml", 11, 14),
                "missing-profile",
                "the profile none is not declared: treated as one that drops everything",
                "spec.profiles[0]",
                "HostEndpoint",
                "eth1",
                Severity.WARNING,
            )
        )
    ]


def test_the_rules_are_those_of_the_settings(rules: Rules, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NFQ_GUARD_RULES", f"a{os.pathsep}b")

    assert rules_of(None, {}) == ("a", "b")
    assert rules_of(None, {"rules": ("c",)}) == ("c",)


def test_names_on_the_command_line_are_references() -> None:
    assert named_refs("netset", ["a"], "x") == [Ref("NetworkSet", "x", "a")]
    assert named_refs("netset", ["a"], "") == [Ref("NetworkSet", "default", "a")]
    for word, names, namespace in (
        ("pods", ["a"], ""),
        ("tier", [], ""),
        ("tier", [""], ""),
        ("tier", ["a"], "x"),
    ):
        with pytest.raises(RefusedError):
            named_refs(word, names, namespace)
