from __future__ import annotations

from nfq_guard.model.memo import Memo


class Calls:
    """A function that notes what it was asked."""

    def __init__(self) -> None:
        self.made: list[tuple[object, object]] = []

    def __call__(self, subject: object, context: object) -> object:
        self.made.append((subject, context))
        return object()


def test_the_same_object_in_an_equal_context_gives_the_same_result() -> None:
    calls = Calls()
    memo: Memo[list[int], object, object] = Memo(calls)
    subject, twin = [1], [1]

    first = memo.get(subject, {"a": 1})

    assert memo.get(subject, {"a": 1}) is first
    assert memo.get(twin, {"a": 1}) is not first, "an equal object is another one"
    assert memo.get(subject, {"a": 2}) is not first
    assert calls.made == [([1], {"a": 1}), ([1], {"a": 1}), ([1], {"a": 2})]


def test_what_is_asked_for_in_every_round_is_never_made_again() -> None:
    calls = Calls()
    memo: Memo[list[int], object, object] = Memo(calls)
    subject = [1]

    results = set()
    for _ in range(5):
        memo.begin_round()
        results.add(id(memo.get(subject, None)))

    assert len(results) == len(calls.made) == 1


def test_what_nobody_asked_for_in_a_whole_round_is_forgotten() -> None:
    memo: Memo[list[int], object, object] = Memo(Calls())
    subjects = [[number] for number in range(10)]
    kept = [memo.get(subject, None) for subject in subjects]
    memo.begin_round()
    memo.get(subjects[0], None)
    assert len(memo) == 10

    memo.begin_round()

    assert len(memo) == 1
    assert memo.get(subjects[0], None) is kept[0]
    assert memo.get(subjects[1], None) is not kept[1]


def test_a_new_object_never_gets_the_result_of_one_that_has_gone() -> None:
    memo: Memo[list[int], object, int] = Memo(lambda subject, _: subject[0])

    for number in range(1000):  # each is freed at once, and its address used again
        memo.begin_round()
        assert memo.get([number], None) == number
