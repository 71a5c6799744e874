from __future__ import annotations

import threading

from nfq_guard.daemon.counters import VERDICT_WORD, WORDS, Reader, VerdictLabels
from nfq_guard.daemon.readings import KernelReadings
from nfq_guard.daemon.slots import SlotTable
from nfq_guard.daemon.telemetry import Telemetry
from nfq_guard.daemon.totals import SECONDS, Totals, state
from nfq_guard.engine.ruleset import Ruleset
from nfq_guard.model.decision import Reason, Verdict
from nfq_guard.model.flow import Side, Stage

DENIED = VERDICT_WORD[Reason.POLICY, Verdict.DENY, Side.INGRESS, Stage.NORMAL]
LABELS = VerdictLabels("failsafe", "allow", "ingress", "normal")


class Guard:
    """Telemetry that counts how often the kernel is read."""

    def __init__(self) -> None:
        self.words = memoryview(bytearray(WORDS * 8)).cast("Q")
        self.readings = 0
        self.telemetry = Telemetry(
            Reader((self.words,)), SlotTable(1, lambda _: 0), self.kernel, lambda: (0, 0)
        )

    def kernel(self) -> KernelReadings:
        self.readings += 1
        return KernelReadings({LABELS: 4}, queue_depth=2, queue_dropped=3, queue_user_dropped=1)


def test_verdicts_of_workers_and_kernel_are_told_together() -> None:
    guard = Guard()
    guard.words[DENIED] = 7

    found = Totals(guard.telemetry).read(10.0)

    assert found is not None
    assert (found["verdicts"]["deny"], found["verdicts"]["allow"]) == (7, 4)
    assert found["kernel"] == [LABELS._asdict() | {"packets": 4, "learned": False}]
    assert (found["queue_depth"], found["queue_dropped"], found["at"]) == (2, 4, 10.0)


def test_what_the_kernel_was_taught_is_told_from_what_it_decides_anyhow() -> None:
    guard = Guard()
    reasons = ("policy", "tier-default", "profile", "no-match", "failsafe", "invalid")
    kernel = {VerdictLabels(reason, "deny", "ingress", "normal"): 1 for reason in reasons}
    guard.telemetry.read_kernel = lambda: KernelReadings(kernel)

    found = Totals(guard.telemetry).read(10.0)

    assert found is not None
    assert [row["reason"] for row in found["kernel"] if row["learned"]] == list(reasons[:4])


def test_the_kernel_is_read_once_a_second_whoever_asks() -> None:
    guard = Guard()
    totals = Totals(guard.telemetry)

    first = [totals.read(10.0) for _ in range(5)]
    assert guard.readings == 1
    assert all(one is first[0] for one in first)

    totals.read(10.0 + SECONDS)
    assert guard.readings == 2


def test_nobody_waits_for_whoever_reads() -> None:
    guard = Guard()
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> KernelReadings:
        begun.set()
        assert go_on.wait(10)
        return KernelReadings({})

    guard.telemetry.read_kernel = slow
    totals = Totals(guard.telemetry)
    reader = threading.Thread(target=totals.read, args=(10.0,))
    reader.start()
    assert begun.wait(10)

    assert totals.read(10.0) is None

    go_on.set()
    reader.join()
    assert totals.read(10.0) is not None


def test_a_state_has_words_and_bounded_problems() -> None:
    guard = Guard()
    assert state(guard.telemetry)["detail"] == "starting"
    guard.telemetry.trouble, guard.telemetry.ruleset = "", Ruleset("worker-1", generation=4)
    guard.telemetry.load_errors = tuple("x" * 5000 for _ in range(1000))

    found = state(guard.telemetry)

    assert (found["node"], found["generation"], found["ready"]) == ("worker-1", 4, True)
    assert len(found["load_errors"]) + found["more_errors"] == 1000
    assert sum(map(len, found["load_errors"])) < 50_000
