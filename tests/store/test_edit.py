from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.store import emit
from nfq_guard.store.edit import CannotEditError, append_item, change_parts, read_data, replace_part
from nfq_guard.store.emit import Style, yaml_text
from nfq_guard.store.spans import find, read_spans
from nfq_guard.store.values import fingerprint, same

FELIX = """# What works whatever the policies say.
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata:
  name: default # for every node
spec:
  failsafeInboundHostPorts:
    # The way in.
    - protocol: TCP
      port: 22 # SSH
      net: 198.51.100.250/32

    # A DHCP server's answers.
    - protocol: UDP
      port: 68
  # None.
  failsafeOutboundHostPorts: []
# The end.
"""

words = st.sampled_from(
    [
        "a",
        "role",
        "true",
        "no",
        "1",
        "1.10",
        "~",
        "",
        "k8s.io/x",
        "x: y",
        "- z",
        "#",
        "é",
        "10.0.0.0/8",
        "a b",
    ]
) | st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
scalars = words | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(-1e9, 1e9).map(lambda n: n or 0.0)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)
documents = st.dictionaries(words, trees, min_size=1, max_size=4)


@st.composite
def written(draw: st.DrawFn, data: Any) -> str:
    """A document's text in one of many styles."""
    form = draw(st.sampled_from(["block", "flow", "json", "dense"]))
    if form == "json":
        return emit.json_text(data)
    if form == "dense":
        return emit.json_text(data, None)
    if form == "flow":
        return emit.flow(data)
    style = Style(draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from([0, 2])))
    lines = yaml_text(data, style).splitlines(keepends=True)
    marks = draw(st.lists(st.sampled_from(["", "# above\n", "\n"]), min_size=len(lines), max_size=len(lines)))
    return "".join(mark + line for mark, line in zip(marks, lines, strict=True))


@given(st.data(), documents, documents)
def test_an_edit_gives_the_data_that_was_wanted(draw: st.DataObject, old: Any, new: Any) -> None:
    text = draw.draw(written(old))

    edited = replace_part(text, (), new)

    assert same(read_data(edited), new)


@given(st.data(), documents)
def test_writing_what_is_there_changes_no_byte(draw: st.DataObject, data: Any) -> None:
    text = draw.draw(written(data))

    assert replace_part(text, (), data) == text


def change_some(draw: st.DataObject, data: Any) -> Any:
    """Data with a few of its parts changed."""
    if isinstance(data, dict) and data and draw.draw(st.booleans()):
        key = draw.draw(st.sampled_from(sorted(data)))
        return {**data, key: change_some(draw, data[key])}
    if isinstance(data, list) and data and draw.draw(st.booleans()):
        index = draw.draw(st.integers(0, len(data) - 1))
        return [*data[:index], change_some(draw, data[index]), *data[index + 1 :]]
    return draw.draw(trees)


@given(st.data(), st.lists(documents, min_size=2, max_size=4))
def test_editing_one_item_of_a_list_leaves_the_others_byte_for_byte(draw: st.DataObject, items: Any) -> None:
    whole = {"kind": "List", "items": items}
    text = draw.draw(written(whole))
    number = draw.draw(st.integers(0, len(items) - 1))
    new = change_some(draw, items[number])

    edited = replace_part(text, ("items", number), new)

    assert same(read_data(edited), {"kind": "List", "items": [*items[:number], new, *items[number + 1 :]]})
    for before, after in (
        (texts(text)[:number], texts(edited)[:number]),
        (texts(text)[number + 1 :], texts(edited)[number + 1 :]),
    ):
        assert before == after


@given(st.data(), st.lists(documents, min_size=1, max_size=4, unique_by=fingerprint))
def test_an_item_is_removed_and_added_alone(draw: st.DataObject, items: Any) -> None:
    text = draw.draw(written({"kind": "List", "items": items}))
    number = draw.draw(st.integers(0, len(items) - 1))

    removed = change_parts(text, {("items", number): None})
    added = append_item(removed, ("items",), items[number])

    others = [each for index, each in enumerate(texts(text)) if index != number]
    assert texts(removed) == others
    assert texts(added)[:-1] == others
    assert same(read_data(removed)["items"], [*items[:number], *items[number + 1 :]])
    assert same(read_data(added)["items"], [*items[:number], *items[number + 1 :], items[number]])


