"""Bringing a ruleset into force: workers first, then the kernel, or neither.

Owns the order that keeps both in step, and the generations. Once the kernel asks under a
generation, no worker answers by an older one; what the kernel refuses, the workers forget
again, and what they allowed by it meanwhile is not remembered. Must never read files.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from nfq_guard.adapters.command import KernelError
from nfq_guard.daemon.pool import WorkerError
from nfq_guard.kernel.plan import plan_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from nfq_guard.adapters.nft import Look, Table
    from nfq_guard.daemon.pool import Pool
    from nfq_guard.daemon.slots import SlotTable
    from nfq_guard.engine.ruleset import Ruleset
    from nfq_guard.kernel.plan import KernelPlan, KernelSettings


class NotEnforcedError(Exception):
    """Kernel or workers refuse a ruleset; what was in force before still is."""


class Enforcer:
    """Knows what is in force in workers and kernel."""

    def __init__(self, settings: KernelSettings, table: Table, pool: Pool, slots: SlotTable) -> None:
        """Nothing is in force yet."""
        self._marks = settings.connection_mark
        self._table = table
        self._pool = pool
        self._slots = slots
        self._last = 0
        """Generation handed out last: none is given to two policies within a round."""
        self._doubtful = False
        """Connections may carry the generation in force that another policy allowed."""
        self._content = ""
        """What the table said when it was last installed."""
        self.ruleset: Ruleset | None = None
        """In force in the workers; in the kernel too unless `table_trouble`."""
        self.table_trouble = ""
        """Why the kernel does not enforce it; empty when it does."""

    def begin(self, ruleset: Ruleset, before_bind: Callable[[], None]) -> None:
        """Start the workers under a first ruleset, then install or adopt the table.

        NotEnforcedError leaves no worker behind, and the kernel as it was. A table that
        was there already and cannot be changed keeps its new workers: better the policy
        of now under its old fast path than a table that nobody answers.
        """
        try:
            found = self._table.read_back()
            # A damaged table has stamped connections as well.
            self._last = (found.generation if found is not None else None) or 0
            first = self._numbered(ruleset)
            plan = plan_for(first, first.generation)
            self._pool.prepare(first, self._slots.assign(first.counted))
            self._pool.start(before_bind)
        except (KernelError, WorkerError) as error:
            self._pool.stop()
            raise NotEnforcedError(str(error)) from error
        try:
            self._install(plan)
        except KernelError as error:
            if found is None or not found.sound:
                self._pool.stop()
                raise NotEnforcedError(_refusal(error)) from error
            self.table_trouble = _refusal(error)
            self._doubtful = True
        self.ruleset = first

    def change(self, ruleset: Ruleset) -> None:
        """Bring another ruleset into force; NotEnforcedError leaves the one before in force.

        The one before may then have another generation.
        """
        before = self.ruleset
        assert before is not None, "begin comes first"  # noqa: S101
        following = self._numbered(ruleset)
        plan = plan_for(following, following.generation)
        try:
            # The kernel is asked what it has while the workers take in the ruleset.
            with self._table.look() as look:
                self._pool.install(following, self._slots.assign(following.counted))
                self._install(plan, look=look)
        except (KernelError, WorkerError) as error:
            self._go_back(before)
            raise NotEnforcedError(_refusal(error)) from error
        self.ruleset = following
        self.table_trouble = ""

    def _go_back(self, before: Ruleset) -> None:
        """Bring the ruleset before into force again.

        Under a fresh generation: the workers have decided by the refused one already, and
        the kernel stamped that with whatever it asks under, which nobody knows for sure.
        """
        again = self._numbered(before)
        # A worker that does not take it is ended; its successor starts under this very ruleset.
        with contextlib.suppress(WorkerError):
            self._pool.install(again, self._slots.assign(again.counted))
        try:
            self._install(plan_for(again, again.generation))
        except KernelError as error:
            self._forget(error)
        else:
            self.ruleset = again
            self.table_trouble = ""

    def _forget(self, refusal: KernelError) -> None:
        """Have everything judged again: the workers are back, but the kernel takes no generation."""
        self._doubtful = True
        with contextlib.suppress(KernelError):
            self._table.forget()
            self._doubtful = False
        if self._doubtful or not self.table_present():
            self.table_trouble = _refusal(refusal)

    def describe(self, ruleset: Ruleset) -> None:
        """Take over what a ruleset that decides alike says about endpoints and lines of files."""
        assert self.ruleset is not None, "begin comes first"  # noqa: S101
        self.ruleset = replace(ruleset, generation=self.ruleset.generation)

    def _numbered(self, ruleset: Ruleset) -> Ruleset:
        self._last = self._marks.following(self._last)
        if self.ruleset is not None and self._last == self.ruleset.generation:
            self._last = self._marks.following(self._last)
        return replace(ruleset, generation=self._last)

    def table_present(self) -> bool:
        """Return whether the kernel holds the table of the ruleset in force, as we left it."""
        if self.ruleset is None:
            return False
        try:
            in_force = self._table.installed_generation() == self.ruleset.generation
            return in_force and self._table.content() == self._content
        except KernelError:
            return False

    def _install(self, plan: KernelPlan, *, again: bool = False, look: Look | None = None) -> None:
        self._table.install(plan, again=again, look=look)
        self._content = self._table.content()
        self._doubtful = False

    def reinstall(self) -> None:
        """Put the table back that somebody removed; sets `table_trouble`, raises nothing."""
        assert self.ruleset is not None, "begin comes first"  # noqa: S101
        try:
            plan = plan_for(self.ruleset, self.ruleset.generation)
            self._install(plan, again=not self._doubtful)
        except KernelError as error:
            self.table_trouble = _refusal(error)
        else:
            self.table_trouble = ""


def _refusal(error: Exception) -> str:
    return f"the kernel refuses the table: {error}" if isinstance(error, KernelError) else str(error)
