"""What the controller lets others see: metrics and health threads, the control socket.

Owns the readable state of a running guard. One writer, the controller's loop; readers
in other threads take single references, which CPython swaps whole. Must never change
what the guard does.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nfq_guard.adapters.http import Health

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nfq_guard.daemon.counters import Reader
    from nfq_guard.daemon.readings import KernelReadings
    from nfq_guard.daemon.slots import SlotTable
    from nfq_guard.engine.ruleset import Ruleset
    from nfq_guard.model.host import HostFacts
    from nfq_guard.resources.source import Source

_STUCK_SECONDS = 10.0
"""A controller whose loop has not turned for so long is not healthy."""


@dataclass(slots=True)
class Telemetry:
    """The state of a running guard, as far as it may be seen."""

    counters: Reader
    slots: SlotTable
    read_kernel: Callable[[], KernelReadings]
    selector_cache: Callable[[], tuple[int, int]]
    """Hits and misses."""
    learned: Callable[[], tuple[int, int]] = lambda: (0, 0)
    """Decisions that the kernel was taught, and that it did not take."""
    ruleset: Ruleset | None = None
    """In force."""
    sources: Sequence[Source] = ()
    """The files in force."""
    facts: HostFacts | None = None
    """The host, as last looked at."""
    trouble: str = "starting"
    """Why the guard does not fully enforce; empty when it does."""
    loaded_at: float = 0.0
    """When the policy in force was loaded, seconds since the epoch."""
    load_errors: tuple[str, ...] = ()
    """Problems of the last load, if it failed: an older policy is in force."""
    other_node: str = ""
    """This node's name, if there are host endpoints, but none for it: nothing is guarded."""
    worker_restarts: int = 0
    workers_up: dict[int, bool] = field(default_factory=dict)
    """By queue number."""
    table_reinstalls: int = 0
    deny_log_missed: int = 0
    """Denials of which the deny log has seen no record."""
    turned_at: float = field(default_factory=time.monotonic)
    """When the controller's loop last turned."""

    @property
    def generation(self) -> int:
        """Return the generation in force, 0 for none."""
        return self.ruleset.generation if self.ruleset is not None else 0

    def healthy(self) -> Health:
        """Return whether the controller itself is alive."""
        silent = time.monotonic() - self.turned_at
        good = silent < _STUCK_SECONDS
        return Health(good, "ok" if good else f"the controller has been stuck for {silent:.0f} s")

    def ready(self) -> Health:
        """Return whether kernel and workers enforce the current generation."""
        if self.trouble:
            return Health(good=False, text=self.trouble)
        text = f"enforcing generation {self.generation}"
        if self.load_errors:
            text += "; the last change was refused, an older policy is in force"
        text += self._idle()
        if self.other_node:
            text += f"; nothing is guarded, no host endpoint is for this node ({self.other_node})"
        return Health(good=True, text=text)

    def _idle(self) -> str:
        """Return which host endpoints govern nothing, in words for behind the others."""
        states = () if self.ruleset is None else self.ruleset.endpoint_states
        idle = [state for state in states if state.reason and state.kind == "HostEndpoint"]
        if len(idle) == 1:
            return f"; host endpoint {idle[0].name} governs nothing ({idle[0].reason})"
        return f"; {len(idle)} host endpoints govern nothing" if idle else ""
