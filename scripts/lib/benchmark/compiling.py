"""How long it takes to load and to compile a policy, in an interpreter of its own: `python -m benchmark.compiling N SETS`.

Prints one JSON object, times in seconds. `load` is files to resources, `compile` is resources to a Ruleset.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmark.guard import lay_rules
from benchmark.policies import GUARDED, NODE, PolicySet
from nfq_guard.adapters.files import read_sources
from nfq_guard.compile import compile_ruleset
from nfq_guard.model.host import HostFacts, Interface
from nfq_guard.resources import load


def measure(policies: PolicySet) -> dict[str, float]:
    """Return the times; RuntimeError if there is anything wrong with the policy."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "rules"
        lay_rules(folder, policies)
        began = time.perf_counter()
        sources, unreadable = read_sources([folder])
        inventory, problems = load(sources)
        loaded = time.perf_counter()
    if unreadable or problems:
        raise RuntimeError(f"the policy does not load: {[*unreadable, *problems][:3]}")
    facts = HostFacts(NODE, {"eth0": Interface("eth0", (GUARDED,), 1)})
    compiling = time.perf_counter()
    compile_ruleset(inventory, facts)
    return {"load": loaded - began, "compile": time.perf_counter() - compiling}


if __name__ == "__main__":
    gc.disable()  # as `nfq-guard run` does until it serves
    print(json.dumps(measure(PolicySet(int(sys.argv[1]), sets=int(sys.argv[2])))))
