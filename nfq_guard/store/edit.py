"""A resource's text replaced, removed or added, and the proof that nothing else changed.

Owns the order of attempts: the smallest edit first, then the resource written anew, then
refusal. Each attempt is read back, and is good only if every other value of the text is
what it was. One text here is one YAML document (or a JSON file), without its neighbours.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import TYPE_CHECKING

from nfq_guard.resources.source import Source
from nfq_guard.resources.tree import read_documents
from nfq_guard.store import emit
from nfq_guard.store.changes import Changes
from nfq_guard.store.emit import Style
from nfq_guard.store.mend import mend
from nfq_guard.store.spans import CannotMendError, Form, Span, find, read_spans
from nfq_guard.store.values import data_of, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from nfq_guard.store.values import Data, Steps

_ODD_LINE_BREAKS = re.compile("\r(?!\n)|[\x85\u2028\u2029]")


class CannotEditError(Exception):
    """The text cannot be changed without changing more than was asked for."""


def read_data(text: str) -> Data:
    """Return the data of a text with one document; CannotEditError if it cannot be read or has more."""
    documents = read_documents(Source("", text.encode()))
    if documents.problems or len(documents.roots) > 1:
        raise CannotEditError
    return data_of(documents.roots[0]) if documents.roots else None


def replace_part(text: str, steps: Steps, new: Data) -> str:
    """Return the text with the part at `steps` made `new`; CannotEditError if that cannot be done."""
    return change_parts(text, {steps: new})


def change_parts(text: str, edits: Mapping[Steps, Data]) -> str:
    """Return the text with some parts made others, or (None) taken out of their lists.

    CannotEditError if that cannot be done. Where the smallest edit of a part fails, it is
    written anew, and loses the comments inside it; a list around parts never is.
    """
    old = read_data(text)
    wanted = _wanted(old, edits)
    return _first_good(text, wanted, (_attempt(text, old, edits), _attempt(text, old, edits, anew=True)))


def append_item(text: str, steps: Steps, new: Data) -> str:
    """Return the text with one more item in the list at `steps`; CannotEditError if that cannot be done."""
    old = read_data(text)
    items = _part(old, steps)
    if not items:
        # There is nothing in the list that could be lost.
        return replace_part(text, steps, [new])
    wanted = _wanted(old, {steps: [*items, new]})

    def attempt() -> str:
        edit = _Edit(text)
        edit.mend(steps, items, [*items, new])
        return edit.result()

    return _first_good(text, wanted, [attempt])


def _first_good(text: str, wanted: Data, attempts: Iterable[Callable[[], str]]) -> str:
    if not _ODD_LINE_BREAKS.search(text):
        for attempt in attempts:
            try:
                edited = attempt()
                found = read_data(edited)
            except (CannotMendError, CannotEditError, ValueError):
                continue
            if same(found, wanted):
                return edited
    raise CannotEditError


def _attempt(text: str, old: Data, edits: Mapping[Steps, Data], *, anew: bool = False) -> Callable[[], str]:
    def attempt() -> str:
        edit = _Edit(text)
        for steps, new in edits.items():
            if new is not None:
                edit.replace(steps, _part(old, steps), new, anew=anew)
        for holder, gone in _removals(edits).items():
            items = _part(old, holder)
            kept = [item for index, item in enumerate(items) if index not in gone]
            if kept:
                edit.mend(holder, items, kept)
            elif not holder:
                edit.replace(holder, items, kept, anew=True)
            else:
                around = _part(old, holder[:-1])
                edit.mend(holder[:-1], around, {**around, holder[-1]: kept})
        return edit.result()

    return attempt


def _removals(edits: Mapping[Steps, Data]) -> dict[Steps, set[str | int]]:
    """Return the lists that lose items, with the indices of these."""
    gone: dict[Steps, set[str | int]] = {}
    for steps, new in edits.items():
        if new is None:
            gone.setdefault(steps[:-1], set()).add(steps[-1])
    return gone


def _wanted(old: Data, edits: Mapping[Steps, Data]) -> Data:
    """Return the data as it should be."""
    if () in edits:
        return edits[()]
    wanted = deepcopy(old)
    for steps, new in edits.items():
        if new is not None:
            _part(wanted, steps[:-1])[steps[-1]] = new
    for holder, gone in _removals(edits).items():
        items = _part(wanted, holder)
        items[:] = [item for index, item in enumerate(items) if index not in gone]
    return wanted


def _part(data: Data, steps: Steps) -> Data:
    for step in steps:
        data = data.get(step) if isinstance(step, str) else data[step]
    return data


class _Edit:
    """Changes of one document, collected."""

    def __init__(self, text: str) -> None:
        documents = read_spans(text)
        if len(documents) != 1:
            raise CannotMendError
        self._root = documents[0].root
        self._changes = Changes(text)
        self._style = style_of(self._root)
        self._json = text.lstrip()[:1] in {"{", "["}

    def result(self) -> str:
        """Return the text with all changes."""
        return self._changes.result()

    def mend(self, steps: Steps, old: Data, new: Data) -> None:
        """Change a part as little as can be; CannotMendError if that cannot be done."""
        mend(self._changes, self._style, self._span(steps), old, new)

    def replace(self, steps: Steps, old: Data, new: Data, *, anew: bool) -> None:
        """Change a part as little as can be; or write it anew, if that fails or is asked for."""
        if anew:
            self._write(self._span(steps), new)
            return
        mark = self._changes.mark()
        try:
            self.mend(steps, old, new)
        except CannotMendError:
            self._changes.undo_to(mark)
            self._write(self._span(steps), new)

    def _span(self, steps: Steps) -> Span:
        span = find(self._root, steps)
        if span is None:
            raise CannotMendError
        return span

    def _write(self, span: Span, new: Data) -> None:
        if span.flow or span.form is Form.SCALAR:
            self._changes.replace(span.start, span.end, emit.json_text(new) if self._json else emit.flow(new))
            return
        column = span.pairs[0][0].column if span.pairs else span.column
        written = emit.inline(new)
        lines = [written] if written is not None else emit.lines(new, column, self._style)
        self._changes.replace(span.start, span.end, self._changes.newline.join(lines).lstrip(" "))


def style_of(root: Span) -> Style:
    """Return how a document is indented, as far as it shows."""
    default = Style(dash=2)
    step = next((value.pairs[0][0].column - key.column for key, value in _blocks(root) if value.pairs), None)
    dash = next((value.column - key.column for key, value in _blocks(root) if value.items), None)
    return Style(
        step if step is not None and step > 0 else default.step,
        dash if dash is not None and dash >= 0 else default.dash,
    )


def _blocks(root: Span) -> Iterator[tuple[Span, Span]]:
    """Yield the keys whose values are blocks below them."""
    pending = [root]
    while pending:
        span = pending.pop()
        for key, value in span.pairs:
            if not value.flow and not value.marked:
                yield key, value
        pending += [*span.items[::-1], *(value for _, value in span.pairs[::-1])]
