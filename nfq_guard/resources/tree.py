"""YAML text to a tree whose every value knows its line and column.

Owns reading documents: syntax, duplicate keys, aliases, merge keys, and the bounds on
size, depth and number of values. libyaml scans and parses; the tree is built here from
its events, so that a bomb is refused before it is unfolded. Must never know a resource.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import yaml

from nfq_guard.model.problem import Position, Problem, Severity
from nfq_guard.resources.scalars import PlainScalar, resolve
from nfq_guard.resources.source import MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES, Source

if TYPE_CHECKING:
    from collections.abc import Callable

_CORE_TAG = "tag:yaml.org,2002:"
_MERGE = "<<"
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAKS = re.compile("\r\n|[\r\n\x85\u2028\u2029]")


@dataclass(slots=True)
class Node:
    """A value at a place. Size and height count what aliases stand for."""

    line: int
    column: int
    size: int = 1
    height: int = 1


@dataclass(slots=True)
class ScalarNode(Node):
    """Text, or what an unquoted scalar stands for."""

    value: str | PlainScalar | None = None
    raw: str = ""


@dataclass(slots=True)
class MergeKey(ScalarNode):
    """An unquoted `<<`: as a key, it merges the mapping that follows."""


@dataclass(slots=True)
class SequenceNode(Node):
    """A list."""

    items: list[Node] = field(default_factory=list)


class Entry(NamedTuple):
    """A value in a mapping, and where its key stands."""

    line: int
    column: int
    value: Node


@dataclass(frozen=True, slots=True, eq=False)
class KeyFault:
    """Something wrong with a key. Kept with its mapping, so that it can be told by its path."""

    line: int
    column: int
    code: str
    message: str
    key: str
    severity: Severity = Severity.ERROR


@dataclass(slots=True)
class MappingNode(Node):
    """Keys, as text, to values."""

    entries: dict[str, Entry] = field(default_factory=dict)
    faults: list[KeyFault] | None = None

    def get(self, key: str) -> Entry | None:
        """Return the entry of a key, else of one that differs in letter case only, as Go's JSON decoder."""
        found = self.entries.get(key)
        if found is not None:
            return found
        folded = key.lower()
        return next((entry for name, entry in self.entries.items() if name.lower() == folded), None)


@dataclass(slots=True)
class _Open:
    """A list or mapping that is not complete yet."""

    node: SequenceNode | MappingNode
    anchor: str | None
    key: Node | None = None
    merged: list[tuple[Node, Node]] = field(default_factory=list)


class _StopError(Exception):
    """Ends the reading of a file: nothing after this place can be trusted."""

    def __init__(self, line: int, column: int, code: str, message: str) -> None:
        super().__init__(message)
        self.line, self.column, self.code, self.message = line, column, code, message


class Documents(NamedTuple):
    """A file as read: the documents up to where it stops being readable, and what is wrong."""

    roots: list[Node]
    problems: list[Problem]
    faults: list[KeyFault]
    values: int = 0
    """How many there are, each alias counted as what it stands for."""


def read_documents(source: Source) -> Documents:
    """Return the documents of a file."""
    builder = _Builder(source.name)
    try:
        for event in yaml.parse(_text(source), Loader=yaml.CSafeLoader):
            builder.take(event)
    except _StopError as stop:
        builder.tell(stop.line, stop.column, stop.code, stop.message)
    except yaml.MarkedYAMLError as error:
        builder.tell(*_syntax(error))
    except yaml.YAMLError as error:
        builder.tell(0, 0, "yaml-syntax", f"not readable as YAML: {str(error).splitlines()[0]}")
    return Documents(builder.documents, builder.problems, builder.faults, builder.values)


def _text(source: Source) -> str:
    if len(source.data) > MAX_FILE_BYTES:
        message = f"the file has more than {MAX_FILE_BYTES} bytes, split it or remove what does not belong"
        raise _StopError(0, 0, "too-large", message)
    data = source.data.removeprefix(codecs.BOM_UTF8)
    nul = data.find(b"\0")
    if nul >= 0:
        raise _not_text(data, nul, "found a NUL byte, expected UTF-8 text: is this a binary file?")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        message = f"found the byte 0x{data[error.start]:02x}, expected UTF-8 text"
        raise _not_text(data, error.start, message) from None
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        line, column = _place(text, bad.start())
        raise _StopError(
            line, column, "not-text", f"found the control character U+{ord(bad[0]):04X}, expected text"
        )
    return text


