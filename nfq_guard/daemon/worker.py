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
from itertools import chain as joined
from typing import TYPE_CHECKING

from nfq_guard.adapters.command import KernelError
from nfq_guard.adapters.linkevents import LinkEvents
from nfq_guard.adapters.nfqueue import QueueReader, number_of
from nfq_guard.daemon import protocol
from nfq_guard.daemon.counters import Word, map_block
from nfq_guard.daemon.learning import Candidates
from nfq_guard.daemon.logs import Level
from nfq_guard.daemon.parcel import Unpacking, take_apart
from nfq_guard.daemon.privileges import CAP_NET_ADMIN, reduce_to
from nfq_guard.daemon.recorder import Recorder
from nfq_guard.daemon.ring import DENIALS, Writer
from nfq_guard.daemon.throttle import RuleThrottles, Throttle
from nfq_guard.daemon.verdicts import Verdicts
from nfq_guard.engine.engine import Place
from nfq_guard.model.flow import Direction
from nfq_guard.packet import Unparsable, parse
from nfq_guard.stream.event import described

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from nfq_guard.model.decision import RuleRef
    from nfq_guard.model.flow import Gate

_BIT_SECONDS = 0.001
"""How long packets may wait for a bit of other work."""
_DONE = object()
_TEACH_MS = 50
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

    def __init__(self, control: socket.socket, words: memoryview, rings: int) -> None:
        """Serve this controller; count in these words, and write down in the rings of this descriptor."""
        self._control: socket.socket | None = control
        self._words = words
        self._rings = rings
        self._setup: protocol.WorkerSetup | None = None
        self._made: Verdicts | None = None
        self._unpacking: Unpacking | None = None
        """A ruleset that is on its way in."""
        self._installed: Unpacking | None = None
        """What the ruleset of now was made of."""
        self._candidates = Candidates()
        self._teaches = False
        self._leftovers: Iterator[None] | None = None
        """Frees the ruleset before, bit by bit."""
        self._wants_queue = False
        self._reader: QueueReader | None = None
        self._packets: list[tuple[int, int]] | None = None
        """What poll says when there are packets, and nothing else."""
        self._links: LinkEvents | None = None
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._logged = RuleThrottles(Throttle(_LOGGED_BURST, _LOGGED_PER_SECOND), _LOGGING_RULES)
        self._faults = Throttle(_FAULT_BURST, _FAULTS_PER_SECOND)

    def run(self) -> int:
        """Serve until told to end; a controller that dies while we hold no queue ends us too."""
        while self._control is not None or self._reader is not None:
            # The beat comes before the wait: it says that the turn before was finished.
            self._words[Word.HEARTBEAT_NS] = time.monotonic_ns()
            self._turn()
        return 0

    def _turn(self) -> None:
        busy = self._unpacking is not None or self._leftovers is not None
        wait = 0 if busy else _TEACH_MS if self._candidates.waiting else _TURN_MS
        events = self._poll.poll(wait)
        if events == self._packets:
            # Nearly always it is this alone, and somebody waits for each line up to the answer.
            assert self._reader is not None, "its packets"  # noqa: S101
            self._answer(self._reader)
        elif events:
            self._serve([descriptor for descriptor, _ in events])
        if self._made is not None:
            self._made.publish(time.monotonic())
        if self._candidates.waiting:
            self._teach()
        if self._unpacking is not None:
            self._unpack(self._unpacking)
        elif self._leftovers is not None:
            self._tidy(self._leftovers)

    def _serve(self, ready: list[int]) -> None:
        # A rename keeps the number, and the kernel goes by the name at once: ahead of packets, we hear of it.
        if self._links is not None and self._links.fileno() in ready:
            self._links.drain()
            self._verdicts.forget_interfaces()
        if self._reader is not None and self._reader.fileno() in ready:
            self._answer(self._reader)
        if self._control is not None and self._control.fileno() in ready:
            self._listen(self._control)

    def _answer(self, reader: QueueReader) -> None:
        try:
            reader.run()
        except OSError as error:
            # Who waits there without a verdict must not get the next one's: the kernel drops them as we end.
            self._tell(protocol.Refused(f"the queue can be neither read nor answered: {error}"))
            sys.exit(4)
        except Exception as error:  # noqa: BLE001 - the packet loop's boundary; the packet has its verdict
            self._words[Word.ENGINE_ERRORS] += 1
            self._fault(f"{type(error).__name__}: {error}")
        if reader.last is not None and self._teaches:
            taught = self._verdicts.teach(*reader.last)
            if taught is not None:
                self._candidates.meet(taught, time.monotonic())

    def _teach(self) -> None:
        due = self._candidates.take(time.monotonic())
        if due:
            self._tell(protocol.Learn(self._words[Word.GENERATION], [list(one) for one in due]))

    def _listen(self, control: socket.socket) -> None:
        try:
            message = protocol.receive(control)
            if message is not None:
                self._obey(message)
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        except Exception as error:  # noqa: BLE001 - we have packets to judge, by what we have
            self._refuse(error)
            return
        self._poll.unregister(control)
        control.close()
        self._control = None
        if self._made is not None:
            # Nobody is left who would say that a watcher has gone.
            self._obey(protocol.NOBODY_WATCHES)

    def _refuse(self, error: Exception) -> None:
        self._tell(protocol.Refused(f"message not understood: {error!r}"[:500]))

    def _obey(self, message: protocol.ToWorker | Unpacking) -> None:
        if isinstance(message, protocol.WorkerSetup):
            self._prepare(message)
        elif isinstance(message, Unpacking):
            self._discard(self._unpacking)
            self._unpacking = message
        elif isinstance(message, protocol.Bind):
            self._wants_queue = True
            self._bind_if_due()
        elif isinstance(message, protocol.Watch):
            self._verdicts.watch(**message._asdict())
        else:
            raise TypeError(f"not for a worker: {message!r}")

    def _prepare(self, setup: protocol.WorkerSetup) -> None:
        self._setup = setup
        self._teaches = setup.kernel.learned_verdicts
        self._made = Verdicts(
            self._words,
            Recorder(Writer(self._rings), Writer(self._rings, DENIALS), self._unrecorded),
            fail_mode=setup.kernel.fail_mode,
            table_size=setup.flow_table_size,
            place=_place,
            log_rule=self._log_rule,
            log_fault=self._fault,
        )

    @property
    def _verdicts(self) -> Verdicts:
        assert self._made is not None, "the setup comes first"  # noqa: S101
        return self._made

    def _unpack(self, unpacking: Unpacking) -> None:
        """Take in a bit of a ruleset; packets wait no longer for it than for each other."""
        try:
            payload = unpacking.step(_BIT_SECONDS)
        except Exception as error:  # noqa: BLE001 - as above
            self._unpacking = None
            self._discard(unpacking)
            self._refuse(error)
            return
        if payload is None:
            return
        self._unpacking = None
        before, remembered = self._installed, self._verdicts.remembered()
        self._candidates.forget()
        self._verdicts.install(payload.ruleset, payload.install.slots)
        self._logged.limit(payload.ruleset.log_limit)
        self._installed = unpacking
        self._discard(before, remembered)
        self._tell(protocol.Installed(payload.install.generation))
        self._bind_if_due()

    def _discard(self, unpacking: Unpacking | None, remembered: Iterable[dict[Any, Any]] = ()) -> None:
        """Free bit by bit what nothing is judged by any more."""
        pieces = () if unpacking is None else unpacking.take_apart()
        self._leftovers = joined(self._leftovers or (), take_apart(remembered), pieces)

    def _tidy(self, leftovers: Iterator[None]) -> None:
        """Free a bit of the ruleset before."""
        until = time.monotonic() + _BIT_SECONDS
        while time.monotonic() < until:
            if next(leftovers, _DONE) is _DONE:
                self._leftovers = None
                return

    def _bind_if_due(self) -> None:
        # Whoever is told to, with a ruleset that is still on its way in, has nothing to judge by yet.
        if self._wants_queue and self._unpacking is None and self._reader is None:
            self._bind()

    def _bind(self) -> None:
        assert self._setup is not None, "the setup comes first"  # noqa: S101
        setup = self._setup
        try:
            # First: a name that is asked for later is not older than the last word of it.
            self._links = LinkEvents()
            self._reader = QueueReader(
                setup.queue, self._verdicts.judge, setup.kernel, max_length=setup.length
            )
        except (KernelError, OSError) as error:
            self._tell(protocol.Refused(str(error)))
            sys.exit(3)
        self._poll.register(self._links, select.POLLIN)
        self._poll.register(self._reader, select.POLLIN)
        self._packets = [(self._reader.fileno(), select.POLLIN)]
        self._tell(protocol.Bound())

    def _tell(self, message: protocol.FromWorker) -> None:
        if self._control is None:
            return
        try:
            if not isinstance(message, protocol.Note | protocol.Learn):
                # The controller waits for these; it reads them before it sends more.
                select.select((), (self._control,), (), _ANSWER_SECONDS)
            protocol.answer(self._control, message)
        except OSError:
            self._words[Word.NOTES_LOST] += 1

    def _fault(self, what: str) -> None:
        self._complain(protocol.Note(Level.ERROR, "packet not judged, the fail mode decided", _error(what)))

    def _unrecorded(self, what: str) -> None:
        note = protocol.Note(Level.ERROR, "verdict not written down for watchers and deny log", _error(what))
        self._complain(note)

    def _complain(self, note: protocol.Note) -> None:
        refused = self._faults.admit(time.monotonic())
        if refused is not None:
            self._tell(note._replace(fields={**note.fields, "more": refused}))

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


def _place(gate: Gate, inward: int, outward: int) -> Place:
    return Place(gate, _called(inward), _called(outward))


def _called(interface: int) -> str:
    """Ask the kernel what an interface is called now; empty where there is none, or it is gone."""
    number = number_of(interface)
    try:
        return socket.if_indextoname(number) if number else ""
    except OSError:
        return ""


def _error(what: str) -> dict[str, object]:
    return {"error": what[:500]}


def _described(data: bytes) -> dict[str, object]:
    packet = parse(data)
    return {} if isinstance(packet, Unparsable) else described(packet)


def main() -> int:
    """Take over the descriptors that the controller passed: control socket, counters, rings."""
    control, counters, rings = (int(text) for text in sys.argv[1:4])
    # The controller ends us with SIGKILL; what a terminal or a script sends must not hit half a packet.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reduce_to(CAP_NET_ADMIN)
    gc.disable()
    return Worker(socket.socket(fileno=control), map_block(counters), rings).run()


if __name__ == "__main__":
    sys.exit(main())
