"""Bringing a ruleset into force: workers first, then the kernel, or neither.

Owns the order that keeps both in step. Once the kernel asks under a generation, no
worker answers by an older one; what the kernel refuses, the workers forget again.
Must never read files.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nfq_guard.adapters.command import KernelError
from nfq_guard.daemon.pool import WorkerError
from nfq_guard.kernel.plan import plan_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from nfq_guard.adapters.nft import Table
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
            adopted = self._table.installed_generation()
            first = self._numbered(ruleset, adopted or 0)
            plan = plan_for(first, first.generation)
            self._pool.prepare(first, self._slots.assign(first.counter_keys))
            self._pool.start(before_bind)
        except (KernelError, WorkerError) as error:
            self._pool.stop()
            raise NotEnforcedError(str(error)) from error
        try:
            self._install(plan)
        except KernelError as error:
            if adopted is None:
                self._pool.stop()
                raise NotEnforcedError(_refusal(error)) from error
            self.table_trouble = _refusal(error)
        self.ruleset = first

    def change(self, ruleset: Ruleset) -> None:
        """Bring another ruleset into force; NotEnforcedError leaves the one before in force."""
        before = self.ruleset
        assert before is not None, "begin comes first"  # noqa: S101
        following = self._numbered(ruleset, before.generation)
        plan = plan_for(following, following.generation)
        try:
            self._pool.install(following, self._slots.assign(following.counter_keys))
            self._install(plan)
        except (KernelError, WorkerError) as error:
            self._restore(before)
            raise NotEnforcedError(_refusal(error)) from error
        self.ruleset = following
        self.table_trouble = ""

    def _restore(self, before: Ruleset) -> None:
        try:
            self._pool.install(before, self._slots.assign(before.counter_keys))
        except WorkerError:
            # The worker was ended; its successor starts under this very ruleset.
            return

    def describe(self, ruleset: Ruleset) -> None:
        """Take over what a ruleset that decides alike says about endpoints and lines of files."""
        assert self.ruleset is not None, "begin comes first"  # noqa: S101
        self.ruleset = replace(ruleset, generation=self.ruleset.generation)

    def _numbered(self, ruleset: Ruleset, before: int) -> Ruleset:
        return replace(ruleset, generation=self._marks.following(before))

    def table_present(self) -> bool:
        """Return whether the kernel holds the table of the ruleset in force, as we left it."""
        if self.ruleset is None:
            return False
        try:
            in_force = self._table.installed_generation() == self.ruleset.generation
            return in_force and self._table.content() == self._content
        except KernelError:
            return False

    def _install(self, plan: KernelPlan) -> None:
        self._table.install(plan)
        self._content = self._table.content()

    def reinstall(self) -> None:
        """Put the table back that somebody removed; sets `table_trouble`, raises nothing."""
        assert self.ruleset is not None, "begin comes first"  # noqa: S101
        try:
            self._install(plan_for(self.ruleset, self.ruleset.generation))
        except KernelError as error:
            self.table_trouble = _refusal(error)
        else:
            self.table_trouble = ""


def _refusal(error: Exception) -> str:
    return f"the kernel refuses the table: {error}" if isinstance(error, KernelError) else str(error)