def _not_text(data: bytes, offset: int, message: str) -> _StopError:
    before = data[:offset].decode(errors="replace")
    line, column = _place(before, len(before))
    return _StopError(line, column, "not-text", message)


def _place(text: str, offset: int) -> tuple[int, int]:
    line, start = 1, 0
    for line_break in _LINE_BREAKS.finditer(text, 0, offset):
        line, start = line + 1, line_break.end()
    return line, offset - start + 1


def _syntax(error: yaml.MarkedYAMLError) -> tuple[int, int, str, str]:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    message = f"not readable as YAML: {error.problem}"
    if error.context and error.context_mark is not None:
        message += f" ({error.context} that begins at line {error.context_mark.line + 1})"
    if error.problem and "cannot start any token" in error.problem:
        message += "; a tab cannot indent, and text that starts with @, ` or % needs quotes"
    return line, column, "yaml-syntax", message


class _Builder:
    """Puts events together to documents."""

    def __init__(self, file: str) -> None:
        self.documents: list[Node] = []
        self.problems: list[Problem] = []
        self.faults: list[KeyFault] = []
        self._file = file
        self.values = 0
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        """None: still open, so that an alias to it would contain itself."""
        self._handlers: dict[type[yaml.Event], Callable[..., None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.SequenceStartEvent: self._open,
            yaml.MappingStartEvent: self._open,
            yaml.SequenceEndEvent: self._close,
            yaml.MappingEndEvent: self._close,
            yaml.DocumentStartEvent: self._new_document,
        }

    def tell(self, line: int, column: int, code: str, message: str) -> None:
        """Note a problem at a place of this file."""
        self.problems.append(Problem(Position(self._file, line, column), code, message))

    def _blame(self, mapping: MappingNode, fault: KeyFault) -> None:
        self.faults.append(fault)
        if mapping.faults is None:
            mapping.faults = []
        mapping.faults.append(fault)

    def take(self, event: yaml.Event) -> None:
        """Take the next event in."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _new_document(self, _event: yaml.DocumentStartEvent) -> None:
        self._anchors.clear()

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        line, column = _start(event)
        raw = event.value
        value: str | bool | float | None = raw
        if event.tag is None:
            value = resolve(raw) if not event.style else raw
        elif event.tag not in {_CORE_TAG + "str", "!"}:
            value = self._tagged(line, column, event.tag, raw)
        scalar = value if value is None or isinstance(value, str) else PlainScalar(value, raw, line, column)
        form = MergeKey if raw == _MERGE and event.tag is None and not event.style else ScalarNode
        self._add(form(line, column, value=scalar, raw=raw), event.anchor)

    def _tagged(self, line: int, column: int, tag: str, raw: str) -> str | bool | float | None:
        value = resolve(raw)
        kinds = {"null": type(None), "bool": bool, "int": int, "float": float}
        wanted = kinds.get(tag.removeprefix(_CORE_TAG)) if tag.startswith(_CORE_TAG) else None
        if wanted is None:
            self.tell(
                line, column, "bad-tag", f"found the YAML tag {_shown_tag(tag)}, which has no meaning here"
            )
        elif type(value) is not wanted:
            self.tell(line, column, "bad-tag", f"the value does not fit its YAML tag {_shown_tag(tag)}")
        return value

    def _open(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        line, column = _start(event)
        if len(self._stack) >= MAX_DEPTH:
            raise _StopError(line, column, "too-deep", f"nested more than {MAX_DEPTH} levels deep")
        is_list = isinstance(event, yaml.SequenceStartEvent)
        if event.tag is not None and event.tag != _CORE_TAG + ("seq" if is_list else "map"):
            self.tell(
                line,
                column,
                "bad-tag",
                f"found the YAML tag {_shown_tag(event.tag)}, which has no meaning here",
            )
        node = SequenceNode(line, column) if is_list else MappingNode(line, column)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._stack.append(_Open(node, event.anchor))

    def _close(self, _event: yaml.Event) -> None:
        done = self._stack.pop()
        for key, value in done.merged:
            self._merge(done.node, key, value)
        self._add(done.node, done.anchor)

    def _alias(self, event: yaml.AliasEvent) -> None:
        line, column = _start(event)
        name = event.anchor
        if name not in self._anchors:
            raise _StopError(line, column, "bad-alias", f"the alias *{name} has no anchor &{name} before it")
        node = self._anchors[name]
        if node is None:
            raise _StopError(line, column, "bad-alias", f"the alias *{name} stands inside what it refers to")
        if len(self._stack) + node.height > MAX_DEPTH:
            raise _StopError(line, column, "too-deep", f"nested more than {MAX_DEPTH} levels deep")
        self._spend(node.size - 1, line, column)
        self._add(node, None)

    def _spend(self, nodes: int, line: int, column: int) -> None:
        self.values += nodes
        if self.values > MAX_NODES:
            message = f"the file has more than {MAX_NODES} values, each alias counted as what it stands for"
            raise _StopError(line, column, "too-many-values", message)

    def _add(self, node: Node, anchor: str | None) -> None:
        self._spend(1, node.line, node.column)
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._stack:
            self.documents.append(node)
            return
        parent = self._stack[-1]
        if isinstance(parent.node, SequenceNode):
            parent.node.items.append(node)
        elif parent.key is None:
            parent.key = node
            return
        else:
            key, parent.key = parent.key, None
            self._put(parent, key, node)
        parent.node.size += node.size
        parent.node.height = max(parent.node.height, node.height + 1)

    def _put(self, parent: _Open, key: Node, value: Node) -> None:
        mapping = parent.node
        assert isinstance(mapping, MappingNode)  # noqa: S101 - lists take no keys
        if isinstance(key, MergeKey):
            parent.merged.append((key, value))
            return
        name = self._key(mapping, key)
        if name is None:
            return
        first = mapping.entries.get(name)
        if first is not None:
            message = f'the key "{name[:60]}" is already there at line {first.line}'
            self._blame(mapping, KeyFault(key.line, key.column, "duplicate-key", message, name))
            return
        mapping.entries[name] = Entry(key.line, key.column, value)

    def _key(self, mapping: MappingNode, key: Node) -> str | None:
        if not isinstance(key, ScalarNode) or key.value is None:
            found = "nothing" if isinstance(key, ScalarNode) else "a list or mapping"
            message = f"found {found} as a key, expected text (quote what has braces)"
            self._blame(mapping, KeyFault(key.line, key.column, "bad-key", message, ""))
            return None
        if isinstance(key.value, str):
            return key.value
        text = key.value.text
        if not key.value.faithful:
            message = f'without quotes, the key {key.raw} is read as "{text}"; put quotes around it'
            warning = KeyFault(key.line, key.column, "unquoted-value", message, text, Severity.WARNING)
            self._blame(mapping, warning)
        return text

    def _merge(self, into: Node, key: Node, value: Node) -> None:
        assert isinstance(into, MappingNode)  # noqa: S101 - only mappings have merge keys
        for mapping in value.items if isinstance(value, SequenceNode) else [value]:
            if not isinstance(mapping, MappingNode):
                message = "the merge key << needs a mapping, or a list of mappings"
                self._blame(into, KeyFault(key.line, key.column, "bad-key", message, _MERGE))
                continue
            self._spend(len(mapping.entries), key.line, key.column)
            for name, entry in mapping.entries.items():
                into.entries.setdefault(name, entry)


def _start(event: yaml.Event) -> tuple[int, int]:
    """Return where an event begins; libyaml marks every one."""
    mark = event.start_mark
    return (0, 0) if mark is None else (mark.line + 1, mark.column + 1)


def _shown_tag(tag: str) -> str:
    return "!!" + tag.removeprefix(_CORE_TAG) if tag.startswith(_CORE_TAG) else tag[:40]
