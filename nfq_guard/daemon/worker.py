"""A verdict worker: the process that answers the kernel's questions.

Owns one queue, the current ruleset and the flow table. Does nothing else, since all
else in this process would hold up verdicts: no files, no log stream (a full pipe would
hang it), no metrics. It outlives its controller and goes on under its last ruleset.
"""

from __future__ import annotations

import gc
import select
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

from nfq_guard.adapters.command import KernelError
from nfq_guard.adapters.nfqueue import QueueReader
from nfq_guard.daemon import protocol
from nfq_guard.daemon.counters import Word, map_block
from nfq_guard.daemon.logs import Level
from nfq_guard.daemon.privileges import CAP_NET_ADMIN, reduce_to
from nfq_guard.daemon.throttle import RuleThrottles, Throttle
from nfq_guard.daemon.verdicts import Verdicts
from nfq_guard.engine.engine import Place
from nfq_guard.model.addresses import format_address
from nfq_guard.model.flow import ABSENT, PROTOCOL_NAMES, Direction
from nfq_guard.packet import Unparsable, parse

if TYPE_CHECKING:
    from nfq_guard.model.decision import RuleRef
    from nfq_guard.model.flow import Gate

_TURN_MS = 250
"""The loop turns at least so often, to show that it lives."""
_ANSWER_SECONDS = 1.0
"""What an answer may wait for room on the socket; a note does not wait."""
_LOGGED_BURST, _LOGGED_PER_SECOND = 20, 10
"""Lines of Log rules: enough to see what goes on, too few to fill a disk by knocking."""
_LOGGING_RULES = 1024
"""Log rules whose limits are remembered at a time, each family of a rule for one."""
_FAULT_BURST, _FAULTS_PER_SECOND = 1, 1 / 60
"""Lines about packets that broke the engine: one a minute."""