@given(st.data(), st.lists(documents, min_size=1, max_size=5, unique_by=fingerprint))
def test_several_items_change_at_once(draw: st.DataObject, items: Any) -> None:
    text = draw.draw(written({"kind": "List", "items": items}))
    news = [draw.draw(st.none() | documents | st.just(item)) for item in items]

    edited = change_parts(text, {("items", number): new for number, new in enumerate(news)})

    assert same(read_data(edited)["items"], [new for new in news if new is not None])


def texts(text: str) -> list[str]:
    """The text of each item."""
    (document,) = read_spans(text)
    holder = find(document.root, ("items",))
    assert holder is not None
    return [text[item.start : item.end] for item in holder.items]


def edited(text: str, change: Any) -> str:
    data = copy.deepcopy(read_data(text))
    change(data)
    return replace_part(text, (), data)


class TestComments:
    def test_a_field_is_added_at_the_end_of_its_mapping(self) -> None:
        result = edited(FELIX, lambda data: data["spec"].update(defaultEndpointToHostAction="Accept"))

        assert result == FELIX.replace("# The end.", "  defaultEndpointToHostAction: Accept\n# The end.")

    def test_a_value_changes_and_its_comment_stays(self) -> None:
        result = edited(FELIX, lambda data: data["spec"]["failsafeInboundHostPorts"][0].update(port=2222))

        assert result == FELIX.replace("port: 22 # SSH", "port: 2222 # SSH")

    def test_a_new_item_goes_where_it_belongs(self) -> None:
        port = {"protocol": "TCP", "port": 443}
        result = edited(FELIX, lambda data: data["spec"]["failsafeInboundHostPorts"].insert(1, port))

        assert result == FELIX.replace(
            "198.51.100.250/32\n", "198.51.100.250/32\n    - protocol: TCP\n      port: 443\n"
        )

    def test_an_item_goes_with_its_lines_and_its_heading_only(self) -> None:
        result = edited(FELIX, lambda data: data["spec"]["failsafeInboundHostPorts"].pop(0))

        assert result == FELIX.replace(
            "    # The way in.\n    - protocol: TCP\n      port: 22 # SSH\n      net: 198.51.100.250/32\n", ""
        )

    def test_an_empty_list_is_filled_in_the_style_of_the_file(self) -> None:
        port = {"protocol": "UDP", "port": 53}
        result = edited(FELIX, lambda data: data["spec"].update(failsafeOutboundHostPorts=[port]))

        assert result == FELIX.replace("HostPorts: []\n", "HostPorts:\n    - protocol: UDP\n      port: 53\n")

    def test_the_first_key_of_an_item_goes_and_the_next_moves_up_to_the_dash(self) -> None:
        result = edited(FELIX, lambda data: data["spec"]["failsafeInboundHostPorts"][0].pop("protocol"))

        assert result == FELIX.replace("    - protocol: TCP\n      port: 22", "    - port: 22")

    def test_a_null_is_filled_where_it_stands(self) -> None:
        text = "metadata:\n  name: x\n  labels: # none yet\nspec: {}\n"

        assert edited(text, lambda data: data["metadata"].update(labels={"a": "b"})) == (
            "metadata:\n  name: x\n  labels: # none yet\n    a: b\nspec: {}\n"
        )

    def test_a_block_of_text_is_replaced_as_a_whole(self) -> None:
        text = "a: |\n  one\n  two\n\n# about b\nb: 1\n"

        assert edited(text, lambda data: data.update(a="x")) == "a: x\n\n# about b\nb: 1\n"

    def test_a_comment_between_a_key_and_its_block_stays(self) -> None:
        text = "a: # why\n  - 1\n  - 2 # two\nb: 1\n"

        assert edited(text, lambda data: data.update(a="x")) == "a: x # why\nb: 1\n"
        assert edited(text, lambda data: data.update(a={"k": 1})) == "a: # why\n  k: 1\nb: 1\n"

    def test_line_ends_stay_what_they_are(self) -> None:
        text = "a: 1\r\nb:\r\n  - 1\r\nc: 2"

        assert edited(text, lambda data: data.update(b=[1, 2], d=[3])) == (
            "a: 1\r\nb:\r\n  - 1\r\n  - 2\r\nc: 2\r\nd:\r\n  - 3"
        )


