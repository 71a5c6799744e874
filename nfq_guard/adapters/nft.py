"""The table in the kernel: made, adopted, reloaded, read back, removed.

Owns every change to table `inet nfq_guard` of the network namespace of the calling
thread. Must never touch another table, nor unregister a base chain on a reload unless
policy needs its section no longer (the kernel then drops every packet that waits in any
queue of the namespace).
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from nfq_guard.adapters import conntrack
from nfq_guard.adapters.command import ABSENT, KernelError, Running, expect, run
from nfq_guard.adapters.namedcounters import Count, NamedCounters
from nfq_guard.adapters.xtqueue import put_queue_rule
from nfq_guard.kernel.learned import additions
from nfq_guard.kernel.plan import KernelSettings, QueueTarget
from nfq_guard.kernel.render import (
    GENERATION_COMMENT,
    QUEUE_CHAIN,
    TABLE,
    queue_comment,
    render_delete,
    render_groundwork,
    render_reload,
    render_table,
    standing_sections,
)
from nfq_guard.kernel.skeleton import PRIORITIES, base_chains

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nfq_guard.kernel.learned import Learned
    from nfq_guard.kernel.plan import KernelPlan, Section
    from nfq_guard.model.decision import Verdict

__all__ = ["BaseChain", "Count", "KernelError", "Snapshot", "Table", "probe_queue_target"]

_QUEUES = re.compile(r"queue (\d{1,5})-(\d{1,5}) ")
"""The beginning of kernel/render.py's remark on the rule that queues."""
_OURS = 'comment "nfq-guard'


class BaseChain(NamedTuple):
    """A chain on a hook, as the kernel has it now."""

    name: str
    hook: str
    priority: int
    handle: int
    """Changes when the chain is made anew within its table."""
    lines: tuple[str, ...]
    """What it is and what it does, in the words in which kernel/render.py declares it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the kernel has under our table's name."""

    handle: int
    """The table's: no two tables of a namespace ever have the same."""
    base_chains: tuple[BaseChain, ...]
    """Sorted by name."""
    generation: int | None
    """None where no stamping rule says one."""
    queue: str
    """The remark on the rule that queues, empty if there is no such rule."""

    @property
    def queues(self) -> range:
        """The queues that the table sends packets to, as its remark says; none where it says none."""
        found = _QUEUES.match(self.queue)
        return range(int(found[1]), int(found[2]) + 1) if found else range(0)

    @property
    def sections(self) -> frozenset[Section] | None:
        """The sections that the base chains make up: whole ones only, and each chain to the letter.

        None where something is missing, left over or different. A reload cannot mend that: it
        does not name base chains.
        """
        found = standing_sections(frozenset(chain.name for chain in self.base_chains))
        if found is None or {(chain.name, chain.lines) for chain in self.base_chains} != _declared(found):
            return None
        return found

    @property
    def sound(self) -> bool:
        """Whether the table can be reloaded."""
        return self.sections is not None


class Look:
    """A look at what the kernel has, on its way."""

    def __init__(self) -> None:
        """Begin; KernelError if that cannot be done."""
        self._asked = Running("nft", "-j", "-t", "list", "table", "inet", TABLE)

    def __enter__(self) -> Self:
        """Leave no process behind."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what was not waited for."""
        self._asked.end()

    def snapshot(self) -> Snapshot | None:
        """Return what the kernel has, None if there is no table of our name. Once."""
        done = self._asked.finish()
        if done.status == 0:
            return _snapshot(entry for entry in json.loads(done.text)["nftables"])
        if ABSENT in done.complaint:
            return None
        raise KernelError(f"nft list table inet {TABLE}: {done.complaint}")


