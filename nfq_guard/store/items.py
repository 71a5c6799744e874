"""Resources one by one as they stand in a text.

Owns the unfolding of documents and lists into single resources, each with its data and
the way to it. Leaves out what is no resource: loading tells about that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from nfq_guard.model.problem import Position
from nfq_guard.resources.base import API_VERSION
from nfq_guard.resources.kinds import KINDS
from nfq_guard.resources.scalars import PlainScalar
from nfq_guard.resources.tree import MappingNode, Node, ScalarNode, SequenceNode
from nfq_guard.store.refs import Ref, ref_of
from nfq_guard.store.spelling import spelled, spelled_like
from nfq_guard.store.values import data_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nfq_guard.store.values import Data, Steps

_LIST = "List"


@dataclass(frozen=True, slots=True)
class Item:
    """A resource in a text."""

    ref: Ref
    raw: dict[str, Any]
    """Its data as it stands there."""
    steps: Steps
    """From the document's root to it."""
    position: Position
    implied: dict[str, Any]
    """What the list around it says of it: kind and apiVersion, unless it says them itself."""

    @property
    def data(self) -> dict[str, Any]:
        """Return the whole resource as Calico spells it, the envelope first, name and namespace as text."""
        whole: dict[str, Any] = {**self.implied, **spelled(self.ref.kind, self.raw)}
        whole["metadata"] = {**whole["metadata"], **self._texts(whole["metadata"])}
        head: dict[str, Any] = {
            key: whole.pop(key) for key in ("apiVersion", "kind", "metadata") if key in whole
        }
        return {**head, **whole}

    def without_implied(self, data: dict[str, Data]) -> dict[str, Data]:
        """Return a new version of the resource as it can stand in the same place: what is as before stays so."""
        own = {key: value for key, value in data.items() if self.implied.get(key) != value}
        before = spelled(self.ref.kind, self.raw)["metadata"]
        texts = self._texts(before).items()
        kept = {key: before[key] for key, text in texts if own["metadata"].get(key) == text}
        own["metadata"] = {**own["metadata"], **kept}
        return spelled_like(self.ref.kind, own, self.raw)

    def _texts(self, metadata: dict[str, Any]) -> dict[str, str]:
        """Return the name and the namespace, where they are something else in the file: a number or a flag."""
        texts = {"name": self.ref.name, "namespace": self.ref.namespace or ""}
        return {key: text for key, text in texts.items() if isinstance(metadata.get(key), (int, float))}


class _Around(NamedTuple):
    """What surrounds a node."""

    file: str
    steps: Steps = ()
    implied: tuple[tuple[str, str], ...] = ()


def items_of(root: Node, file: str) -> Iterator[Item]:
    """Yield the resources of a document."""
    yield from _unfold(root, _Around(file))


def _unfold(node: Node, around: _Around) -> Iterator[Item]:
    if isinstance(node, SequenceNode):
        for index, child in enumerate(node.items):
            yield from _unfold(child, around._replace(steps=(*around.steps, index)))
    elif isinstance(node, MappingNode):
        kind = text_at(node, "kind")
        if kind is not None and kind.endswith(_LIST) and "items" in node.entries:
            yield from _unfold_list(node, kind, around)
        elif (item := _item(node, around)) is not None:
            yield item


def _unfold_list(node: MappingNode, kind: str, around: _Around) -> Iterator[Item]:
    items = node.entries["items"].value
    implied: tuple[tuple[str, str], ...] = ()
    if kind != _LIST:
        version = text_at(node, "apiVersion")
        implied = (("kind", kind.removesuffix(_LIST)), *((("apiVersion", version),) if version else ()))
    if isinstance(items, SequenceNode):
        for index, item in enumerate(items.items):
            yield from _unfold(item, _Around(around.file, (*around.steps, "items", index), implied))


def _item(node: MappingNode, around: _Around) -> Item | None:
    implied = {key: value for key, value in around.implied if node.get(key) is None}
    kind = text_at(node, "kind") or implied.get("kind", "")
    version = text_at(node, "apiVersion") or implied.get("apiVersion")
    entry = node.get("metadata")
    metadata = entry.value if entry is not None else None
    if kind not in KINDS or version != API_VERSION or not isinstance(metadata, MappingNode):
        return None
    name = text_at(metadata, "name")
    if not name:
        return None
    ref = ref_of(kind, name, text_at(metadata, "namespace"))
    position = Position(around.file, node.line, node.column)
    return Item(ref, data_of(node), around.steps, position, implied)


def text_at(node: MappingNode, key: str) -> str | None:
    """Return a key's value as text; None if it has none."""
    entry = node.get(key)
    value = entry.value.value if entry is not None and isinstance(entry.value, ScalarNode) else None
    return value.text if isinstance(value, PlainScalar) else value
