"""What other tables save, restore, set and wipe in marks: nothing of it stands for a judgment of ours."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import netns
import pytest
from bench import ENDPOINT, Asked, Bench, Worker, address, bench, hears, udp
from netfilterqueue import NetfilterQueue

from nfq_guard.adapters.nfqueue import ALLOW, DENY, PASS
from nfq_guard.adapters.xtqueue import put_queue_rule
from nfq_guard.engine.chain import ANYTHING, Chain, FlatRule, Step
from nfq_guard.engine.ruleset import GuardedEndpoint, Ruleset
from nfq_guard.kernel.plan import FailMode, KernelSettings, QueueTarget
from nfq_guard.model.flow import Gate, Side, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netfilterqueue import Packet

pytestmark = [pytest.mark.netns, pytest.mark.traffic]
FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
CHAIN = Chain([FlatRule(Step.DECIDE, ANYTHING)])
RAW_IN, RAW_OUT = (Stage.UNTRACKED, Side.INGRESS), (Stage.UNTRACKED, Side.EGRESS)
EARLY, ACROSS = (Stage.PRE_DNAT, Side.INGRESS), (Stage.FORWARD, Side.INGRESS)
PORT = 9
OPEN = KernelSettings(fail_mode=FailMode.OPEN)


def endpoint(*places: tuple[Stage, Side]) -> GuardedEndpoint:
    """Return an endpoint that has these chains; what they say is the test's."""
    return GuardedEndpoint("test", dict.fromkeys(places, CHAIN))


def guards(*places: tuple[Stage, Side], interface: str = "eth0") -> Ruleset:
    """Return a guarded eth0, and an endpoint with these chains on an interface."""
    return Ruleset("node", {"eth0": ENDPOINT, interface: endpoint(*places)})


def says(**answers: int) -> Callable[[Asked], int]:
    """Return a judge that answers by stage: `pre_dnat=ALLOW`; where nothing is said: no opinion."""
    return lambda asked: answers.get(asked.stage.replace("-", "_"), PASS)


def stages(worker: Worker) -> list[Stage]:
    """Return the stages that have asked about the test's packets, and forget them."""
    asked = [one.stage for one in worker.asked if one.port == PORT]
    worker.asked.clear()
    return asked


def theirs(*chains: str) -> str:
    """Return a table of another program: each chain as `hook priority rule`."""
    written = [
        f"\tchain c{at} {{\n\t\ttype filter hook {hook} priority {priority};\n\t\t{rule}\n\t}}\n"
        for at, (hook, priority, rule) in enumerate(chain.split(" ", 2) for chain in chains)
    ]
    return "table inet theirs {\n" + "".join(written) + "}\n"


SAVE, RESTORE = "ct mark set meta mark", "ct mark != 0 meta mark set ct mark"


@pytest.fixture
def here() -> Iterator[Bench]:
    """Yield a guarded namespace and its peer."""
    with bench() as made:
        yield made


class Crossing:
    """A bench whose guarded end forwards between its peer and an inside."""

    def __init__(self, made: Bench, inside: netns.Namespace) -> None:
        self.bench = made
        guarded = made.guarded.namespace
        near, self.inside = netns.link(guarded, inside, names=("eth1", "eth0"), subnet=78)
        for family in ("ipv4", "ipv6"):
            guarded.sysctl(f"net/{family}/conf/all/forwarding", 1)
        for far, gateway in ((made.peer, made.guarded), (self.inside, near)):
            far.namespace.ip("route", "add", "default", "via", gateway.v4)
            far.namespace.ip("-6", "route", "add", "default", "via", gateway.v6)


@pytest.fixture
def across() -> Iterator[Crossing]:
    """Yield a namespace that forwards."""
    with bench() as made, netns.Namespace() as inside:
        yield Crossing(made, inside)


# -- saved and restored whole -----------------------------------------------------


@FAMILIES
@pytest.mark.parametrize("save", ["prerouting -130", "input -10"])
def test_what_is_restored_whole_does_not_spare_a_live_connection_the_next_policys_deny(
    here: Bench, family: int, save: str
) -> None:
    here.guarded.namespace.nft(theirs(f"prerouting -140 {RESTORE}", f"{save} {SAVE}"))
    here.install(guards(EARLY))
    receiver, sender = udp(here.guarded, family, PORT), udp(here.peer, family)
    with here.worker() as worker:
        worker.decide = says(pre_dnat=ALLOW, normal=DENY)
        for _ in range(3):
            sender.sendto(b"x", (address(here.guarded, family), PORT))
            assert hears(receiver, timeout=5) == b"x"
        assert set(stages(worker)) == {Stage.PRE_DNAT}

        worker.decide = says(normal=DENY)
        here.install(guards(EARLY))
        sender.sendto(b"x", (address(here.guarded, family), PORT))
        assert hears(receiver) is None
        assert stages(worker) == [Stage.PRE_DNAT, Stage.NORMAL]


