"""`python -m nfq_guard.daemon.narrowed PROGRAM ARGUMENT...`: runs a program with less.

Owns what a helper of the controller gives up before it begins: its turn at the processor,
and every capability but the one by which the controller itself reads the rule files. Must
never be used for a worker, which needs its own.
"""

from __future__ import annotations

import os
import sys

from nfq_guard.daemon import privileges

CAP_DAC_READ_SEARCH = 2
NICE = 10


def narrow() -> None:
    """Give up what is not needed to read files and the host's interfaces."""
    os.nice(NICE)
    # Rule files that only the all-mighty may read stay readable, where the controller is one.
    readable = privileges.has(CAP_DAC_READ_SEARCH)
    privileges.reduce_to(*((CAP_DAC_READ_SEARCH,) if readable else ()))


if __name__ == "__main__":
    narrow()
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - the controller's own list of arguments
