"""Table `inet nfq_guard` as nft text, in the very form in which nft lists it.

Owns the texts that are loaded into the kernel: whole, as a reload, as a removal. What
the rules say is kernel/rules.py's. Must never read the kernel: equal plans give
equal text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.kernel.phrases import QUEUE_CHAIN
from nfq_guard.kernel.plan import QueueTarget, Section
from nfq_guard.kernel.rules import GENERATION_COMMENT, Rules, queue_comment
from nfq_guard.kernel.skeleton import BASE_CHAINS, COUNTERS, SKELETON, SKELETON_COMMENT, base_chains, sets
from nfq_guard.kernel.text import block, chain_text, set_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nfq_guard.kernel.plan import KernelPlan, KernelSettings
    from nfq_guard.kernel.text import Chain, Set

__all__ = [
    "COUNTERS",
    "GENERATION_COMMENT",
    "QUEUE_CHAIN",
    "SKELETON",
    "SKELETON_COMMENT",
    "TABLE",
    "TABLE_COMMENT",
    "base_chain_names",
    "queue_comment",
    "render_delete",
    "render_groundwork",
    "render_reload",
    "render_table",
    "standing_sections",
]

TABLE = "nfq_guard"
TABLE_COMMENT = "nfq-guard: made and reloaded by nfq-guard, changes get lost"
"""Starts with the program's name: how a table of ours is told from a namesake."""


def render_table(plan: KernelPlan, settings: KernelSettings, *, target: QueueTarget) -> str:
    """Return the whole table: what a first load loads and `render` prints.

    With the xt target the queue's chain is empty but for a remark: nft has no words for
    that rule, adapters/xtqueue.py adds it.
    """
    parts = [
        *(block(f"counter {name}", ()) for name in COUNTERS),
        *_content(plan, settings, target),
        *(chain_text(chain) for section in _ordered(plan.sections) for chain in base_chains(section)),
    ]
    return _table(parts, comment=True)


def render_reload(
    plan: KernelPlan,
    settings: KernelSettings,
    *,
    target: QueueTarget,
    standing: frozenset[Section] = frozenset({Section.LOCAL}),
) -> str:
    """Return one transaction that replaces all content and leaves base chains and counters.

    `standing`: the sections that the table has. Base chains of those that the plan does not
    need any more are deleted, and only those: the kernel drops every packet that waits in
    any queue of the namespace when one goes.
    """
    needed = plan.sections
    gone = [line for section in _ordered(standing - needed) for line in _removal(section, plan, settings)]
    flushes = [
        line
        for section in _ordered(standing & needed)
        for line in _flushes(sets(section, plan), _reloaded(plan, settings, target, section))
    ]
    parts = [
        *_content(plan, settings, target, reload=True),
        *(chain_text(chain) for section in _ordered(needed - standing) for chain in base_chains(section)),
    ]
    # Rules first: what they name cannot be deleted before them.
    return "".join((*flushes, *gone)) + _table(parts)


def render_groundwork() -> str:
    """Return the table with nothing but the queue's chain, for the xt target's rule to go in."""
    return _table([block(f"chain {QUEUE_CHAIN}", ())], comment=True)


def render_delete() -> str:
    """Return the command that removes the table; the kernel refuses it if there is none."""
    return f"delete table inet {TABLE}\n"


def base_chain_names(sections: Iterable[Section] = (Section.LOCAL,)) -> frozenset[str]:
    """Return the names of the chains that hang on hooks."""
    return frozenset(base.name for section in sections for base in BASE_CHAINS[section])


def standing_sections(names: frozenset[str]) -> frozenset[Section] | None:
    """Return the sections that these base chains make up; None where they make up none or more."""
    found = frozenset(section for section in Section if base_chain_names((section,)) <= names)
    whole = Section.LOCAL in found and base_chain_names(found) == names
    return found if whole else None


def _table(parts: Iterable[str], *, comment: bool = False) -> str:
    remark = f'\tcomment "{TABLE_COMMENT}"\n' if comment else ""
    return f"table inet {TABLE} {{\n{remark}" + "\n".join(parts) + "}\n"


def _ordered(sections: Iterable[Section]) -> list[Section]:
    wanted = frozenset(sections)
    return [section for section in Section if section in wanted]


def _content(
    plan: KernelPlan, settings: KernelSettings, target: QueueTarget, *, reload: bool = False
) -> Iterator[str]:
    rules = Rules(plan, settings, target)
    sections = _ordered(plan.sections)
    yield from (set_text(one) for section in sections for one in sets(section, plan))
    for section in sections:
        for chain in rules.chains(section):
            if not reload or _reloads(chain, target):
                yield chain_text(chain)


def _reloaded(
    plan: KernelPlan, settings: KernelSettings, target: QueueTarget, section: Section
) -> list[Chain]:
    return [chain for chain in Rules(plan, settings, target).chains(section) if _reloads(chain, target)]


def _reloads(chain: Chain, target: QueueTarget) -> bool:
    return chain.name != QUEUE_CHAIN or target is QueueTarget.NATIVE


def _flushes(flushed: Iterable[Set], chains: Iterable[Chain]) -> Iterator[str]:
    yield from (f"flush chain inet {TABLE} {chain.name}\n" for chain in chains)
    yield from (f"flush {one.word} inet {TABLE} {one.name}\n" for one in flushed)


def _removal(section: Section, plan: KernelPlan, settings: KernelSettings) -> Iterator[str]:
    chains = Rules(plan, settings, QueueTarget.XT).chains(section)
    yield from (f"delete chain inet {TABLE} {base.name}\n" for base in BASE_CHAINS[section])
    yield from (f"flush chain inet {TABLE} {chain.name}\n" for chain in chains)
    yield from (f"delete chain inet {TABLE} {chain.name}\n" for chain in chains)
    yield from (f"delete {one.word} inet {TABLE} {one.name}\n" for one in sets(section, plan))
