"""Results that are worth keeping as long as what they were made of is still there.

Owns when a result is forgotten: after a round in which nobody asked for it. So a memo
never holds more than two rounds asked for. Must never be asked about what may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Subject = TypeVar("Subject")
Context = TypeVar("Context")
Result = TypeVar("Result")


class _Kept(NamedTuple, Generic[Subject, Context, Result]):
    subject: Subject
    """Held, so that no other object can get its identity."""
    context: Context
    result: Result


class Memo(Generic[Subject, Context, Result]):
    """A function's results by the identity of its subject: comparing that would cost what the memo saves."""

    def __init__(self, make: Callable[[Subject, Context], Result]) -> None:
        """Start empty. `make`: a pure function of a subject that cannot change, and of a context."""
        self._make = make
        self._now: dict[int, _Kept[Subject, Context, Result]] = {}
        self._before: dict[int, _Kept[Subject, Context, Result]] = {}

    def __len__(self) -> int:
        """Return how many results are kept."""
        return len(self._now.keys() | self._before.keys())

    def begin_round(self) -> None:
        """Forget what nobody asked for in the round that ends here."""
        self._before, self._now = self._now, {}

    def get(self, subject: Subject, context: Context) -> Result:
        """Return what the function makes of this very subject and an equal context."""
        key = id(subject)
        kept = self._now.get(key) or self._before.get(key)
        if kept is None or kept.subject is not subject or kept.context != context:
            kept = _Kept(subject, context, self._make(subject, context))
        self._now[key] = kept
        return kept.result
