"""The figures of the screen: what the guard's status and the verdict stream say, over time.

Owns how the guard's counters become rates, and the order of rows. Reads no clock and
asks nobody: answers, events and the time are given to it.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from heapq import nlargest
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from nfq_guard.cli.status import full_name, rule_text
from nfq_guard.stream.rates import Rates
from nfq_guard.stream.record import ALLOW, DENY
from nfq_guard.stream.tally import SECONDS, Denied, Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nfq_guard.stream.event import Event
    from nfq_guard.stream.tally import Latest

    Answer = Mapping[str, Any]

HISTORY = 120
"""Readings in a sparkline at most."""
RATE_SECONDS = 5.0
"""That rates of rules are taken over."""
MOST_RULES = 200
"""Rows that are handed on. There may be many thousand rules."""
_MOST_DENIED = 30
_MOST_COUNTS = 120
"""Readings of what the kernel has denied that are kept; there is about one a second."""


class Sort(StrEnum):
    """What rows of rules are sorted by."""

    RATE = "rate"
    PACKETS = "packets"
    ORDER = "order"


class RuleKey(NamedTuple):
    """What a counter stands for."""

    direction: str
    text: str
    action: str


class RuleRow(NamedTuple):
    """A rule, or a policy's rules of one direction together."""

    key: RuleKey
    rate: float | None
    """Packets a second, over RATE_SECONDS; None: not known yet."""
    packets: int
    place: str = ""
    """File and line; empty for what no file says, and for a policy."""


class Health(NamedTuple):
    """The guard as its status tells it."""

    node: str
    generation: int
    ready: bool
    detail: str
    policies: int
    """That have a rule in some chain."""
    staged: int
    refused: int
    """Problems of a change that was not taken in."""
    workers: int
    workers_up: int
    restarts: int
    waiting: int
    """Packets in the kernel's queues."""
    dropped: int
    """Of packets that found a queue, or its worker's socket, full."""
    endpoints: dict[str, str]
    """Interface -> endpoint that governs it."""


class Board(NamedTuple):
    """Everything that is shown, at one moment."""

    health: Health | None
    """As last told; None: never."""
    verdicts: dict[str, float]
    """Packets a second by verdict, since the reading before; empty: not known."""
    history: dict[str, tuple[float, ...]]
    rules: tuple[RuleRow, ...]
    rule_count: int
    denied: Denied
    denied_by_kernel: int
    """Packets that it has denied by itself in the same time, and that may be meant: they are not in `denied`."""
    latest: tuple[Latest, ...]
    read: int
    """Verdicts that were shown or counted."""
    passed_over: int
    """Verdicts that the filter does not mean."""


class _Counter(NamedTuple):
    packets: int
    place: str
    policy: str