class TestLists:
    @pytest.mark.parametrize("text", ["# head\n- a: 1\n  b: 2\n# end\n", "# head\n[{a: 1}]\n# end\n"])
    def test_the_last_item_of_a_document_leaves_an_empty_list(self, text: str) -> None:
        assert change_parts(text, {(0,): None}) == "# head\n[]\n# end\n"
        assert read_data(append_item("# head\n[]\n# end\n", (), {"a": 1})) == [{"a": 1}]

    def test_the_last_item_leaves_an_empty_list_under_its_key(self) -> None:
        text = "items: # all\n- a: 1\nkind: List\n"

        assert change_parts(text, {("items", 0): None}) == "items: [] # all\nkind: List\n"


class TestFlow:
    def test_json_stays_json_with_its_own_indentation(self) -> None:
        text = '{\n    "a": 1,\n    "b": [1, 2]\n}\n'
        result = edited(text, lambda data: data.update(b=[1, 2, 3], c={"d": True}))

        assert result == '{\n    "a": 1,\n    "b": [1, 2, 3],\n    "c": {\n      "d": true\n    }\n}\n'
        assert json.loads(result)["c"] == {"d": True}

    def test_braces_in_yaml_stay_braces(self) -> None:
        text = "metadata: {name: x, labels: {a: b}} # one line\nspec: {nets: [10.0.0.0/8]}\n"
        result = edited(text, lambda data: data["spec"]["nets"].append("fd00::/8"))

        assert result == text.replace("[10.0.0.0/8]", "[10.0.0.0/8, 'fd00::/8']")

    def test_the_first_of_several_goes_with_its_comma(self) -> None:
        assert edited("{a: 1, b: 2, c: 3}", lambda data: data.pop("a")) == "{b: 2, c: 3}"
        assert edited("{a: 1, b: 2, c: 3}", lambda data: data.pop("c")) == "{a: 1, b: 2}"


class TestIntricate:
    def test_an_alias_is_replaced_without_touching_its_anchor(self) -> None:
        text = "a: &x {k: 1}\nb: *x # same\n"

        assert edited(text, lambda data: data.update(b={"k": 2})) == "a: &x {k: 1}\nb: # same\n  k: 2\n"

    def test_an_anchor_that_others_need_keeps_its_value_for_them(self) -> None:
        text = "a: &x 1\nb: *x\n"
        result = edited(text, lambda data: data.update(a=2))

        assert read_data(result) == {"a": 2, "b": 1}

    def test_a_list_whose_items_share_an_anchor_is_not_written_anew(self) -> None:
        text = "items:\n- &x {a: 1}\n- b: *x\n"

        with pytest.raises(CannotEditError):
            change_parts(text, {("items", 0): None})

    def test_merged_keys_are_written_out_where_they_must_differ(self) -> None:
        text = "base: &x {k: 1, l: 2}\nb:\n  <<: *x\n  m: 3\n"

        assert read_data(edited(text, lambda data: data["b"].update(k=9))) == {
            "base": {"k": 1, "l": 2},
            "b": {"k": 9, "l": 2, "m": 3},
        }

    def test_what_cannot_be_read_cannot_be_edited(self) -> None:
        with pytest.raises(CannotEditError):
            replace_part("a: [", (), {"a": 1})

    def test_two_documents_are_not_one(self) -> None:
        with pytest.raises(CannotEditError):
            replace_part("a: 1\n---\nb: 1\n", (), {"a": 1})

    def test_odd_line_breaks_are_left_alone(self) -> None:
        with pytest.raises(CannotEditError):
            replace_part('a: 1\rb: "x"\r', (), {"a": 2})
