from __future__ import annotations

import pytest

from nfq_guard.resources.source import Source
from nfq_guard.store.edit import CannotEditError
from nfq_guard.store.texts import TextFile

SET = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata:\n  name: {}\n"
TWO = f"# about a\n{SET.format('a')}---\n# about b\n{SET.format('b')}"


def file_of(text: str) -> TextFile:
    return TextFile(Source("a.yaml", text.encode()))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        TWO,
        "---\n" + TWO,
        TWO + "...\n# end\n",
        "---\n---\n" + TWO,
        "\ufeff" + TWO,
        TWO.replace("\n", "\r\n"),
    ],
)
def test_the_pieces_are_the_whole(text: str) -> None:
    assert file_of(text).join() == text.encode()


def test_each_resource_is_in_the_piece_of_its_document() -> None:
    assert [(number, item.ref.name) for number, item in file_of(TWO).items()] == [(0, "a"), (1, "b")]


def test_a_dropped_document_takes_its_comments_and_leaves_the_other() -> None:
    first, second = file_of(TWO), file_of(TWO)
    first.drop(0)
    second.drop(1)

    assert first.join().decode() == f"---\n# about b\n{SET.format('b')}"
    assert second.join().decode() == f"# about a\n{SET.format('a')}"


def test_what_heads_the_file_stays() -> None:
    spaced, marked = file_of("# licence\n\n" + TWO), file_of("# licence\n---\n" + TWO)
    spaced.drop(0)
    marked.drop(0)

    assert spaced.join().decode() == f"# licence\n\n---\n# about b\n{SET.format('b')}"
    assert marked.join().decode() == f"# licence\n---\n# about b\n{SET.format('b')}"


def test_a_further_document_stands_on_lines_of_its_own() -> None:
    file = file_of(SET.format("a").rstrip())
    file.append(SET.format("b"))

    assert file.join().decode() == SET.format("a") + "---\n" + SET.format("b")
    assert [item.ref.name for _, item in file.items()] == ["a", "b"]


def test_an_empty_file_takes_a_document_without_a_mark() -> None:
    file = file_of("")
    file.append(SET.format("b"))

    assert file.join().decode() == SET.format("b")


def test_a_changed_document_changes_its_resources() -> None:
    file = file_of(TWO)
    file.put(1, file.pieces[1].replace("name: b", "name: c"))

    assert [item.ref.name for _, item in file.items()] == ["a", "c"]
    assert [item.ref.name for item in file.items_of(1)] == ["c"]


def test_what_cannot_be_read_is_not_taken_apart() -> None:
    with pytest.raises(CannotEditError):
        file_of("a: [")
