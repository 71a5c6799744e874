from __future__ import annotations

import pytest

from nfq_guard.daemon.whole import emptied
from nfq_guard.resources.source import Source


@pytest.mark.parametrize(
    ("before", "now", "is_refused"),
    [
        (b"a: b\n", b"", True),
        (b"a: b\n", b" \t\r\n", True),
        (b"a: b\n", b"\xef\xbb\xbf\n", True),
        (b"# c\n", b"", True),
        (b"a: b\n", b"# c\n", False),
        (b"a: b\n", b"---\n", False),
        (b"a: b\n", b"a", False),
        (b"", b"", False),
        (b"\n", b"", False),
        (b"", b"a: b\n", False),
    ],
)
def test_a_file_that_had_content_must_not_be_empty(before: bytes, now: bytes, *, is_refused: bool) -> None:
    found = emptied(lambda: [Source("a.yaml", before), Source("b.yaml", b"")], [Source("a.yaml", now)])

    assert [(problem.position.file, problem.code) for problem in found] == (
        [("a.yaml", "emptied-file")] if is_refused else []
    )


def test_a_file_that_is_new_or_gone_is_not_meant() -> None:
    assert not emptied(lambda: [Source("a.yaml", b"a: b")], [Source("b.yaml", b"")])


def test_what_was_before_is_asked_for_only_if_a_file_is_empty() -> None:
    def fail() -> list[Source]:
        raise AssertionError

    assert not emptied(fail, [Source("a.yaml", b"a: b\n")])
