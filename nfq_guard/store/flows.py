"""Edits inside braces and brackets: YAML's flow style, and so JSON.

Owns where commas go. Line breaks and indentation follow those of the neighbours.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.store import emit
from nfq_guard.store.spans import CannotMendError, Form, Span, named_pairs
from nfq_guard.store.values import fingerprint, same

if TYPE_CHECKING:
    from nfq_guard.store.changes import Changes
    from nfq_guard.store.values import Data

_LONGEST_COMPARED = 20_000
"""Items of a list that differ; matching more of them takes longer than writing the list anew is worth."""


_REST = re.compile(r"[ \t]*,?[ \t]*(?:#.*)?\r?")
"""What may stand behind a child on its last line, if the next one begins another."""

Extent = tuple[int, int]
"""From which to which character a child stands."""


class Alignment(NamedTuple):
    """How the items of a list become those of another. Indices of the old list, then of the new."""

    kept: bool
    """Whether any item stays, changed or not."""
    changed: list[tuple[int, int]]
    dropped: list[int]
    added: list[tuple[int, list[int]]]
    """New items behind an old one; -1: ahead of all."""


def aligned(old: list[Data], new: list[Data]) -> Alignment:
    """Match two lists so that little changes."""
    prints, wanted = [fingerprint(each) for each in old], [fingerprint(each) for each in new]
    if len(prints) + len(wanted) > 2 * _LONGEST_COMPARED:
        raise CannotMendError
    changed: list[tuple[int, int]] = []
    dropped: list[int] = []
    added: list[tuple[int, list[int]]] = []
    for _tag, i1, i2, j1, j2 in SequenceMatcher(None, prints, wanted, autojunk=False).get_opcodes():
        both = min(i2 - i1, j2 - j1)
        changed += [(i1 + n, j1 + n) for n in range(both) if not same(old[i1 + n], new[j1 + n])]
        dropped += range(i1 + both, i2)
        if j1 + both < j2:
            added.append((i1 + both - 1, list(range(j1 + both, j2))))
    return Alignment(len(dropped) < len(old), changed, dropped, added)


class Flows:
    """Changes parts in braces and brackets."""

    def __init__(self, changes: Changes) -> None:
        """Collect changes there."""
        self._changes = changes
        self._json = changes.text.lstrip()[:1] in {"{", "["}

    def part(self, span: Span, old: Data, new: Data) -> None:
        """Change a part in place; CannotMendError where it cannot be done."""
        if same(old, new):
            return
        if span.marked:
            raise CannotMendError
        if span.form is Form.MAPPING and isinstance(old, dict) and isinstance(new, dict) and old and new:
            self._mapping(span, old, new)
        elif span.form is Form.SEQUENCE and isinstance(old, list) and isinstance(new, list) and old and new:
            self._sequence(span, old, new)
        else:
            raise CannotMendError

    def _mapping(self, span: Span, old: dict[str, Data], new: dict[str, Data]) -> None:
        known = named_pairs(span)
        dropped = [place for place, name in enumerate(known) if name not in new and name in old]
        extents = [(key.start, max(key.end, value.end)) for key, value in span.pairs]
        for name, (_key, value) in known.items():
            if name in new and not same(old.get(name), new[name]):
                self._value(value, old.get(name), new[name])
        fresh = [name for name in new if name not in known]
        if not dropped and not fresh:
            return
        gap = self._gap(span, extents)
        texts = [f"{self._name(name)}: {self._text(new[name], gap)}" for name in fresh]
        self._splice(span, extents, dropped, [(len(extents) - 1, texts)] if texts else [], gap)

    def _sequence(self, span: Span, old: list[Data], new: list[Data]) -> None:
        if len(old) != len(span.items):
            raise CannotMendError
        steps = aligned(old, new)
        for index, wanted in steps.changed:
            self._value(span.items[index], old[index], new[wanted])
        if not steps.dropped and not steps.added:
            return
        extents = [(item.start, item.end) for item in span.items]
        gap = self._gap(span, extents)
        added = [(at, [self._text(new[item], gap) for item in items]) for at, items in steps.added]
        self._splice(span, extents, steps.dropped, added, gap)

    def _value(self, span: Span, old: Data, new: Data) -> None:
        mark = self._changes.mark()
        try:
            self.part(span, old, new)
        except CannotMendError:
            if span.start == span.end:
                raise
            self._changes.undo_to(mark)
            line = self._changes.text[self._changes.line_start(span.start) : span.start]
            indent = line[: len(line) - len(line.lstrip())]
            spread = "\n" in self._changes.text[span.start : span.end]
            self._changes.replace(span.start, span.end, self._text(new, "\n" + indent if spread else " "))

    def _splice(
        self,
        span: Span,
        extents: list[Extent],
        dropped: list[int],
        added: list[tuple[int, list[str]]],
        gap: str,
    ) -> None:
        """Take out and put in children, each with one comma."""
        if len(dropped) == len(extents):
            raise CannotMendError
        if self._has_comments(span, extents):
            self._splice_lines(span, extents, dropped, added)
            return
        gone = set(dropped)
        first = next(index for index in range(len(extents)) if index not in gone)
        if first:
            self._changes.replace(extents[0][0], extents[first][0], "")
        for index in dropped:
            if index > first:
                self._changes.replace(extents[index - 1][1], extents[index][1], "")
        for index, texts in added:
            if index < first:
                place = extents[0][0]
                self._changes.replace(place, place, "".join(text + "," + gap for text in texts))
            else:
                place = extents[index][1]
                self._changes.replace(place, place, "".join("," + gap + text for text in texts))

    def _has_comments(self, span: Span, extents: list[Extent]) -> bool:
        """Return whether a comment stands between the children, or around them."""
        edges = [span.start + 1, *(place for extent in extents for place in extent), span.end]
        return any("#" in self._changes.text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True))

    def _splice_lines(
        self, span: Span, extents: list[Extent], dropped: list[int], added: list[tuple[int, list[str]]]
    ) -> None:
        """Take out and put in children that have lines of their own, each with the comments about it."""
        changes = self._changes
        rests = [changes.text[end : changes.line_end(end)] for _, end in extents]
        own = all(changes.alone_on_line(start) for start, _ in extents)
        if not own or not all(map(_REST.fullmatch, rests)) or changes.line_end(extents[-1][1]) >= span.end:
            raise CannotMendError
        start = extents[0][0]
        indent = changes.text[changes.line_start(start) : start]
        for index in dropped:
            place, end = extents[index]
            changes.remove_lines(changes.heading(place, len(indent)), end)
        for index, texts in added:
            lines = [f"{indent}{text}," for text in texts]
            if index < 0:
                above = changes.line_start(changes.heading(start, len(indent)))
                changes.replace(above, above, "".join(line + changes.newline for line in lines))
                continue
            end = extents[index][1]
            if not rests[index].lstrip().startswith(","):
                changes.replace(end, end, ",")
                lines[-1] = lines[-1].removesuffix(",")
            changes.insert_lines(end, lines)

    def _gap(self, span: Span, extents: list[Extent]) -> str:
        """Return what stands between a comma, or the opening brace, and the child that follows."""
        text = self._changes.text
        if len(extents) > 1:
            between = text[extents[-2][1] : extents[-1][0]]
            gap = between.partition(",")[2]
        else:
            gap = text[span.start + 1 : extents[0][0]]
            gap = gap if "\n" in gap else " "
        # What is not blank is a comment, which is not to be repeated.
        return gap if not gap.strip() else "\n" + gap.rpartition("\n")[2]

    def _name(self, name: str) -> str:
        return emit.quoted(name) if self._json else emit.scalar(name, flow=True)

    def _text(self, value: Data, gap: str) -> str:
        """Return a value as its neighbours are written: spread over lines if they are."""
        if not self._json:
            return emit.flow(value)
        if "\n" not in gap:
            return emit.json_text(value, None)
        indent = gap.rpartition("\n")[2]
        newline = self._changes.newline
        return emit.json_text(value).replace("\n", newline + indent)
