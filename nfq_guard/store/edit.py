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
    from collections.abc import Callable, Iterable, Iterator

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
    """Return the text with the part at `steps` made `new`; CannotEditError if that cannot be done.

    Where the smallest edit fails, the part is written anew, and loses the comments inside it.
    """
    old = read_data(text)
    wanted = _with_part(old, steps, new)
    return _first_good(text, wanted, (_mended(text, steps, old, new), _rewritten(text, steps, new)))


def remove_item(text: str, steps: Steps) -> str:
    """Return the text without the list's item at `steps`; CannotEditError if that cannot be done."""
    *holder, index = steps
    assert isinstance(index, int)  # noqa: S101 - only items of lists are removed
    kept = list(_part(read_data(text), tuple(holder)))
    del kept[index]
    return _with_items(text, tuple(holder), kept)


def append_item(text: str, steps: Steps, new: Data) -> str:
    """Return the text with one more item in the list at `steps`; CannotEditError if that cannot be done."""
    return _with_items(text, steps, [*(_part(read_data(text), steps) or []), new])


def _with_items(text: str, steps: Steps, items: list[Data]) -> str:
    """Return the text with other items in a list. It is never written anew: its items are not ours."""
    old = read_data(text)
    wanted = _with_part(old, steps, items)
    if items and _part(old, steps):
        return _first_good(text, wanted, [_mended(text, steps, old, items)])
    # The list was empty or gets so: there is nothing in it that could be lost.
    attempt = (
        _mended(text, steps[:-1], old, _part(wanted, steps[:-1])) if steps else _rewritten(text, (), items)
    )
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


def _mended(text: str, steps: Steps, old: Data, new: Data) -> Callable[[], str]:
    def attempt() -> str:
        root, span = _located(text, steps)
        changes = Changes(text)
        mend(changes, style_of(root), span, _part(old, steps), new)
        return changes.result()

    return attempt


def _rewritten(text: str, steps: Steps, new: Data) -> Callable[[], str]:
    """Return the attempt that writes the part anew; comments inside it are lost."""

    def attempt() -> str:
        root, span = _located(text, steps)
        changes = Changes(text)
        if span.flow or span.form is Form.SCALAR:
            flowing = text.lstrip()[:1] in {"{", "["}
            changes.replace(span.start, span.end, emit.json_text(new) if flowing else emit.flow(new))
        else:
            column = span.pairs[0][0].column if span.pairs else span.column
            written = emit.inline(new)
            lines = [written] if written is not None else emit.lines(new, column, style_of(root))
            changes.replace(span.start, span.end, changes.newline.join(lines).lstrip(" "))
        return changes.result()

    return attempt


def _located(text: str, steps: Steps) -> tuple[Span, Span]:
    documents = read_spans(text)
    if len(documents) != 1:
        raise CannotMendError
    span = find(documents[0].root, steps)
    if span is None:
        raise CannotMendError
    return documents[0].root, span


def _part(data: Data, steps: Steps) -> Data:
    for step in steps:
        data = data.get(step) if isinstance(step, str) else data[step]
    return data


def _with_part(data: Data, steps: Steps, new: Data) -> Data:
    if not steps:
        return new
    copied = deepcopy(data)
    _part(copied, steps[:-1])[steps[-1]] = new
    return copied


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