@FAMILIES
def test_what_is_restored_whole_does_not_spare_a_forwarded_connection_either(
    across: Crossing, family: int
) -> None:
    here = across.bench
    here.guarded.namespace.nft(theirs(f"prerouting -140 {RESTORE}", f"forward -10 {SAVE}"))
    here.install(guards(EARLY, ACROSS))
    receiver, sender = udp(across.inside, family, PORT), udp(here.peer, family)
    spared = []

    def judge(asked: Asked) -> int:
        if asked.stage is Stage.PRE_DNAT or asked.port != PORT:
            return ALLOW
        spared.append(asked.gate.before_nat)
        return ALLOW if asked.gate.before_nat else DENY

    with here.worker() as worker:
        worker.decide = judge
        sender.sendto(b"x", (address(across.inside, family), PORT))
        assert hears(receiver, timeout=5) == b"x"

        worker.decide = lambda asked: PASS if asked.stage is Stage.PRE_DNAT else judge(asked)
        here.install(guards(EARLY, ACROSS))
        sender.sendto(b"x", (address(across.inside, family), PORT))
        assert hears(receiver) is None
        assert spared == [True, False]


@pytest.mark.parametrize("answer", [ALLOW, DENY])
def test_what_another_table_wipes_between_the_stages_is_asked_by_the_later_one(
    here: Bench, answer: int
) -> None:
    here.guarded.namespace.nft(theirs(f"prerouting -140 {SAVE}"))
    here.install(guards(EARLY))
    receiver, sender = udp(here.guarded, port=PORT), udp(here.peer)
    with here.worker() as worker:
        worker.decide = says(pre_dnat=ALLOW, normal=answer)
        for _ in range(2):
            sender.sendto(b"x", (here.guarded.v4, PORT))
            assert hears(receiver) == (b"x" if answer == ALLOW else None)
            assert stages(worker) == [Stage.PRE_DNAT, Stage.NORMAL]


# -- set --------------------------------------------------------------------------


@pytest.mark.parametrize("forged", [0x1000, 0x3000])
@pytest.mark.parametrize("where", ["prerouting -140", "input -50"])
@pytest.mark.parametrize("early", [(EARLY,), (RAW_IN,), (EARLY, RAW_IN)], ids=["mangle", "raw", "both"])
@pytest.mark.parametrize("interface", ["eth0", "eth9"], ids=["here", "elsewhere"])
def test_a_mark_set_between_the_stages_spares_nothing(
    here: Bench, forged: int, where: str, early: tuple[tuple[Stage, Side], ...], interface: str
) -> None:
    here.guarded.namespace.nft(theirs(f"{where} meta mark set {forged:#x}"))
    here.install(guards(*early, interface=interface))
    receiver, sender = udp(here.guarded, port=PORT), udp(here.peer)
    with here.worker() as worker:
        worker.decide = says(normal=DENY)
        sender.sendto(b"x", (here.guarded.v4, PORT))
        assert hears(receiver) is None
        assert stages(worker)[-1] is Stage.NORMAL


@pytest.mark.parametrize("forged", [0x1000, 0x3000])
@pytest.mark.parametrize("where", ["prerouting -10", "forward -50"])
@pytest.mark.parametrize("early", [EARLY, RAW_IN], ids=["mangle", "raw"])
@pytest.mark.parametrize("interface", ["eth0", "eth9"], ids=["here", "elsewhere"])
def test_a_mark_set_between_the_stages_spares_a_forwarded_packet_nothing(
    across: Crossing, forged: int, where: str, early: tuple[Stage, Side], interface: str
) -> None:
    here = across.bench
    here.guarded.namespace.nft(theirs(f"{where} meta mark set {forged:#x}"))
    both = {"eth0": endpoint(ACROSS), "eth9": endpoint(early)}
    here.install(Ruleset("node", both | ({"eth0": endpoint(ACROSS, early)} if interface == "eth0" else {})))
    receiver, sender = udp(across.inside, port=PORT), udp(here.peer)
    gates: list[Gate] = []

    def judge(asked: Asked) -> int:
        if asked.stage is not Stage.FORWARD or asked.port != PORT:
            return PASS
        gates.append(asked.gate)
        return DENY

    with here.worker() as worker:
        worker.decide = judge
        sender.sendto(b"x", (across.inside.v4, PORT))
        assert hears(receiver) is None
        assert [gate.before_nat for gate in gates] == [False]