class Table:
    """Our table. One writer: the controller.

    A failing `install` raises KernelError with nft's words and leaves what was there.
    """

    def __init__(self, settings: KernelSettings, target: QueueTarget) -> None:
        """Remember how to write; touches nothing yet."""
        self._settings = settings
        self._target = target
        self._counters = NamedCounters(TABLE)

    def install(self, plan: KernelPlan, *, again: bool = False, look: Look | None = None) -> None:
        """Make the kernel ask as the plan says: create, adopt or reload in one transaction.

        Clears the generation from every connection first where it could be mistaken for the
        plan's. `again`: a table is put back, its generation stands for the policy it stood for.
        `look`: a look at the table that has begun. What has become of the table since, the
        kernel will say: it refuses what does not fit.
        """
        found = self.read_back() if look is None else look.snapshot()
        if found is not None and not found.sound:
            self._insist_on_ours()
        if self._starts_over(found, plan.generation, again=again):
            self.forget()
        if found is None:
            self._create(plan)
        elif found.sound:
            self._reload(plan, found)
        else:
            self._replace(plan)
        if found is None or not found.sound:
            self._counters.start_over()

    def read_back(self) -> Snapshot | None:
        """Return what the kernel has, None if there is no table of our name."""
        with self.look() as look:
            return look.snapshot()

    @staticmethod
    def look() -> Look:
        """Begin to read back; to be finished by `snapshot`, or left by `with`."""
        return Look()

    def installed_generation(self) -> int | None:
        """Return the generation in force, None if there is no sound table of ours."""
        found = self.read_back()
        return found.generation if found is not None and found.sound else None

    def content(self) -> str:
        """Return all that the table says, set elements included, counts left out; empty without a table.

        Equal texts mean that nobody changed anything in between: a rule that is put in
        again has another handle.
        """
        done = run("nft", "-j", "-t", "list", "table", "inet", TABLE)
        if done.status != 0:
            return ""
        listed = json.loads(done.text)["nftables"]
        entries = [entry for entry in listed if not entry.keys() & {"metainfo", "counter"}]
        # Learned verdicts come and go by themselves, and may be many: their maps' elements are left out.
        sets = [entry["set"]["name"] for entry in entries if "set" in entry]
        filled = [run("nft", "list", "set", "inet", TABLE, name) for name in sets]
        return (
            ""
            if any(done.status for done in filled)
            else json.dumps([entries, *(one.text for one in filled)])
        )

    def learn(self, learned: Iterable[Learned], seconds: dict[Verdict, int]) -> None:
        """Have the kernel decide by itself, for so many seconds; KernelError if it takes none of them."""
        _load(additions(TABLE, learned, seconds))

    def counters(self) -> Mapping[str, Count]:
        """Return the named counters; they never go back while this object lives.

        A table that was removed and made again starts at zero: what its predecessor had
        when last read is added. An absent table: the last values.
        """
        return self._counters.read()

    def delete_counters(self, names: Iterable[str]) -> None:
        """Delete named counters, if they are there; what they counted still counts.

        KernelError, and all stay, if something names one of them.
        """
        self._counters.delete(names)

    def remove(self) -> None:
        """Remove the table. No complaint if it is gone already; KernelError if it is not ours."""
        if self.read_back() is None:
            return
        self._insist_on_ours()
        done = run("nft", "-f", "-", stdin=render_delete())
        if done.status != 0 and ABSENT not in done.complaint:
            raise KernelError(f"nft delete table inet {TABLE}: {done.complaint}")

    def forget(self) -> None:
        """Clear the generation from every connection: all will be judged again."""
        conntrack.clear_marks(self._settings.connection_mark_mask)

    def _starts_over(self, found: Snapshot | None, generation: int, *, again: bool) -> bool:
        """Return whether connections may carry this generation from another time.

        A sound table stamps the generation that it names: only on the way from there to
        ours, through generations that may have been left out, can the round start anew.
        Nobody knows what a damaged one has stamped.
        """
        if found is None:
            return not again
        if not found.sound or found.generation is None:
            return True
        if again and found.generation == generation:
            return False
        mark, passed = self._settings.connection_mark, found.generation
        while not mark.starts_over(passed := mark.following(passed)):
            if passed == generation:
                return False
        return True

    def _create(self, plan: KernelPlan) -> None:
        whole = render_table(plan, self._settings, target=self._target)
        if self._target is QueueTarget.NATIVE:
            _load(whole)
            return
        # The rule that queues stands before the first packet can be sent to it.
        try:
            _load(render_groundwork())
            put_queue_rule(self._settings)
            _load(whole)
        except KernelError:
            self.remove()
            raise

    def _reload(self, plan: KernelPlan, found: Snapshot) -> None:
        if self._target is QueueTarget.XT and found.queue != queue_comment(self._settings):
            put_queue_rule(self._settings)
        standing = found.sections
        assert standing is not None, "only a sound table is reloaded"  # noqa: S101
        _load(render_reload(plan, self._settings, target=self._target, standing=standing))

    def _replace(self, plan: KernelPlan) -> None:
        self._counters.read()
        _load(render_delete() + render_table(plan, self._settings, target=self._target))
        if self._target is QueueTarget.XT:
            # Until it is there, the table does what the fail mode says.
            put_queue_rule(self._settings)

    @staticmethod
    def _insist_on_ours() -> None:
        if _OURS not in expect("nft", "-t", "list", "table", "inet", TABLE):
            raise KernelError(
                f"table inet {TABLE} exists and was not made by nfq-guard; "
                f"remove it (nft delete table inet {TABLE}) or rename it"
            )


