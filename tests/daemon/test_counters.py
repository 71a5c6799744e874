from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from nfq_guard.daemon import counters
from nfq_guard.daemon.counters import Reader, Word, create_block, map_block
from nfq_guard.model.decision import Reason, Verdict
from nfq_guard.model.flow import Side, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def blocks() -> Iterator[tuple[memoryview, memoryview]]:
    descriptors = create_block(), create_block()
    yield map_block(descriptors[0]), map_block(descriptors[1])
    for descriptor in descriptors:
        os.close(descriptor)


def test_every_word_has_a_place_of_its_own() -> None:
    places = [
        *Word,
        *counters.VERDICT_WORD.values(),
        *range(counters.LATENCY_BASE, counters.UNPARSABLE_BASE),
        *counters.UNPARSABLE_WORD.values(),
        *range(counters.POLICY_BASE, counters.WORDS),
    ]

    assert places == list(range(counters.WORDS))


def test_what_one_mapping_writes_another_reads() -> None:
    descriptor = create_block()
    writer, reader = map_block(descriptor), map_block(descriptor)

    writer[Word.PACKETS] += 5

    assert reader[Word.PACKETS] == 5
    os.close(descriptor)


def test_the_block_outlives_its_writer() -> None:
    descriptor = create_block()
    child = os.fork()
    if child == 0:
        map_block(descriptor)[Word.PACKETS] = 7
        os._exit(0)
    os.waitpid(child, 0)

    assert map_block(descriptor)[Word.PACKETS] == 7
    os.close(descriptor)


def test_readers_sum_over_workers(blocks: tuple[memoryview, memoryview]) -> None:
    first, second = blocks
    first[Word.PACKETS], second[Word.PACKETS] = 2, 3
    first[counters.POLICY_BASE + 1] = 4
    place = counters.VERDICT_WORD[Reason.POLICY, Verdict.DENY, Side.INGRESS, Stage.FORWARD]
    first[place], second[place] = 1, 1
    first[counters.LATENCY_BASE] = 6
    second[Word.LATENCY_SUM_NS] = 900
    first[counters.UNPARSABLE_BASE] = 1

    reader = Reader(blocks)

    assert reader.word(Word.PACKETS) == 5
    assert reader.policy(1) == 4
    assert (("policy", "deny", "ingress", "forward"), 2) in set(reader.verdicts())
    assert reader.latency().counts[0] == 6
    assert reader.latency().sum_ns == 900
    assert next(reader.unparsable())[1] == 1