@FAMILIES
@pytest.mark.parametrize("where", ["output -50", "output -250"])
def test_a_mark_set_on_the_way_out_spares_nothing_where_untracked_policy_stands(
    here: Bench, family: int, where: str
) -> None:
    here.guarded.namespace.nft(theirs(f"{where} meta mark set 0x3000"))
    here.install(guards(RAW_OUT))
    receiver, sender = udp(here.peer, family, PORT), udp(here.guarded, family)
    with here.worker() as worker:
        worker.decide = says(normal=DENY)
        sender.sendto(b"x", (address(here.peer, family), PORT))
        assert hears(receiver) is None
        assert stages(worker) == [Stage.UNTRACKED, Stage.NORMAL]


# -- judged ahead of NAT, or not ------------------------------------------------------


def _breaks_before_nat(asked: Asked) -> int:
    if asked.stage is Stage.PRE_DNAT:
        raise ValueError("cannot be judged")
    return ALLOW


@FAMILIES
def test_what_could_not_be_judged_before_nat_passes_and_is_not_remembered_as_allowed(family: int) -> None:
    with bench(OPEN) as here:
        here.install(guards(EARLY))
        receiver, sender = udp(here.guarded, family, PORT), udp(here.peer, family)
        with here.worker() as worker:
            worker.decide = _breaks_before_nat
            sender.sendto(b"x", (address(here.guarded, family), PORT))
            assert hears(receiver, timeout=5) == b"x"
            assert stages(worker) == [Stage.PRE_DNAT, Stage.NORMAL]
            worker.decide = says(pre_dnat=DENY, normal=ALLOW)
            sender.sendto(b"x", (address(here.guarded, family), PORT))
            assert hears(receiver) is None
            assert stages(worker) == [Stage.PRE_DNAT]


@FAMILIES
@pytest.mark.parametrize("later", [(), (ACROSS,)], ids=["nobody asks", "forward policy asks"])
def test_the_same_of_forwarded_packets(family: int, later: tuple[tuple[Stage, Side], ...]) -> None:
    with bench(OPEN) as here, netns.Namespace() as inside:
        across = Crossing(here, inside)
        here.install(guards(EARLY, *later))
        receiver, sender = udp(across.inside, family, PORT), udp(here.peer, family)
        with here.worker() as worker:
            worker.decide = _breaks_before_nat
            sender.sendto(b"x", (address(across.inside, family), PORT))
            assert hears(receiver, timeout=5) == b"x"
            worker.decide = says(pre_dnat=DENY, forward=ALLOW)
            sender.sendto(b"x", (address(across.inside, family), PORT))
            assert hears(receiver) is None


class Holder:
    """Another program's queue: packets wait in it until they are let go."""

    def __init__(self, here: Bench, number: int = 77) -> None:
        self._held: list[Packet] = []
        self._space = here.guarded.namespace
        rule = "" if here.target is QueueTarget.XT else f"\t\tqueue to {number}\n"
        # The kernel goes on by the number of the hook: chains that come ahead of it meanwhile shift
        # the numbers, and with these the packet does not fall back among ours.
        spacers = "".join(
            f"\tchain spacer{at} {{\n\t\ttype filter hook prerouting priority {at - 140};\n\t}}\n"
            for at in range(2)
        )
        self._space.nft(
            f"table inet holder {{\n{spacers}\tchain hold {{\n{rule}\t}}\n\tchain prerouting {{\n"
            f"\t\ttype filter hook prerouting priority -120;\n\t\tudp dport {PORT} jump hold\n\t}}\n}}\n"
        )
        with self._space.entered():
            if here.target is QueueTarget.XT:
                put_queue_rule(KernelSettings(queue=number), table="holder", chain="hold")
            self._queue = NetfilterQueue()
            self._queue.bind(number, self._hold)

    def _hold(self, packet: Packet) -> None:
        packet.retain()
        self._held.append(packet)

    def wait(self) -> None:
        """Wait for one packet."""
        netns.until(lambda: self._queue.run(False) or self._held, "a held packet")

    def release(self) -> None:
        """Hold no more, and let go what is held."""
        self._space.nft("flush chain inet holder prerouting\n")
        for packet in self._held:
            packet.accept()

    def close(self) -> None:
        self._queue.unbind()


@FAMILIES
@pytest.mark.parametrize("later", [(), (ACROSS,)], ids=["nobody asks", "forward policy asks"])
def test_a_packet_that_waited_elsewhere_while_the_first_policy_before_nat_came_is_no_permission(
    across: Crossing, family: int, later: tuple[tuple[Stage, Side], ...]
) -> None:
    here = across.bench
    here.install(guards(*later))
    receiver, sender = udp(across.inside, family, PORT), udp(here.peer, family)
    with here.worker() as worker, contextlib.closing(Holder(here)) as holder:
        worker.decide = says(pre_dnat=DENY, forward=ALLOW)
        sender.sendto(b"x", (address(across.inside, family), PORT))
        holder.wait()
        here.install(guards(EARLY, *later))
        holder.release()
        assert hears(receiver, timeout=5) == b"x"
        sender.sendto(b"x", (address(across.inside, family), PORT))
        assert hears(receiver) is None
        assert stages(worker)[-1] is Stage.PRE_DNAT


