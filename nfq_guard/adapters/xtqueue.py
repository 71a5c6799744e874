"""The rule that queues, for kernels without nft's `queue` statement.

Owns the xtables target NFQUEUE inside an nft rule (linux/netfilter/xt_NFQUEUE.h), which
`nft` can neither load nor print. Must never touch a chain other than the one named.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.nftables.main import NFTables

from nfq_guard.adapters.command import KernelError, expect
from nfq_guard.kernel.plan import FailMode
from nfq_guard.kernel.render import QUEUE_CHAIN, TABLE, queue_comment

if TYPE_CHECKING:
    from nfq_guard.kernel.plan import KernelSettings

_NFPROTO_INET = 1
_REVISION = 3
_BYPASS = 1
_INFO = struct.Struct("=HHH2x")
"""struct xt_NFQ_info_v3: first queue, number of queues, flags; padded to 8 bytes."""


def put_queue_rule(settings: KernelSettings, *, table: str = TABLE, chain: str = QUEUE_CHAIN) -> None:
    """Make the rule the only one of its chain, without a moment in which the chain is empty.

    The chain must exist. KernelError if the kernel refuses.
    """
    stale = _handles(table, chain)
    _insert(settings, table, chain)
    for handle in stale:
        expect("nft", "delete", "rule", "inet", table, chain, "handle", str(handle))


def _insert(settings: KernelSettings, table: str, chain: str) -> None:
    flags = _BYPASS if settings.fail_mode is FailMode.OPEN else 0
    info = _INFO.pack(settings.queue, settings.queue_count, flags)
    target = [("NFTA_TARGET_NAME", "NFQUEUE"), ("NFTA_TARGET_REV", _REVISION), ("NFTA_TARGET_INFO", info)]
    expression = [("NFTA_EXPR_NAME", "target"), ("NFTA_EXPR_DATA", {"attrs": target})]
    remark = queue_comment(settings)
    try:
        with NFTables(nfgen_family=_NFPROTO_INET) as netlink:
            netlink.rule(
                "insert",
                table=table,
                chain=chain,
                expressions=([{"attrs": expression}],),
                userdata=remark,
            )
    except (NetlinkError, OSError) as error:
        raise KernelError(f"xt target NFQUEUE in chain {table} {chain}: {error}") from error


def _handles(table: str, chain: str) -> list[int]:
    listed: dict[str, list[dict[str, Any]]] = json.loads(
        expect("nft", "-j", "list", "chain", "inet", table, chain)
    )
    return [entry["rule"]["handle"] for entry in listed["nftables"] if "rule" in entry]
