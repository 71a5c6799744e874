from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from nfq_guard.daemon.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def test_a_readable_descriptor_calls_its_callback(loop: Loop) -> None:
    reading, writing = os.pipe()
    heard: list[bytes] = []
    loop.watch(reading, lambda: heard.append(os.read(reading, 10)))

    os.write(writing, b"x")
    loop.turn(5)

    assert heard == [b"x"]
    os.close(reading)
    os.close(writing)


def test_a_callback_may_hang_up_on_another_of_the_same_turn(loop: Loop) -> None:
    pipes = [os.pipe() for _ in range(2)]
    called: list[int] = []

    def hang_up(mine: int) -> None:
        called.append(mine)
        for reading, _ in pipes:
            loop.selector.unregister(reading)

    for number, (reading, writing) in enumerate(pipes):
        loop.watch(reading, lambda number=number: hang_up(number))  # type: ignore[misc]
        os.write(writing, b"x")
    loop.turn(5)

    assert len(called) == 1
    for reading, writing in pipes:
        os.close(reading)
        os.close(writing)


def test_what_a_callback_raises_stops_neither_the_others_nor_the_loop(loop: Loop) -> None:
    called: list[str] = []
    faults: list[str] = []

    def broken() -> None:
        raise ZeroDivisionError("a bug")

    loop.at("broken", 0, broken)
    loop.at("sound", 0, lambda: called.append("sound"))
    with pytest.raises(ZeroDivisionError):
        loop.turn(5)
    loop.on_fault = lambda error: faults.append(str(error))
    loop.at("broken", 0, broken)
    loop.turn(5)

    assert faults == ["a bug"]
    assert called == ["sound"]


def test_timers_run_once_and_the_last_setting_counts(loop: Loop) -> None:
    called: list[str] = []
    loop.at("a", 1000, lambda: called.append("late"))
    loop.at("a", 0, lambda: called.append("now"))
    loop.within("b", 0, lambda: called.append("early"))
    loop.within("b", 1000, lambda: called.append("never"))
    loop.within("c", 1000, lambda: called.append("never"))
    loop.within("c", 0, lambda: called.append("sooner"))

    loop.turn(5)
    loop.turn(0)

    assert sorted(called) == ["early", "now", "sooner"]


def test_a_timer_may_set_itself_again(loop: Loop) -> None:
    called: list[int] = []

    def again() -> None:
        called.append(1)
        loop.at("a", 0, again)

    loop.at("a", 0, again)
    loop.turn(0)
    loop.turn(0)

    assert len(called) == 2


def test_signals_arrive_within_the_loop(loop: Loop) -> None:
    heard: list[str] = []
    loop.on_signal(signal.SIGHUP, lambda: heard.append("hup"))

    os.kill(os.getpid(), signal.SIGHUP)
    assert heard == []
    loop.turn(5)

    assert heard == ["hup"]


def test_closing_gives_the_signals_back() -> None:
    before = signal.getsignal(signal.SIGHUP)
    loop = Loop()
    loop.on_signal(signal.SIGHUP, lambda: None)

    loop.close()

    assert signal.getsignal(signal.SIGHUP) == before
