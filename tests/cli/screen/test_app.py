from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from captures import wire
from events import ALLOW_SSH, END_OF_TIER, WEB6
from records import DENIED
from statuses import chain, rule, status, tier_end
from textual.widgets import Input, Static
from told import Telling

from nfq_guard.cli.explaining import Explaining, Source
from nfq_guard.cli.screen.app import Top
from nfq_guard.cli.screen.feed import Feed
from nfq_guard.cli.screen.why import Why
from nfq_guard.daemon.settings import Settings
from nfq_guard.stream.filter import parse_filter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from textual.pilot import Pilot

    Play = Callable[["Pilot[None]", "Stage"], Awaitable[None]]

RULES = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: worker-1-eth0}
spec: {node: worker-1, interfaceName: eth0}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: web}
spec:
  ingress:
    - {action: Allow, protocol: TCP, destination: {ports: [80]}}
"""
FACTS = ("facts.json", '{"node": "worker-1", "interfaces": {"eth0": ["192.0.2.10"]}}')
WEB = DENIED._replace(data=wire(WEB6))
PATIENCE = 20.0


class Stage:
    """The app over a guard that only tells."""

    def __init__(self, folder: Path) -> None:
        self.telling = Telling(str(folder / "control.sock"))
        self.telling.legends = {3: (ALLOW_SSH, END_OF_TIER)}
        self.telling.status = status(
            chain(rule("allow-ssh", 10), rule("web", 20), tier_end(3)), allow=30, deny=3
        )
        self.rules = folder / "rules.yaml"
        self.rules.write_text(RULES, encoding="utf-8")
        self.app: Top

    def play(self, scene: Play, size: tuple[int, int] = (80, 24)) -> None:
        async def run() -> None:
            feed = Feed(self.telling.path, parse_filter("deny"))
            feed.connect()
            feed.start()
            self.app = Top(feed, Explaining(Source((str(self.rules),), FACTS, Settings())))
            try:
                async with self.app.run_test(size=size) as pilot:
                    await scene(pilot, self)
            finally:
                feed.close()

        asyncio.run(run())

    def text(self, name: str) -> str:
        widget = self.app.screen.query_one(f"#{name}", Static)
        return "\n".join(
            "".join(segment.text for segment in widget.render_line(line)).rstrip()
            for line in range(widget.size.height)
        )

    async def until(self, pilot: Pilot[None], probe: Callable[[], Any], what: str) -> None:
        for _ in range(int(PATIENCE / 0.05)):
            if probe():
                return
            await pilot.pause(0.05)
        raise AssertionError(f"{what}: {self.screen()}")

    def screen(self) -> str:
        """Return what stands on the screen."""
        lines = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in lines)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    with made.telling:
        yield made
    made.telling.close()


async def filled(pilot: Pilot[None], stage: Stage) -> None:
    """Wait until there is something of everything."""
    await stage.until(pilot, lambda: "READY" in stage.text("head"), "the guard is known")
    stage.telling.write(DENIED, WEB, DENIED)
    await stage.until(pilot, lambda: "2001:db8" in stage.text("flows"), "flows")


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
def test_everything_is_on_the_screen(stage: Stage, size: tuple[int, int]) -> None:
    async def scene(pilot: Pilot[None], stage: Stage) -> None:
        await filled(pilot, stage)
        screen = stage.screen()

        for words in (
            "worker-1  READY",
            "workers 1/1 up",
            "allow ",
            "filter verdict == deny",
            "3 rules by rate",
            "default/GlobalNetworkPolicy(web) rule 0",
            "denied sources, 60 s",
            "2 198.51.100.7",
            "denied ports",
            "2 TCP 22",
            "denied interfaces",
            "3 eth0 worker-1-eth0",
            "latest verdicts",
            "> ",
            "end of tier default",
            "Filter",
            "Quit",
        ):
            assert words in screen, (words, screen)
        assert ("denied by, of 3" in screen) is (size[0] == 140)
        assert len(screen.splitlines()) == size[1]

    stage.play(scene, size)


def test_what_the_kernel_denied_is_said_below_the_columns_once_there_is_some(stage: Stage) -> None:
    deny = {"reason": "tier-default", "verdict": "deny", "direction": "ingress", "stage": "normal"}

    async def scene(pilot: Pilot[None], stage: Stage) -> None:
        await filled(pilot, stage)
        assert "by the kernel" not in stage.screen()
        stage.telling.kernel = [{**deny, "packets": 2955}]

        said = "of 3 read in 60 s; 2,950 denied by the kernel not among them"
        await stage.until(pilot, lambda: said in stage.screen(), "it is said")
        assert "latest verdicts" in stage.screen()
        assert len(stage.screen().splitlines()) == 24

    stage.telling.kernel = [{**deny, "packets": 5}]
    stage.play(scene)


@pytest.mark.parametrize("part", ["#head", "#denied", "#flows"])
def test_a_tick_while_it_ends_harms_nothing(stage: Stage, part: str) -> None:
    async def scene(pilot: Pilot[None], stage: Stage) -> None:
        await filled(pilot, stage)
        await stage.app.query_one(part).remove()

        stage.app.refresh_view()

    stage.play(scene)


def test_keys_sort_group_and_zoom(stage: Stage) -> None:
    async def scene(pilot: Pilot[None], stage: Stage) -> None:
        await filled(pilot, stage)
        await pilot.press("s")
        assert "3 rules by packets" in stage.screen()
        assert "web" in stage.text("rules").splitlines()[1]
        await pilot.press("s")
        assert "3 rules in order" in stage.screen()
        await pilot.press("g")
        assert "3 policies in order" in stage.screen()
        await pilot.press("z")
        await pilot.pause()
        assert "latest verdicts" not in stage.screen()
        await pilot.press("z")
        await pilot.pause()
        assert "latest verdicts" in stage.screen()

    stage.play(scene)


def test_a_pause_stands_still_and_counting_goes_on(stage: Stage) -> None:
    async def scene(pilot: Pilot[None], stage: Stage) -> None:
        await filled(pilot, stage)
        await pilot.press("p")
        before = stage.text("flows")
        stage.telling.write(*[DENIED] * 5)
        await pilot.pause(1.2)
        assert stage.text("head").splitlines()[3].startswith("PAUSED")
        assert stage.text("flows") == before
        await pilot.press("p")
        await stage.until(pilot, lambda: "      7 198.51.100.7" in stage.screen(), "it goes on")
        assert "PAUSED" not in stage.screen()

    stage.play(scene)


def test_a_filter_is_asked_for_and_what_is_wrong_with_it_is_said_in_place(stage: Stage) -> None:
    async def scene(pilot: Pilot[None], stage: Stage) -> None:
        await filled(pilot, stage)
        await pilot.press("slash")
        asked = stage.app.query_one("#filter", Input)
        assert asked.value == "verdict == deny"
        asked.value = ""
        await pilot.press(*"dprot", "space", "4", "enter")
        assert "column 1: found `dprot`; did you mean dport?" in stage.screen()
        asked.value = "dport 443"
        await pilot.press("enter")
        await stage.until(pilot, lambda: "filter dport == 443" in stage.screen(), "it is taken")
        assert "no verdict yet" in stage.text("flows")
        stage.telling.write(DENIED, WEB)
        await stage.until(pilot, lambda: "2001:db8" in stage.text("flows"), "what is meant is shown")
        assert "198.51.100.7" not in stage.screen()
        await pilot.press("slash", *"nonsense", "escape")
        assert "filter dport == 443" in stage.screen()
        assert "Esc leaves it" not in stage.screen()
        await pilot.press("s")
        assert "by packets" in stage.screen()

    stage.play(scene)


def test_the_chosen_flow_stays_chosen_and_is_explained(stage: Stage) -> None:
    async def scene(pilot: Pilot[None], stage: Stage) -> None:
        await filled(pilot, stage)
        await pilot.press("down")
        stage.telling.write(DENIED, DENIED)
        await stage.until(pilot, lambda: "      4 198.51.100.7" in stage.screen(), "more came")
        (chosen,) = (line for line in stage.text("flows").splitlines() if line.startswith(">"))
        assert "2001:db8" in chosen
        await pilot.press("enter")
        await stage.until(pilot, lambda: "why: " in stage.screen(), "it is explained")
        screen = stage.screen()
        assert "GlobalNetworkPolicy(web) rule 0" in screen
        assert "found 443, wanted 80" in screen
        await pilot.press("escape")
        assert not isinstance(stage.app.screen, Why)
        await pilot.press("home", "up")
        assert stage.text("flows").startswith(">")

    stage.play(scene)


def test_files_are_read_anew_after_the_guard_has_taken_in_others(stage: Stage) -> None:
    async def scene(pilot: Pilot[None], stage: Stage) -> None:
        await filled(pilot, stage)
        await pilot.press("down", "enter")
        await stage.until(pilot, lambda: "wanted 80" in stage.screen(), "it is explained")
        await pilot.press("escape")
        stage.rules.write_text(RULES.replace("80", "443"), encoding="utf-8")
        stage.telling.changes += 1
        await stage.until(pilot, lambda: stage.app._feed.moves > 2, "the guard has others")
        await pilot.press("enter")
        await stage.until(pilot, lambda: "differs: " in stage.screen(), "it is explained anew")

    stage.play(scene)


def test_a_guard_that_goes_is_said_to_be_gone_and_waited_for(stage: Stage) -> None:
    async def scene(pilot: Pilot[None], stage: Stage) -> None:
        await filled(pilot, stage)
        stage.telling.go()
        await stage.until(pilot, lambda: "GUARD GONE for " in stage.screen(), "it is said")
        assert "allow ?/s" in stage.screen()
        assert "2001:db8" in stage.text("flows")
        stage.telling.come()
        await stage.until(pilot, lambda: "READY" in stage.screen(), "it is back")

    stage.play(scene)


def test_enter_without_a_flow_does_nothing_and_q_ends_it(stage: Stage) -> None:
    async def scene(pilot: Pilot[None], stage: Stage) -> None:
        await stage.until(pilot, lambda: "READY" in stage.text("head"), "the guard is known")
        await pilot.press("enter", "down")
        assert not isinstance(stage.app.screen, Why)
        await pilot.press("q")
        await pilot.pause()
        assert not stage.app.is_running or stage.app._exit

    stage.play(scene)


def test_a_fault_of_what_feeds_it_ends_it_instead_of_standing_still(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(pilot: Pilot[None], stage: Stage) -> None:
        await filled(pilot, stage)
        monkeypatch.setattr(stage.app._feed, "_turn", lambda _now: 1 // 0)
        await stage.until(pilot, lambda: stage.app._feed.fault, "it is noticed")
        await stage.until(pilot, lambda: stage.app._exit, "it ends")
        assert isinstance(stage.app._feed.fault, ZeroDivisionError)

    stage.play(scene)


def test_a_terminal_that_changes_its_size_is_filled_anew(stage: Stage) -> None:
    async def scene(pilot: Pilot[None], stage: Stage) -> None:
        await filled(pilot, stage)
        await pilot.resize_terminal(140, 40)
        await stage.until(pilot, lambda: "denied by, of 3" in stage.screen(), "there is room for more")

    stage.play(scene)