def probe_queue_target() -> QueueTarget:
    """Return how this kernel lets a rule queue: native if it can, else the xt target.

    Tries in a table of its own that holds no base chain, so no packet meets it, and that
    is gone again afterwards. KernelError, with the kernel's words for both, if neither works.
    """
    scratch = f"{TABLE}_probe_{os.getpid()}"
    # One transaction that adds and deletes: nobody ever sees this table.
    native = run(
        "nft",
        "-f",
        "-",
        stdin=f"table inet {scratch} {{\n\tchain probe {{\n\t\tqueue\n\t}}\n}}\ndelete table inet {scratch}\n",
    )
    if native.status == 0:
        return QueueTarget.NATIVE
    expect("nft", "-f", "-", stdin=f"table inet {scratch} {{\n\tchain probe {{\n\t}}\n}}\n")
    try:
        put_queue_rule(KernelSettings(), table=scratch, chain="probe")
    except KernelError as error:
        raise KernelError(
            f"this kernel cannot queue packets: queue statement: {native.complaint}; {error}"
        ) from error
    finally:
        expect("nft", "delete", "table", "inet", scratch)
    return QueueTarget.XT


def _load(text: str) -> None:
    expect("nft", "-f", "-", stdin=text)


def _snapshot(entries: Iterable[dict[str, Any]]) -> Snapshot:
    chains: dict[str, dict[str, Any]] = {}
    remarks: dict[str, list[str]] = {}
    rules: dict[str, list[str]] = {}
    handle = 0
    for entry in entries:
        if "table" in entry:
            handle = entry["table"]["handle"]
        elif "chain" in entry:
            chains[entry["chain"]["name"]] = entry["chain"]
        elif "rule" in entry:
            rule = entry["rule"]
            remarks.setdefault(rule["chain"], []).append(rule.get("comment", ""))
            rules.setdefault(rule["chain"], []).append(_jump(rule))
    base = (
        BaseChain(
            name,
            chain["hook"],
            chain["prio"],
            chain["handle"],
            (_headline(chain), *rules.get(name, ())),
        )
        for name, chain in sorted(chains.items())
        if "hook" in chain
    )
    queue = "; ".join(remarks.get(QUEUE_CHAIN, ()))
    return Snapshot(handle, tuple(base), _generation(remarks.get("stamp_in", ())), queue)


def _declared(sections: frozenset[Section]) -> set[tuple[str, tuple[str, ...]]]:
    return {(chain.name, chain.lines) for section in sections for chain in base_chains(section)}


def _headline(chain: Mapping[str, Any]) -> str:
    """Return what a base chain hangs on and ends in."""
    hook, place = chain["hook"], PRIORITIES.get(chain["prio"], chain["prio"])
    return f"type {chain['type']} hook {hook} priority {place}; policy {chain['policy']};"


def _jump(rule: Mapping[str, Any]) -> str:
    """Return a rule that only jumps, always or by connection, as text; any other as what is never declared."""
    match rule["expr"]:
        case [{"jump": {"target": target}}]:
            which = ""
        case [
            {"match": {"op": "in", "left": {"ct": {"key": key}}, "right": str(value)}},
            {"jump": {"target": target}},
        ]:
            which = f"ct {key} {value} "
        case _:
            return ""
    return f'{which}jump {target} comment "{rule.get("comment", "")}"'


def _generation(remarks: Iterable[str]) -> int | None:
    for remark in remarks:
        word, _, number = remark.partition(" ")
        if word == GENERATION_COMMENT and number.isdecimal():
            return int(number)
    return None
