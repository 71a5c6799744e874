"""The profile of the packet path runs, over packets that the policy allows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from benchmark import steps
from benchmark.policies import PolicySet

from nfq_guard.model.decision import Verdict
from nfq_guard.model.flow import Packet, Side, Stage
from nfq_guard.packet import parse

ROOT = Path(__file__).resolve().parents[2]


def test_the_packets_are_flows_that_some_policy_allows() -> None:
    wanted = PolicySet(20)
    chain = steps.ruleset(wanted).governed["eth0"].chains[Stage.NORMAL, Side.INGRESS]

    packets = [parse(message, steps.AHEAD, len(message)) for message in steps.messages(wanted, 1000)]

    assert len(set(packets)) == 1000
    for packet in packets:
        assert isinstance(packet, Packet)
        decision = chain.classify(packet).decision
        assert decision is not None
        assert decision.verdict is Verdict.ALLOW


def test_every_step_is_measured_at_every_count() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmark.steps"),
            *("--policies", "1,20", "--packets", "500", "--rounds", "2"),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts" / "lib"), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=True,
    )

    for name in steps.STEPS:
        found = re.search(rf"^ ?{name} +(\d+) +(\d+) ", done.stdout, re.MULTILINE)
        assert found, done.stdout
        assert all(int(number) > 0 for number in found.groups())
