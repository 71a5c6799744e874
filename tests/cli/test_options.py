from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import click
import pytest

from nfq_guard.cli.options import compile_paths, host_facts, load_inventory
from nfq_guard.daemon.settings import Settings
from nfq_guard.model.problem import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

ENDPOINT = """apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: all}
spec: {node: HERE, interfaceName: "*"}
"""


def test_facts_that_are_given_are_used() -> None:
    facts = host_facts(("facts.json", '{"node": "a", "interfaces": {"eth0": ["10.0.0.1"]}}'), "not-asked")

    assert (facts.node, set(facts.interfaces)) == ("a", {"eth0"})


def test_without_facts_this_machine_is_read() -> None:
    facts = host_facts(None)

    assert facts.node == socket.gethostname().lower()
    assert "lo" in facts.interfaces


def test_this_machine_may_have_another_name_as_a_node() -> None:
    assert host_facts(None, "worker-1").node == "worker-1"


def test_bad_facts_name_their_file() -> None:
    with pytest.raises(click.UsageError) as refused:
        host_facts(("facts.json", "{}"))

    assert str(refused.value).startswith("facts.json: ")


def test_problems_of_all_paths_come_at_once(tmp_path: Path) -> None:
    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).write_text("kind: Nonsense\n", encoding="utf-8")

    with pytest.raises(ConfigError) as refused:
        load_inventory((str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml")))

    files = {problem.position.file for problem in refused.value.problems}
    assert files == {str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml")}


def test_rules_are_compiled_for_the_given_host(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ENDPOINT.replace("HERE", "there"), encoding="utf-8")
    facts = ("facts.json", json.dumps({"node": "there", "interfaces": {}}))

    assert compile_paths((str(tmp_path),), facts, Settings()).ruleset.wildcard is not None
