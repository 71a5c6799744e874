from __future__ import annotations

import errno

from nfq_guard.cli.control import unreachable


def test_it_says_who_may_ask_and_that_the_kernel_may_go_on() -> None:
    refused = unreachable("/run/control.sock", PermissionError(errno.EACCES, "Permission denied"))
    absent = unreachable("/run/control.sock", FileNotFoundError(errno.ENOENT, "No such file or directory"))

    assert refused == "nfq-guard cannot be asked at /run/control.sock: Permission denied; root is needed"
    assert absent.startswith("no nfq-guard answers at /run/control.sock: No such file or directory; ")
    assert "`nft list table inet nfq_guard`" in absent
    assert unreachable("x", TimeoutError("timed out")).startswith("no nfq-guard answers at x: timed out; ")
