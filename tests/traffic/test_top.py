"""The screen over a real daemon with real traffic."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
from guarded import NODE, Daemon, Server, connects, endpoint, policy, tcp
from netns import End, pair

from nfq_guard.cli.explaining import Explaining, Source
from nfq_guard.cli.screen.app import Top
from nfq_guard.cli.screen.feed import Feed
from nfq_guard.daemon.settings import Settings
from nfq_guard.stream.filter import parse_filter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from textual.pilot import Pilot

    Play = Callable[["Pilot[None]", "Site"], Awaitable[None]]

pytestmark = pytest.mark.traffic
OPEN, CLOSED = 8080, 8081
RULE = "default/GlobalNetworkPolicy(traffic) rule 0"


class Site:
    """A guarded end, a peer, a daemon, and the screen."""

    def __init__(self, ends: tuple[End, End], base: Path) -> None:
        self.guarded, self.peer = ends
        self.daemon = Daemon(self.guarded.namespace, base, "--learned-verdicts", "false")
        self.daemon.write(endpoint(), policy(tcp(OPEN)))

    def play(self, scene: Play, wanted: str = "deny") -> None:
        asyncio.run(self._play(scene, wanted))

    async def _play(self, scene: Play, wanted: str) -> None:
        feed = Feed(str(self.daemon.control), parse_filter(wanted))
        feed.connect()
        feed.start()
        facts = json.dumps({"node": NODE, "interfaces": {"eth0": [self.guarded.v4]}})
        source = Source((str(self.daemon.rules),), ("facts.json", facts), Settings())
        try:
            async with Top(feed, Explaining(source)).run_test(size=(110, 30)) as pilot:
                await scene(pilot, self)
        finally:
            feed.close()

    def denied(self, port: int = CLOSED) -> None:
        with self.peer.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            sock.connect_ex((self.guarded.v4, port))

    def allowed(self) -> None:
        assert connects(self.peer, self.guarded, OPEN)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with pair() as ends:
        made = Site(ends, tmp_path)
        with made.daemon, contextlib.closing(Server(ends[0].namespace, OPEN)):
            made.daemon.start()
            yield made


def shown(pilot: Pilot[None]) -> str:
    lines = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in lines)


async def until(
    pilot: Pilot[None], probe: Callable[[str], Any], what: str, meanwhile: Callable[[], None] = lambda: None
) -> str:
    for _ in range(200):
        meanwhile()
        await pilot.pause(0.1)
        if probe(screen := shown(pilot)):
            return screen
    raise AssertionError(f"{what}:\n{shown(pilot)}")


def row(screen: str, text: str) -> list[str]:
    """Return the words of the line with a text, none if there is none."""
    return next((line.split() for line in screen.splitlines() if text in line), [])


def test_counters_are_exact_and_denials_are_told(site: Site) -> None:
    async def scene(pilot: Pilot[None], site: Site) -> None:
        await until(pilot, lambda screen: "READY  enforcing generation 1" in screen, "the guard is known")
        for _ in range(7):
            site.allowed()
        for _ in range(3):
            site.denied()
        screen = await until(pilot, lambda screen: row(screen, RULE)[1:2] == ["7"], "the rule has its count")
        assert float(row(screen, RULE)[0]) > 0
        screen = await until(
            pilot, lambda screen: row(screen, "latest verdicts") and site.peer.v4 in screen, "denials"
        )
        assert f"TCP {CLOSED}" in screen
        assert "eth0 guarded-eth0" in screen
        assert "end of tier default" in screen
        assert f"TCP {OPEN}" not in screen

    site.play(scene)


def test_a_denied_flow_is_explained_by_the_files(site: Site) -> None:
    async def scene(pilot: Pilot[None], site: Site) -> None:
        await until(pilot, lambda screen: f"> {site.guarded.v4}:{CLOSED}" in screen, "a denial", site.denied)
        await pilot.press("enter")
        screen = await until(pilot, lambda screen: "why: " in screen, "it is explained")
        assert f"found {CLOSED}, wanted {OPEN}" in " ".join(screen.split())
        assert "differs" not in screen

    site.play(scene)


def test_verdicts_of_others_are_shown_once_they_are_asked_for(site: Site) -> None:
    async def scene(pilot: Pilot[None], site: Site) -> None:
        await until(pilot, lambda screen: "READY" in screen, "the guard is known")
        await pilot.press("slash", *["backspace"] * 40, *"allow", "enter")
        await until(
            pilot, lambda screen: f"> {site.guarded.v4}:{OPEN}" in screen, "an allowed one", site.allowed
        )

    site.play(scene)


def test_a_guard_that_is_started_anew_is_waited_for(site: Site) -> None:
    async def scene(pilot: Pilot[None], site: Site) -> None:
        await until(pilot, lambda screen: "READY" in screen, "the guard is known")
        assert await asyncio.to_thread(site.daemon.stop) == 0
        await until(pilot, lambda screen: "GUARD GONE for" in screen, "it is gone")
        await asyncio.to_thread(site.daemon.start)
        await until(pilot, lambda screen: "READY" in screen and "GONE" not in screen, "it is back")
        await until(
            pilot, lambda screen: f"> {site.guarded.v4}:{CLOSED}" in screen, "it goes on", site.denied
        )

    site.play(scene)


def test_a_flood_is_skipped_and_counted_and_the_screen_lives(site: Site) -> None:
    target = (site.guarded.v4, CLOSED)

    async def scene(pilot: Pilot[None], site: Site) -> None:
        await until(pilot, lambda screen: "READY" in screen, "the guard is known")
        with site.peer.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:

            def flood() -> None:
                for _ in range(2000):
                    with contextlib.suppress(OSError):
                        sock.sendto(bytes(1), target)

            await until(
                pilot,
                lambda screen: "filter" in screen and ", skipped 0," not in screen,
                "it is counted",
                flood,
            )
            await pilot.press("s")
            assert "by packets" in shown(pilot)

    site.play(scene)
