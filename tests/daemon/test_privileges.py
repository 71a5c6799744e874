from __future__ import annotations

import os
from pathlib import Path

import pytest

from nfq_guard.daemon.privileges import CAP_NET_ADMIN, CAP_SETPCAP, has, reduce_to


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to have something to give up")
def test_only_what_is_kept_is_left_and_nothing_gives_it_back() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        reduce_to(CAP_NET_ADMIN)
        assert has(CAP_NET_ADMIN)
        assert not has(CAP_SETPCAP)
        os.write(writing, Path("/proc/self/status").read_bytes())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        status = dict(line.split(":\t", 1) for line in stream.read().splitlines() if ":\t" in line)

    kept = 1 << CAP_NET_ADMIN
    assert int(status["CapEff"], 16) == kept
    assert int(status["CapPrm"], 16) == kept
    assert int(status["CapInh"], 16) == 0
    assert int(status["CapBnd"], 16) & ~kept == 0
    assert status["NoNewPrivs"] == "1"
