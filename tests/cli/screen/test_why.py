from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from events import denied
from textual.app import App

from nfq_guard.cli.screen.why import Why

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from nfq_guard.stream.event import Event


def shown(app: App[None]) -> str:
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in lines)


async def until(pilot: Pilot[None], words: str) -> None:
    for _ in range(200):
        if words in shown(pilot.app):
            return
        await pilot.pause(0.05)
    raise AssertionError(shown(pilot.app))


def test_the_screen_does_not_wait_for_an_explanation_and_long_ones_are_scrolled() -> None:
    goes_on = threading.Event()

    def explain(_event: Event) -> list[str]:
        goes_on.wait(20)
        return ["deny", "  why: \x1b", *(f"line {number}" for number in range(60))]

    async def run() -> None:
        async with App[None]().run_test(size=(80, 24)) as pilot:
            await pilot.app.push_screen(Why(denied(), explain))
            await until(pilot, "explaining …")
            assert "198.51.100.7:40000 > 192.0.2.10:22" in shown(pilot.app)
            goes_on.set()
            await until(pilot, "why: \\u001b")
            assert "line 59" not in shown(pilot.app)
            await pilot.press("end")
            await until(pilot, "line 59")
            await pilot.press("escape")
            await pilot.pause()
            assert not isinstance(pilot.app.screen, Why)

    asyncio.run(run())


def test_who_has_left_is_told_nothing_more() -> None:
    goes_on, done = threading.Event(), threading.Event()

    def explain(_event: Event) -> list[str]:
        goes_on.wait(20)
        done.set()
        return ["late"]

    async def run() -> None:
        async with App[None]().run_test(size=(80, 24)) as pilot:
            await pilot.app.push_screen(Why(denied(), explain))
            await until(pilot, "explaining …")
            await pilot.press("escape")
            goes_on.set()
            await pilot.pause(0.3)
            assert done.is_set()
            assert "late" not in shown(pilot.app)

    asyncio.run(run())
