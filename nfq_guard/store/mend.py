"""The smallest edit of a document's text that makes its data what is wanted.

Owns edits of block style and the descent to what differs; comments, order, quotes and
indentation of everything else stay. Gives up (CannotMendError) where the text is more
intricate than it understands; the caller then writes the part anew. Must never decide
whether an edit is right: edit.py reads the result back and compares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.store import emit
from nfq_guard.store.flows import Flows, aligned
from nfq_guard.store.spans import CannotMendError, Form, Span, named_pairs
from nfq_guard.store.values import same

if TYPE_CHECKING:
    from nfq_guard.store.changes import Changes
    from nfq_guard.store.emit import Style
    from nfq_guard.store.values import Data


def mend(changes: Changes, style: Style, span: Span, old: Data, new: Data) -> None:
    """Collect the changes that turn a part of data `old` into `new`; CannotMendError where it cannot be done."""
    _Mender(changes, style).part(span, old, new)


class _Mender:
    def __init__(self, changes: Changes, style: Style) -> None:
        self._changes = changes
        self._style = style
        self._flows = Flows(changes)

    def part(self, span: Span, old: Data, new: Data) -> None:
        """Change a part in place, if it stays a filled mapping or list."""
        if same(old, new):
            return
        if span.marked or span.form not in {Form.MAPPING, Form.SEQUENCE}:
            raise CannotMendError
        if span.flow:
            self._flows.part(span, old, new)
        elif isinstance(old, dict) and isinstance(new, dict) and old and new:
            self._mapping(span, old, new)
        elif isinstance(old, list) and isinstance(new, list) and old and new:
            self._sequence(span, old, new)
        else:
            raise CannotMendError

    def _mapping(self, span: Span, old: dict[str, Data], new: dict[str, Data]) -> None:
        known = named_pairs(span)
        kept = [name for name in known if name in new or name not in old]
        if not kept:
            raise CannotMendError
        for place, (name, (key, value)) in enumerate(known.items()):
            if name in new:
                self._value(key, value, (old.get(name), new[name]))
            elif name in old:
                following = span.pairs[place + 1 : place + 2]
                self._drop(key, value, following[0][0] if following else None, stays=kept, first=place == 0)
        self._add(span, known, kept, new)

    def _add(
        self, span: Span, known: dict[str, tuple[Span, Span]], kept: list[str], new: dict[str, Data]
    ) -> None:
        column = span.pairs[0][0].column
        before = kept[-1]
        for name, value in new.items():
            if name in known:
                before = name
                continue
            self._changes.insert_lines(known[before][1].end, emit.pair(name, value, column, self._style))

    def _drop(self, key: Span, value: Span, following: Span | None, *, stays: list[str], first: bool) -> None:
        end = max(key.end, value.end)
        if self._changes.alone_on_line(key.start):
            # What stands above the first key may be about the whole mapping.
            start = key.start if first else self._changes.heading(key.start, key.column)
            self._changes.remove_lines(start, self._changes.tail(end, key.column))
            return
        # The key shares its line with the dash of a list: what follows moves up to it.
        if following is None or following.text not in stays:
            raise CannotMendError
        if "#" in self._changes.text[end : following.start]:
            raise CannotMendError
        self._changes.replace(key.start, following.start, "")

    def _value(self, key: Span, value: Span, data: tuple[Data, Data]) -> None:
        old, new = data
        if same(old, new):
            return
        mark = self._changes.mark()
        try:
            self.part(value, old, new)
        except CannotMendError:
            self._changes.undo_to(mark)
            colon = self._colon(key)
            indent = key.column + (self._style.dash if isinstance(new, list) else self._style.step)
            self._write(colon, value, new, indent)

    def _colon(self, key: Span) -> int:
        """Return the place behind the colon of a key."""
        rest = self._changes.text[key.end :]
        if not rest.lstrip().startswith(":"):
            raise CannotMendError
        return key.end + len(rest) - len(rest.lstrip()) + 1

    def _write(self, after: int, value: Span, new: Data, indent: int) -> None:
        """Write a value anew, behind its colon or dash; comments between them stay."""
        text = self._changes.text
        gap, end = text[after : value.start], self._end(after, value)
        comment = gap.rstrip() if "#" in gap else ""
        short = emit.inline(new)
        if short is not None:
            self._changes.replace(after, end, f" {short}{comment}")
            return
        lines = emit.lines(new, indent, self._style)
        if "\n" in gap:
            newline = self._changes.newline
            self._changes.replace(after, end, comment + newline + newline.join(lines))
            return
        self._changes.replace(after, end, "")
        self._changes.insert_lines(end, lines)

    def _end(self, after: int, value: Span) -> int:
        """Return where a value ends that is to be written anew.

        A comment behind the last of several lines was about that line, and goes with it.
        """
        end = max(value.end, after)
        if "\n" not in self._changes.text[after:end]:
            return end
        line_end = self._changes.line_end(end)
        return line_end - self._changes.text[:line_end].endswith("\r")

    def _sequence(self, span: Span, old: list[Data], new: list[Data]) -> None:
        if len(old) != len(span.items):
            raise CannotMendError
        dashes = [self._dash(span, index) for index in range(len(old))]
        steps = aligned(old, new)
        if not steps.kept:
            raise CannotMendError
        for index, wanted in steps.changed:
            self._item(dashes[index], span.items[index], old[index], new[wanted])
        for index in steps.dropped:
            if not self._changes.alone_on_line(dashes[index]):
                raise CannotMendError
            start = self._changes.heading(dashes[index], span.column)
            self._changes.remove_lines(start, self._tail(span, dashes, index))
        for index, items in steps.added:
            lines = [line for item in items for line in emit.item(new[item], span.column, self._style)]
            if index >= 0:
                self._changes.insert_lines(self._tail(span, dashes, index), lines)
            elif self._changes.alone_on_line(dashes[0]):
                start = self._changes.line_start(dashes[0])
                self._changes.replace(start, start, "".join(line + self._changes.newline for line in lines))
            else:
                raise CannotMendError

    def _tail(self, span: Span, dashes: list[int], index: int) -> int:
        """Return where an item ends, with the comments that are its own."""
        return self._changes.tail(max(dashes[index], span.items[index].end), span.column)

    def _item(self, dash: int, span: Span, old: Data, new: Data) -> None:
        mark = self._changes.mark()
        try:
            self.part(span, old, new)
        except CannotMendError:
            self._changes.undo_to(mark)
            if emit.inline(new) is not None:
                self._write(dash + 1, span, new, 0)
                return
            column = dash - self._changes.line_start(dash)
            first, *rest = emit.lines(new, column + 2, self._style)
            newline = self._changes.newline
            if "#" in self._changes.text[dash : span.start]:
                raise
            self._changes.replace(
                dash + 1, self._end(dash + 1, span), newline.join([" " + first.lstrip(" "), *rest])
            )

    def _dash(self, span: Span, index: int) -> int:
        """Return where the dash of an item is: in the column of all, at or above the item."""
        changes, item = self._changes, span.items[index]
        lowest = span.items[index - 1].end if index else span.start
        start = changes.line_start(item.start)
        while start + span.column >= lowest:
            place = start + span.column
            if place <= item.start and changes.text[place : place + 1] == "-":
                return place
            if start == 0:
                break
            start = changes.line_start(start - 1)
        raise CannotMendError
