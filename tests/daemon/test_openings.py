from __future__ import annotations

import os
from typing import TYPE_CHECKING

from guarded import documents, endpoint, policy, tcp

from nfq_guard.daemon.logs import Log
from nfq_guard.daemon.openings import Openings
from nfq_guard.daemon.policy import Candidate, Compiler
from nfq_guard.engine.ruleset import Options
from nfq_guard.model.host import HostFacts, Interface
from nfq_guard.resources.source import Source

if TYPE_CHECKING:
    from pathlib import Path

FACTS = HostFacts("guarded", {name: Interface(name) for name in ("cali1", "eth0", "eth1")})


def candidate(*endpoints: str, facts: HostFacts = FACTS) -> Candidate:
    compiler = Compiler(("unused",), Options())
    text = documents(*endpoints, policy(tcp(80)))
    return compiler.compile(compiler.decode([Source("a.yaml", text.encode())]), facts)


def test_an_endpoint_that_governs_nothing_is_news_until_it_governs_something_again() -> None:
    openings = Openings(Log())
    good, bad, worse = (candidate(endpoint(name, name="wan")) for name in ("eth0", "eth8", "eth9"))

    told = [len(openings.fresh(each)) for each in (good, bad, bad, worse, good, worse)]

    assert told == [0, 1, 0, 1, 0, 1]


def test_interfaces_that_lose_their_endpoint_are_named_and_no_others(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "log", os.O_CREAT | os.O_WRONLY)
    openings = Openings(Log(fd=descriptor))

    for each in (
        candidate(endpoint()),
        candidate(endpoint(), facts=HostFacts("guarded", {})),  # gone, not open
        candidate(endpoint('"*"')),
        candidate(endpoint("eth1")),
        candidate(endpoint("eth1")),
    ):
        openings.lost(each)

    os.close(descriptor)
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert line.endswith("warning interfaces no longer guarded interfaces=eth0")
