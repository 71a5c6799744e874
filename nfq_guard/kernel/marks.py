"""Bits in packet and connection marks, and the generations they carry.

Owns how many generations a mask holds, how they follow each other, what a connection's
mark says of its generation, and what the two bits of the packet mark say. Must never
touch bits outside its masks: other programs live there (kube-proxy 0xc000, Calico
0xffff0000, Tailscale 0x00ff0000, wg-quick a port).
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

WORD = 0xFFFFFFFF
"""Marks are 32 bits wide."""

NEVER_JUDGED = 0
"""The generation of a connection that no policy has allowed yet."""

MIN_CONNECTION_BITS = 4
"""Fewer hold less than three generations: none would be left between the one in force and the
one that comes round again."""

PACKET_BITS = 2
"""Bits of the packet mark that carry a code."""


class Code(IntEnum):
    """What our two bits of a packet's mark say. Who reads it depends on the hook (kernel/gates.py)."""

    NONE = 0
    """Nothing: asked, if at all, at the last stage of its hook."""
    ALLOWED = 1
    """The worker allowed this packet a moment ago; the base chain is run once more for it."""
    EARLY = 2
    """On its way to the worker: asked at an earlier stage of its hook than NONE says. On its
    way back: to be rejected."""
    SPARED = 3
    """Allowed by untracked or pre-DNAT policy: later stages of the same way need not ask. On
    its way from hook to hook only on untracked packets. What has a connection has it in
    `ct mark` (Stamp): another table can save the mark of a packet there whole, and
    restore it when policy has long changed."""


class Stamp(IntEnum):
    """What a connection's mark says that a generation's policy has made of it."""

    ALLOWED = 0
    """Judged by every stage of its way, and allowed."""
    PASSED = 1
    """Judged ahead of NAT, and left to later stages."""
    SPARED = 2
    """Allowed ahead of NAT."""


REFUSED = Code.EARLY
"""The same bits on a packet's way back from the worker: reject it."""


class PacketMark(NamedTuple):
    """Our bits in the packet mark. They live between our hooks and never leave the host stack."""

    mask: int

    def value(self, code: Code) -> int:
        """Return the mark's bits for a code."""
        low = self.mask & -self.mask
        rest = self.mask & ~low
        return (low if code & 1 else 0) | (rest & -rest if code & 2 else 0)

    @property
    def codes(self) -> int:
        """The two bits that carry the code: the mask's lowest."""
        return self.value(Code.SPARED)

    @property
    def allowed(self) -> int:
        """The bit of ALLOWED."""
        return self.value(Code.ALLOWED)

    @property
    def others(self) -> int:
        """The bits that are not ours."""
        return WORD & ~self.mask


class ConnectionMark(NamedTuple):
    """Our bits in the connection mark: a generation, and what its policy has made of the connection.

    The mask's bits are one number. 0: never judged. 1 up to `last_generation`: that generation
    allowed it. Behind those come the numbers of the next Stamp, and of the one after it.
    """

    mask: int

    @property
    def others(self) -> int:
        """The bits that are not ours."""
        return WORD & ~self.mask

    @property
    def last_generation(self) -> int:
        """The highest generation the mask holds; the lowest is 1."""
        return self.mask // self._unit // len(Stamp)

    @property
    def _unit(self) -> int:
        return self.mask & -self.mask

    def value(self, generation: int, stamp: Stamp = Stamp.ALLOWED) -> int:
        """Return the mark's bits for a generation; ValueError if the mask cannot hold it."""
        if not NEVER_JUDGED < generation <= self.last_generation:
            raise ValueError(f"generation must be 1-{self.last_generation}, got {generation}")
        return (generation + stamp * self.last_generation) * self._unit

    def following(self, generation: int) -> int:
        """Return the generation after this one; after the last comes 1."""
        return generation % self.last_generation + 1

    def starts_over(self, generation: int) -> bool:
        """Return whether every connection's bits must be cleared before this generation.

        True twice in a round, for 1 and for the middle one: a number comes round again
        only after both, so an idle connection cannot carry it from the round before,
        not even one that was stamped while the first clearing ran.
        """
        return generation in (1, self.last_generation // 2 + 1)


def check_packet_mask(mask: int) -> int:
    """Return the mask; ValueError unless it is 2-32 bits of a 32-bit word."""
    if not 0 < mask <= WORD or mask.bit_count() < PACKET_BITS:
        raise ValueError(f"packet mark mask must have 2-32 bits of 0xffffffff, got {mask:#x}")
    return mask


def check_connection_mask(mask: int) -> int:
    """Return the mask; ValueError unless it is at least four neighboring bits of a 32-bit word."""
    if not 0 < mask <= WORD:
        raise ValueError(f"connection mark mask must be between 0xf and 0xffffffff, got {mask:#x}")
    run = mask // (mask & -mask)
    if run & (run + 1) or run.bit_length() < MIN_CONNECTION_BITS:
        raise ValueError(
            f"connection mark mask must be {MIN_CONNECTION_BITS} or more bits side by side, got {mask:#x}"
        )
    return mask