def test_a_packet_to_the_host_that_waited_elsewhere_is_none_either(here: Bench) -> None:
    here.install()
    receiver, sender = udp(here.guarded, port=PORT), udp(here.peer)
    with here.worker() as worker, contextlib.closing(Holder(here)) as holder:
        worker.decide = says(pre_dnat=DENY, normal=ALLOW)
        sender.sendto(b"x", (here.guarded.v4, PORT))
        holder.wait()
        here.install(guards(EARLY))
        holder.release()
        assert hears(receiver, timeout=5) == b"x"
        sender.sendto(b"x", (here.guarded.v4, PORT))
        assert hears(receiver) is None
        assert stages(worker) == [Stage.NORMAL, Stage.PRE_DNAT]


# -- changes while packets wait in our own queue ----------------------------------------


def _wait_for(here: Bench, waiting: int) -> None:
    netns.until(
        lambda: (
            sum(
                int(line.split()[2])
                for line in here.guarded.namespace.read("netfilter/nfnetlink_queue").splitlines()
            )
            == waiting
        ),
        "a packet in the queue",
    )


def test_what_policy_of_before_passed_ahead_of_nat_is_not_remembered_under_the_next(here: Bench) -> None:
    here.install(guards(EARLY))
    receiver, sender = udp(here.guarded, port=PORT), udp(here.peer)
    with here.worker() as worker:

        def judge(asked: Asked) -> int:
            if asked.stage is Stage.NORMAL and len(worker.asked) == 2:
                # Policy changes while this packet waits for its answer.
                here.install(guards(EARLY))
            return ALLOW if asked.stage is Stage.NORMAL else PASS

        worker.decide = judge
        sender.sendto(b"x", (here.guarded.v4, PORT))
        assert hears(receiver, timeout=5) == b"x"
        assert stages(worker) == [Stage.PRE_DNAT, Stage.NORMAL]
        worker.decide = says(pre_dnat=DENY, normal=ALLOW)
        sender.sendto(b"x", (here.guarded.v4, PORT))
        assert hears(receiver) is None
        assert stages(worker) == [Stage.PRE_DNAT]


@FAMILIES
@pytest.mark.parametrize("answer", [ALLOW, DENY])
def test_hooks_that_come_ahead_of_a_waiting_packet_have_it_judged_all_the_same(
    here: Bench, family: int, answer: int
) -> None:
    """The kernel goes on by the number of the hook, and numbers shift: by one, two and three."""
    receiver, sender = udp(here.guarded, family, PORT), udp(here.peer, family)
    for more in range(1, 4):
        here.install(guards(EARLY))
        with here.worker() as worker:
            worker.decide = says(pre_dnat=answer, normal=DENY)
            worker.pause()
            sender.sendto(b"x", (address(here.guarded, family), PORT))
            _wait_for(here, 1)
            here.guarded.namespace.nft(theirs(*(f"prerouting {at - 350} accept" for at in range(more))))
            worker.resume()
            assert hears(receiver) == (b"x" if answer == ALLOW else None)
            assert set(stages(worker)) == {Stage.PRE_DNAT}
        here.guarded.namespace.nft("delete table inet theirs\n")


# -- loopback, which has a connection ahead of every stage ---------------------------


@FAMILIES
def test_untracked_policy_on_loopback_spares_the_normal_one_what_it_allows(here: Bench, family: int) -> None:
    here.install(Ruleset("node", {"lo": endpoint(RAW_IN)}))
    receiver, sender = udp(here.guarded, family, PORT), udp(here.guarded, family)
    with here.worker() as worker:
        worker.decide = lambda asked: (
            ALLOW if asked.side is Side.EGRESS or asked.stage is Stage.UNTRACKED else DENY
        )
        for _ in range(2):
            sender.sendto(b"x", (address(here.guarded, family), PORT))
            assert hears(receiver, timeout=5) == b"x"
        assert stages(worker) == [Stage.NORMAL, Stage.UNTRACKED, Stage.UNTRACKED]
        worker.decide = says(normal=DENY)
        sender.sendto(b"x", (address(here.guarded, family), PORT))
        # Allowed as a connection, and no untracked policy objects.
        assert hears(receiver, timeout=5) == b"x"
        here.install(Ruleset("node", {"lo": endpoint(RAW_IN)}))
        sender.sendto(b"x", (address(here.guarded, family), PORT))
        assert hears(receiver) is None
