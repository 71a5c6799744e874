"""Command line of the benchmark: see scripts/bench."""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import leftovers

from benchmark.flood import flood, warm
from benchmark.generators import Generators
from benchmark.policies import PolicySet
from benchmark.spaces import Bed
from benchmark.variants import BY_NAME


def main() -> int:
    """Measure flood rates."""
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--policies", default="1,10,100")
    parser.add_argument("--variants", default="none,two-rule,bare,cold,table,learned,chains")
    parser.add_argument("--flows", type=int, default=200_000)
    parser.add_argument("--match", default="spread", choices=("spread", "last"))
    parser.add_argument("--json")
    chosen = parser.parse_args()
    for told in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(told, lambda number, _: sys.exit(128 + number))
    work = Path(tempfile.mkdtemp(prefix="nfq-guard-bench-"))
    bed = Bed(work)
    bed.remember()
    results: dict[tuple[int, str], list[dict[str, Any]]] = {}
    names = chosen.variants.split(",")
    try:
        bed.build()
        generators = Generators(bed)
        for number in range(chosen.rounds):
            for count in map(int, chosen.policies.split(",")):
                policies = PolicySet(count, chosen.match)
                generators.aim(policies.clients)
                turn = number % len(names)
                for name in names[turn:] + names[:turn]:
                    variant = BY_NAME[name]
                    if variant.missing():
                        continue
                    bed.clear()
                    with variant.start(bed, policies) as running:
                        first = warm(bed, generators, len(policies.clients))
                        got = flood(bed, generators, running, chosen.flows, first, 60)
                    results.setdefault((count, name), []).append(got)
                    print(count, name, json.dumps(got), file=sys.stderr, flush=True)
    finally:
        leftovers.remove(work)
    for (count, name), rows in sorted(results.items()):
        rates = [row["rate"] for row in rows]
        lost = sum(row["lost"] for row in rows)
        print(
            f"{count:6} {name:10} median {statistics.median(rates):10.0f}/s  {min(rates):10.0f}-{max(rates):.0f} lost {lost}"
        )
    if chosen.json:
        Path(chosen.json).write_text(
            json.dumps(
                [{"policies": c, "variant": n, "rounds": r} for (c, n), r in results.items()], indent=1
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