class Figures:
    """Takes what the guard says; asked for a Board now and then."""

    def __init__(self) -> None:
        """Know nothing."""
        self._tally = Tally()
        self._health: Health | None = None
        self._rules: dict[RuleKey, _Counter] = {}
        """In the order in which they are evaluated."""
        self._rates: Rates[RuleKey] = Rates(RATE_SECONDS)
        self._verdicts: Rates[str] = Rates(RATE_SECONDS)
        self._history: dict[str, deque[float]] = {verdict: deque(maxlen=HISTORY) for verdict in (ALLOW, DENY)}
        self._passed_over = 0
        self._by_kernel: deque[tuple[float, int]] = deque(maxlen=_MOST_COUNTS)
        """When it was read, and how many packets more the kernel had denied by then."""

    def status(self, answer: Answer, now: float) -> None:
        """Take the answer to `status`; ValueError for one of another form, of which nothing is taken."""
        try:
            health, rules, verdicts = _health(answer), _rules(answer), _verdicts(answer)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the guard is of another version: {error!r}") from error
        self._health, self._rules = health, rules
        self._rates.update({key: counter.packets for key, counter in rules.items()}, now)
        self._verdicts.update(verdicts, now)
        for verdict, rate in self._verdicts.latest().items():
            self._history[verdict].append(rate)

    def forget_rates(self) -> None:
        """Begin rates anew: the guard has gone."""
        self._rates.forget()
        self._verdicts.forget()

    def events(self, events: Iterable[Event], passed_over: int, now: float) -> None:
        """Take verdicts that are meant, and how many were read that are not."""
        self._tally.take(events, now)
        self._passed_over += passed_over

    def by_kernel(self, denied: int, now: float) -> None:
        """Take how many packets that may be meant the kernel has denied by itself since it was read before."""
        if denied:
            self._by_kernel.append((now, denied))

    def start_over(self) -> None:
        """Forget verdicts: others are meant from now on."""
        self._tally = Tally()
        self._by_kernel.clear()
        self._passed_over = 0

    def board(self, now: float, sort: Sort, *, by_policy: bool) -> Board:
        """Return what is to be shown."""
        rows = list(self._policy_rows() if by_policy else self._rule_rows())
        return Board(
            self._health,
            self._verdicts.latest(),
            {verdict: tuple(rates) for verdict, rates in self._history.items()},
            tuple(_sorted(rows, sort)),
            len(rows),
            self._tally.denied(_MOST_DENIED, now),
            sum(denied for at, denied in self._by_kernel if now - at < SECONDS),
            self._tally.latest(),
            self._tally.taken,
            self._passed_over,
        )

    def _rule_rows(self) -> Iterable[RuleRow]:
        rates = self._rates.rates()
        for key, counter in self._rules.items():
            yield RuleRow(key, rates.get(key), counter.packets, counter.place)

    def _policy_rows(self) -> Iterable[RuleRow]:
        sums: dict[RuleKey, tuple[float | None, int]] = {}
        for row in self._rule_rows():
            key = RuleKey(row.key.direction, self._rules[row.key].policy, row.key.action)
            rate, packets = sums.get(key, (None, 0))
            more = rate if row.rate is None else row.rate + (rate or 0.0)
            sums[key] = more, packets + row.packets
        for key, (rate, packets) in sums.items():
            yield RuleRow(key, rate, packets)


def _sorted(rows: list[RuleRow], sort: Sort) -> Iterable[RuleRow]:
    if sort is Sort.ORDER:
        return islice(rows, MOST_RULES)
    if sort is Sort.RATE:
        return nlargest(MOST_RULES, rows, key=lambda row: (row.rate or 0.0, row.packets))
    return nlargest(MOST_RULES, rows, key=lambda row: (row.packets, row.rate or 0.0))


def _health(answer: Answer) -> Health:
    queues = answer["queues"]
    workers = queues["workers"]
    policies = {
        (rule["kind"], rule["policy"])
        for chain in answer["chains"]
        for rule in chain["rules"]
        if rule["rule"].isdecimal() and rule["tier"]
    }
    return Health(
        node=str(answer["node"]),
        generation=int(answer["generation"] or 0),
        ready=bool(answer["ready"]),
        detail=str(answer["detail"]),
        policies=len(policies),
        staged=int(answer["staged_policies"]),
        refused=len(answer["load_errors"]),
        workers=len(workers),
        workers_up=sum(bool(worker["up"]) for worker in workers),
        restarts=int(answer["worker_restarts"]),
        waiting=int(queues["depth"]),
        dropped=int(queues["dropped"]) + int(queues["user_dropped"]),
        endpoints={
            str(interface): full_name(endpoint["namespace"], endpoint["name"])
            for endpoint in answer["endpoints"]
            for interface in endpoint["interfaces"]
        },
    )


def _rules(answer: Answer) -> dict[RuleKey, _Counter]:
    found: dict[RuleKey, _Counter] = {}
    for chain in answer["chains"]:
        for rule in chain["rules"]:
            # A rule that stands in several chains has one count: it is told with each.
            key = RuleKey(str(chain["direction"]), rule_text(rule), str(rule["action"]))
            if rule["kind"] in {"HostEndpoint", "WorkloadEndpoint"}:
                key = key._replace(text=f"nothing matched: {rule['kind']}({rule['policy']})")
            place = f"{rule['file']}:{rule['line']}" if "file" in rule else ""
            found.setdefault(key, _Counter(int(rule["packets"]), place, key.text.partition(" rule ")[0]))
    return found


def _verdicts(answer: Answer) -> dict[str, int]:
    found = {ALLOW: 0, DENY: 0}
    for row in answer["verdicts"]:
        found[row["verdict"]] += int(row["packets"])
    return found