class Worker:
    """The process's one object."""

    def __init__(self, control: socket.socket, words: memoryview) -> None:
        """Serve this controller; count in these words."""
        self._control: socket.socket | None = control
        self._words = words
        self._setup: protocol.WorkerSetup | None = None
        self._verdicts: Verdicts | None = None
        self._reader: QueueReader | None = None
        self._names: dict[int, str] = {}
        """Of interfaces by number, as the kernel said this turn."""
        self._places: dict[tuple[int, int, int], Place] = {}
        """By identity of the gate (constants of kernel/gates.py) and interface numbers, of this turn."""
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._logged = RuleThrottles(Throttle(_LOGGED_BURST, _LOGGED_PER_SECOND), _LOGGING_RULES)
        self._faults = Throttle(_FAULT_BURST, _FAULTS_PER_SECOND)

    def run(self) -> int:
        """Serve until told to end; a controller that dies while we hold no queue ends us too."""
        while self._control is not None or self._reader is not None:
            # The beat comes before the wait: it says that the turn before was finished.
            self._words[Word.HEARTBEAT_NS] = time.monotonic_ns()
            for descriptor, _ in self._poll.poll(_TURN_MS):
                if self._reader is not None and descriptor == self._reader.fileno():
                    self._answer(self._reader)
                else:
                    self._listen()
        return 0

    def _answer(self, reader: QueueReader) -> None:
        # A rename keeps the number, and the kernel goes by the name at once: so do we, each turn anew.
        self._names.clear()
        self._places.clear()
        try:
            reader.run()
        except Exception as error:  # noqa: BLE001 - the packet loop's boundary; the packet has its verdict
            self._words[Word.ENGINE_ERRORS] += 1
            self._fault(f"{type(error).__name__}: {error}")
        if self._verdicts is not None:
            self._verdicts.publish()

    def _listen(self) -> None:
        assert self._control is not None, "only polled while there is one"  # noqa: S101
        try:
            received = protocol.receive(self._control)
            if received is not None:
                self._obey(received)
        except BlockingIOError:
            return
        except OSError:
            received = None
        except Exception as error:  # noqa: BLE001 - we have packets to judge, by what we have
            self._tell(protocol.Refused(f"message not understood: {error!r}"[:500]))
            return
        if received is None:
            self._poll.unregister(self._control)
            self._control.close()
            self._control = None

    def _obey(self, received: protocol.Received) -> None:
        message = received.message
        if isinstance(message, protocol.WorkerSetup):
            self._prepare(message)
        elif isinstance(message, protocol.Install):
            self._install(message, received)
        elif isinstance(message, protocol.Bind):
            self._bind()
        else:
            raise TypeError(f"not for a worker: {message!r}")

    def _prepare(self, setup: protocol.WorkerSetup) -> None:
        self._setup = setup
        self._verdicts = Verdicts(
            self._words,
            fail_mode=setup.kernel.fail_mode,
            table_size=setup.flow_table_size,
            log_rule=self._log_rule,
            log_fault=self._fault,
        )

    def _install(self, message: protocol.Install, received: protocol.Received) -> None:
        assert self._verdicts is not None, "the setup comes first"  # noqa: S101
        assert received.ruleset is not None, "an Install carries its ruleset"  # noqa: S101
        self._verdicts.install(received.ruleset, message.slots)
        self._logged.limit(received.ruleset.log_limit)
        # No collection between two packets: the flow table is many objects and no cycles.
        gc.collect()
        gc.freeze()
        self._tell(protocol.Installed(message.generation))

    def _bind(self) -> None:
        assert self._setup is not None, "the setup comes first"  # noqa: S101
        setup = self._setup
        try:
            self._reader = QueueReader(setup.queue, self._judge, setup.kernel, max_length=setup.length)
        except (KernelError, OSError) as error:
            self._tell(protocol.Refused(str(error)))
            sys.exit(3)
        self._poll.register(self._reader, select.POLLIN)
        self._tell(protocol.Bound())

    def _judge(self, gate: Gate, in_index: int, out_index: int, data: bytes) -> int:
        assert self._verdicts is not None, "bound after the setup"  # noqa: S101
        place = self._places.get((id(gate), in_index, out_index))
        return self._verdicts.judge(place or self._place(self._verdicts, gate, in_index, out_index), data)

    def _place(self, verdicts: Verdicts, gate: Gate, in_index: int, out_index: int) -> Place:
        place = Place(gate, self._called(in_index), self._called(out_index))
        if verdicts.governs(place):
            self._places[id(gate), in_index, out_index] = place
            return place
        # Perhaps they were renamed since they were asked for.
        for index in {in_index, out_index}:
            self._names.pop(index, None)
        return Place(gate, self._called(in_index), self._called(out_index))

    def _called(self, index: int) -> str:
        if index and index not in self._names:
            self._names[index] = _name(index)
        return self._names.get(index, "")

    def _tell(self, message: protocol.FromWorker) -> None:
        if self._control is None:
            return
        try:
            if not isinstance(message, protocol.Note):
                # The controller waits for these; it reads them before it sends more.
                select.select((), (self._control,), (), _ANSWER_SECONDS)
            protocol.answer(self._control, message)
        except OSError:
            self._words[Word.NOTES_LOST] += 1

    def _fault(self, what: str) -> None:
        refused = self._faults.admit(time.monotonic())
        if refused is not None:
            fields: dict[str, object] = {"error": what[:500], "more": refused}
            self._tell(protocol.Note(Level.ERROR, "packet not judged, the fail mode decided", fields))

    def _log_rule(self, rule: RuleRef, place: Place, data: bytes) -> None:
        # Calico has a kernel rule, and with it a limit, for each family.
        limited = (rule.kind, rule.namespace, rule.name, rule.side, rule.rule, data[0] >> 4)
        refused = self._logged.admit(limited, time.monotonic())
        if refused is None:
            return
        fields: dict[str, object] = {"prefix": rule.prefix, "policy": rule.full_name, "rule": rule.rule}
        fields |= {"tier": rule.tier or "", "direction": str(rule.side), "interface": place.interface}
        if place.gate.direction is Direction.FORWARD:
            fields["out_interface"] = place.out_interface
        fields["more"] = refused
        self._tell(protocol.Note(Level.INFO, "packet", fields | _described(data)))


def _name(index: int) -> str:
    """Ask the kernel what an interface is called now; empty if it is gone."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return ""


def _described(data: bytes) -> dict[str, object]:
    packet = parse(data)
    if isinstance(packet, Unparsable):
        return {}
    fields: dict[str, object] = {
        "protocol": PROTOCOL_NAMES.get(packet.protocol, packet.protocol),
        "src": format_address(packet.family, packet.src),
        "dst": format_address(packet.family, packet.dst),
    }
    rest = {
        "sport": packet.sport,
        "dport": packet.dport,
        "icmp_type": packet.icmp_type,
        "icmp_code": packet.icmp_code,
    }
    return fields | {name: value for name, value in rest.items() if value != ABSENT}


def main() -> int:
    """Take over the descriptors that the controller passed: control socket, counters."""
    control, counters = (int(text) for text in sys.argv[1:3])
    # The controller ends us with SIGKILL; what a terminal or a script sends must not hit half a packet.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reduce_to(CAP_NET_ADMIN)
    gc.disable()
    return Worker(socket.socket(fileno=control), map_block(counters)).run()


if __name__ == "__main__":
    sys.exit(main())
