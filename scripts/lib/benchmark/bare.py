"""The least that a NetfilterQueue program can do: mark, accept. What any Python firewall costs before it decides."""

import os
import sys

from netfilterqueue import COPY_PACKET, NetfilterQueue, Packet

MARK = 0x1000


def answer(packet: Packet) -> None:
    """Let a packet go on, with the mark that the chain behind the queue asks for."""
    packet.set_mark(MARK)
    packet.accept()


queue = NetfilterQueue()
queue.bind(int(sys.argv[1]), answer, max_len=4096, mode=COPY_PACKET, range=256, sock_len=832 * 4096)
os.write(1, b"ready\n")
queue.run()
