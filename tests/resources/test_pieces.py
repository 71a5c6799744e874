"""Where files are cut, and that it makes no difference to what is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.resources import Inventory, Source, load, remembered
from nfq_guard.resources.pieces import Piece, cut

CUT = {
    "": [b""],
    "a": [b"a"],
    "---\na\n": [b"---\na\n"],
    "a\n---\nb": [b"a\n", b"---\nb"],
    "# head\n--- # remark\na\n---\nb\n": [b"# head\n", b"--- # remark\na\n", b"---\nb\n"],
    "a\r\n---\r\nb\r\n": [b"a\r\n", b"---\r\nb\r\n"],
    "a\n---": [b"a\n", b"---"],
    "a\n----\n ---\n--- b\n---c\n": [b"a\n----\n ---\n", b"--- b\n---c\n"],
    "%YAML 1.1\n---\na\n---\nb\n": [b"%YAML 1.1\n---\na\n---\nb\n"],
    "a\n...\n%YAML 1.1\n---\nb\n": [b"a\n...\n%YAML 1.1\n---\nb\n"],
    "a\rb\n---\nc\n": [b"a\rb\n---\nc\n"],
    "a\u2028b\n---\nc\n": ["a\u2028b\n---\nc\n".encode()],
}


@pytest.mark.parametrize("text", CUT)
def test_where_a_file_is_cut(text: str) -> None:
    assert [piece.data for piece in cut(text.encode())] == CUT[text]


def test_a_piece_knows_how_many_lines_are_above_it() -> None:
    assert list(cut(b"a\n\n---\nb\n---\n")) == [
        Piece(b"a\n\n", 0),
        Piece(b"---\nb\n", 2),
        Piece(b"---\n", 4),
    ]


TIER = "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: %s}\nspec: {order: 1}\n"
LINES = (
    *(TIER % name for name in ("a", "b")),
    TIER % "yes",
    "apiVersion: projectcalico.org/v3\nkind: List\nitems:\n- kind: Tier\n  metadata: {name: c}\n- 7\n",
    "kind: Tier\nkind: Tier\nmetadata: {name: d}\n",
    (
        "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p, labels: {yes: x}}\n"
        "spec: {selector: a ==}\n"
    ),
    (
        "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: q}\n"
        "spec:\n  ingress: [{action: Allow, protocol: tcp, nosuch: 1}]\n"
    ),
    "metadata: {annotations: {n: |+\n  text\n\n",
    "x: |+\n  text\n\n\n",
    "x: 'quoted\n",
    "x: [1,\n",
    "x: &anchor {a: 1}\n",
    "y: *anchor\n",
    "\tx: 1\n",
    "x: !odd 1\n",
    "%YAML 1.1\n",
    "# a remark\n",
    "...\n",
    "---\n",
    "--- # remark\n",
    "--- x\n",
    "---\r\n",
    "----\n",
    "\n",
    "\ufeff",
    "\x85",
    "\r",
    "\0",
    "\udcff",
    "- 1\n",
)

texts = st.lists(st.sampled_from((*LINES, "---\n", "---\n")), max_size=9).map("".join)


def places(inventory: Inventory) -> list[object]:
    fields = ("metadata.name", "spec", "spec.order", "spec.ingress[0].action", "nowhere")
    return [
        (located, located.position(field))
        for located in (*inventory.tiers, *inventory.global_network_policies)
        for field in fields
    ]


@given(texts)
def test_a_file_in_pieces_is_read_like_a_whole_one(text: str) -> None:
    sources = [Source("a.yaml", text.encode(errors="surrogateescape"))]
    in_pieces, problems = load(sources)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(remembered, "cut", lambda data: [Piece(data, 0)])
        whole, expected = load(sources)

    assert problems == expected
    assert in_pieces == whole
    assert places(in_pieces) == places(whole)
