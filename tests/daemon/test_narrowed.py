from __future__ import annotations

import json
import subprocess
import sys

import pytest

from nfq_guard.daemon import privileges
from nfq_guard.daemon.narrowed import CAP_DAC_READ_SEARCH, NICE

TELL = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps([os.getpriority(os.PRIO_PROCESS, 0), status["CapEff"], status["CapBnd"], status["NoNewPrivs"]]))
"""


def test_a_program_is_run_with_less() -> None:
    if not privileges.has(privileges.CAP_SETPCAP):
        pytest.skip("not root: there is nothing to give up")
    command = (sys.executable, "-m", "nfq_guard.daemon.narrowed", sys.executable, "-c", TELL)

    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    nice, effective, bounding, locked = json.loads(done.stdout)
    assert nice == NICE
    assert int(effective, 16) == int(bounding, 16) == 1 << CAP_DAC_READ_SEARCH
    assert int(locked) == 1
