"""YAML text to a tree whose every part knows from which to which character it stands.

Owns positions in text, for edits in place. Values are not read here: resources/tree.py
does, with all its checks, and text comes here only after it was read there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import yaml

from nfq_guard.resources.scalars import PlainScalar, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nfq_guard.store.values import Steps


class Form(Enum):
    """What a part is."""

    SCALAR = "scalar"
    MAPPING = "mapping"
    SEQUENCE = "sequence"
    ALIAS = "alias"


@dataclass(slots=True)
class Span:
    """A part of a document: characters `start` up to but not including `end` (0-based)."""

    form: Form
    start: int
    end: int
    column: int
    flow: bool = False
    """In braces or brackets; False for scalars."""
    marked: bool = False
    """Carries an anchor or a tag."""
    plain: bool = False
    """A scalar without quotes."""
    text: str = ""
    pairs: list[tuple[Span, Span]] = field(default_factory=list)
    items: list[Span] = field(default_factory=list)


class Document(NamedTuple):
    """A document's root, and where the document begins: at its `---` if it has one."""

    start: int
    explicit: bool
    root: Span


def read_spans(text: str) -> list[Document]:
    """Return the documents of a text that is known to be readable."""
    documents: list[Document] = []
    start, explicit = 0, False
    events = yaml.parse(text, Loader=yaml.CSafeLoader)
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            start, explicit = _range(event)[0], bool(event.explicit)
        elif isinstance(event, yaml.NodeEvent):
            documents.append(Document(start, explicit, _span(event, events, text)))
    return documents


def _span(event: yaml.Event, events: Iterator[yaml.Event], text: str) -> Span:
    start, end, column = _range(event)
    if isinstance(event, yaml.AliasEvent):
        return Span(Form.ALIAS, start, end, column)
    assert isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent))  # noqa: S101 - there are no others
    marked = event.anchor is not None or event.tag is not None
    if isinstance(event, yaml.ScalarEvent):
        # A block scalar's mark stands behind the blank lines that follow it.
        end = start + len(text[start:end].rstrip()) if event.style in {"|", ">"} else end
        plain = not event.style and event.tag is None
        return Span(Form.SCALAR, start, end, column, marked=marked, plain=plain, text=event.value)
    is_mapping = isinstance(event, yaml.MappingStartEvent)
    form = Form.MAPPING if is_mapping else Form.SEQUENCE
    span = Span(form, start, end, column, flow=bool(event.flow_style), marked=marked)
    children: list[Span] = []
    for following in events:
        if isinstance(following, yaml.CollectionEndEvent):
            if span.flow:
                span.end = _range(following)[1]
            break
        children.append(_span(following, events, text))
    if children and not span.flow:
        # The end of a block is marked where the next thing begins, behind comments that are not its own.
        span.end = children[-1].end
    span.pairs = list(zip(children[::2], children[1::2], strict=True)) if is_mapping else []
    span.items = [] if is_mapping else children
    return span


def _range(event: yaml.Event) -> tuple[int, int, int]:
    """Return where an event begins and ends, and its first column (all 0-based)."""
    begin, end = event.start_mark, event.end_mark
    assert begin is not None and end is not None  # noqa: S101, PT018 - libyaml marks every one
    return begin.index, end.index, begin.column


def key_name(key: Span) -> str | None:
    """Return a key as resources/tree.py reads it; None for one that is no name, such as a merge key."""
    if key.form is not Form.SCALAR or (key.plain and key.text == "<<"):
        return None
    if not key.plain:
        return key.text
    value = resolve(key.text)
    if value is None or isinstance(value, str):
        return value
    return PlainScalar(value, key.text, 0, 0).text


def find(root: Span, steps: Steps) -> Span | None:
    """Return the part that steps lead to; None where an alias or a merge stands in the way."""
    for step in steps:
        if isinstance(step, int):
            found = root.items[step] if step < len(root.items) else None
        else:
            found = next((value for key, value in root.pairs if key_name(key) == step), None)
        if found is None:
            return None
        root = found
    return root


class CannotMendError(Exception):
    """A part of the text is more intricate than edits in place understand."""


def named_pairs(span: Span) -> dict[str, tuple[Span, Span]]:
    """Return the keys of a mapping with their parts, in order; CannotMendError if one is no plain name."""
    found: dict[str, tuple[Span, Span]] = {}
    for key, value in span.pairs:
        name = key_name(key)
        if name is None or name in found or key.marked:
            raise CannotMendError
        found[name] = (key, value)
    return found
