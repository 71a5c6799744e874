"""The screen itself: where what stands, and what keys do.

Owns what the person at the keyboard has chosen. It never waits: the guard is asked by
the feed's thread, explanations are made by one of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import App
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.css.query import NoMatches
from textual.widgets import Footer, Input, Static

from nfq_guard.cli.screen import draw
from nfq_guard.cli.screen.board import Sort
from nfq_guard.cli.screen.why import Why
from nfq_guard.model.printable import printable
from nfq_guard.stream.filter import parse_filter
from nfq_guard.stream.tokens import MAX_LENGTH, FilterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult

    from nfq_guard.cli.explaining import Explaining
    from nfq_guard.cli.screen.feed import Feed, View
    from nfq_guard.stream.event import Event
    from nfq_guard.stream.heavy import Hitter

_REFRESH = 0.5
"""Seconds between two pictures."""
_SORTS = tuple(Sort)
_COLUMNS = ("sources", "ports", "interfaces", "by")
_NARROW = 120
"""Columns below which there is no room for a fourth column of what is denied."""


class Top(App[None]):
    """`nfq-guard top`."""

    TITLE = "nfq-guard top"
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None
    # Borders on one side only, and the terminal's own colours: it has to be read at 80x24, over SSH, in 16 colours.
    CSS = """
    Screen { background: ansi_default; color: ansi_default; }
    #head { height: 4; }
    .panel { border-top: solid ansi_blue; border-title-color: ansi_default; border-title-style: bold; }
    #rules { height: 7fr; min-height: 3; }
    #denied { height: 4fr; min-height: 3; }
    #denied Static { width: 1fr; height: 100%; margin-right: 1; }
    #kernel { display: none; height: 1; }
    #kernel.counted { display: block; }
    #flows { height: 8fr; min-height: 3; }
    #ask { display: none; height: 2; }
    #ask.open { display: block; }
    #ask Input { border: none; height: 1; padding: 0; background: ansi_default; }
    #wrong { height: 1; }
    .zoomed #denied, .zoomed #kernel, .zoomed #flows { display: none; }
    Footer { background: ansi_default; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "ask", "Filter", key_display="/"),
        Binding("s", "sort", "Sort"),
        Binding("g", "group", "Group"),
        Binding("p", "pause", "Pause"),
        Binding("z", "zoom", "Zoom"),
        Binding("enter", "why", "Why"),
        Binding("up", "move(-1)", "Newer", show=False),
        Binding("down", "move(1)", "Older", show=False),
        Binding("pageup", "move(-10)", "Ten newer", show=False),
        Binding("pagedown", "move(10)", "Ten older", show=False),
        Binding("home", "newest", "Newest", show=False),
        Binding("escape", "leave", "Leave the filter as it was", show=False),
        Binding("q,ctrl+c", "quit", "Quit"),
    ]

    def __init__(self, feed: Feed, explaining: Explaining) -> None:
        """Show what this feed has, and explain by this."""
        super().__init__()
        self.theme = "ansi-dark"
        self._feed = feed
        self._explaining = explaining
        self._explained_moves = -1
        """Of the guard's rules, when files were last read for explanations."""
        self._sort = Sort.RATE
        self._by_policy = False
        self._paused = False
        self._chosen = 0
        """Number of the flow that is chosen; 0: the newest, whichever that is."""
        self._drawn: dict[str, Text] = {}
        """By the part of the screen."""
        self._view: View = feed.view(self._sort, by_policy=False)

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield Static(id="head", markup=False)
        yield Static(id="rules", classes="panel", markup=False)
        with Horizontal(id="denied"):
            for name in _COLUMNS:
                yield Static(id=name, classes="panel", markup=False)
        yield Static(id="kernel", markup=False)
        yield Static(id="flows", classes="panel", markup=False)
        with Vertical(id="ask"):
            yield Input(id="filter", placeholder="a filter as for nfq-guard watch; empty: everything")
            yield Static(id="wrong", markup=False)
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Begin to draw."""
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit)
        self.set_interval(_REFRESH, self.refresh_view)
        self.call_after_refresh(self.refresh_view)

    def on_resize(self) -> None:
        """Draw anew, when there is the room."""
        self.call_after_refresh(self._draw)

    def refresh_view(self) -> None:
        """Show what there is now, unless it is to stand still."""
        if self._feed.fault is not None:
            self.exit()
        if not self._paused:
            self._look()
        self._draw()

    def _look(self) -> None:
        self._view = self._feed.view(self._sort, by_policy=self._by_policy)

    # -- drawing -----------------------------------------------------------

    def _draw(self) -> None:
        if len(self.screen_stack) > 1:
            return  # an explanation stands over it
        # At its end the parts go one by one, and the clock may tick meanwhile.
        with contextlib.suppress(NoMatches):
            self._draw_parts()

    def _draw_parts(self) -> None:
        view, board = self._view, self._view.board
        head = draw.head(view, self.size.width, datetime.now(UTC), paused=self._paused)
        self._put("head", lambda _width, _height: head)
        title = draw.rules_title(view, self._sort, by_policy=self._by_policy)
        self._put("rules", partial(draw.rules, board.rules), title)
        self._draw_denied(view)
        self._put("flows", self._flows, "latest verdicts, those of the kernel itself left out")

    def _draw_denied(self, view: View) -> None:
        denied, health = view.board.denied, view.board.health
        names = {} if health is None else health.endpoints
        columns: dict[str, tuple[list[Hitter[str]], dict[str, str]]] = {
            "sources": (denied.sources, {}),
            "ports": (denied.ports, {}),
            "interfaces": (denied.interfaces, names),
            "by": (denied.rules, {}),
        }
        self.query_one("#by").display = self.size.width >= _NARROW
        for name, (hitters, also) in columns.items():
            self._put(name, partial(draw.denied, hitters, names=also), draw.denied_title(name, view))
        by_kernel = draw.by_kernel(view, self.size.width)
        self.query_one("#kernel").set_class(bool(by_kernel), "counted")
        self._put("kernel", lambda _width, _height: by_kernel)

    def _flows(self, width: int, height: int) -> list[Text]:
        latest = self._view.board.latest
        if not latest:
            return [Text(draw.nothing_yet(self._view), "dim")]
        return draw.flows(latest, self._index(), width, height)

    def _index(self) -> int:
        """Return where the chosen flow stands now; the oldest there is, if it has gone by."""
        latest = self._view.board.latest
        if not self._chosen or not latest:
            return 0
        return min(max(0, latest[0].number - self._chosen), len(latest) - 1)

    def _put(self, name: str, lines: Callable[[int, int], list[Text]], title: str = "") -> None:
        widget = self.query_one(f"#{name}", Static)
        width, height = widget.content_size
        if title:
            widget.border_title = title
        text = draw.lines_of(lines(width, height))
        # What stands there already is not sent again: the way to the terminal may be slow.
        if self._drawn.get(name) != text:
            self._drawn[name] = text
            widget.update(text, layout=False)

    # -- keys --------------------------------------------------------------

    def action_sort(self) -> None:
        """Sort rules by what comes next."""
        self._sort = _SORTS[(_SORTS.index(self._sort) + 1) % len(_SORTS)]
        self._look_again()

    def action_group(self) -> None:
        """Show policies instead of rules, or rules again."""
        self._by_policy = not self._by_policy
        self._look_again()

    def _look_again(self) -> None:
        self._look()
        self._draw()

    def action_pause(self) -> None:
        """Let everything stand still, or go on. Counting goes on meanwhile."""
        self._paused = not self._paused
        self.refresh_view()

    def action_zoom(self) -> None:
        """Give rules the whole screen, or not any more."""
        self.screen.toggle_class("zoomed")
        self.call_after_refresh(self._draw)

    def action_move(self, steps: int) -> None:
        """Choose a flow further down or up; up from the newest follows the newest."""
        latest = self._view.board.latest
        if not latest:
            return
        index = self._index() + steps
        self._chosen = latest[min(index, len(latest) - 1)].number if index > 0 else 0
        self._draw()

    def action_newest(self) -> None:
        """Choose the newest, and follow it."""
        self._chosen = 0
        self._draw()

    def action_why(self) -> None:
        """Explain the flow that is chosen."""
        latest = self._view.board.latest
        if latest:
            self.push_screen(Why(latest[self._index()].event, self._explain))

    def _explain(self, event: Event) -> list[str]:
        """Return why (in a thread of its own): by the files as they are since the guard took in its rules."""
        moves = self._feed.moves
        if moves != self._explained_moves:
            self._explained_moves = moves
            self._explaining.reload()
        return self._explaining.story_of(event)

    # -- the filter ----------------------------------------------------------

    def action_ask(self) -> None:
        """Ask for a filter."""
        self.query_one("#ask").add_class("open")
        self.query_one("#wrong", Static).update(Text("Enter takes it, Esc leaves it as it was", "dim"))
        asked = self.query_one("#filter", Input)
        asked.value = self._view.wanted
        asked.focus()

    def action_leave(self) -> None:
        """Leave the filter as it was."""
        self.query_one("#ask").remove_class("open")
        self.set_focus(None)
        self.call_after_refresh(self._draw)

    def on_input_submitted(self, submitted: Input.Submitted) -> None:
        """Take the filter, or say what is wrong with it."""
        try:
            wanted = parse_filter(submitted.value)
        except FilterError as error:
            said = f"column {error.column}: {printable(error.message)}"
            self.query_one("#wrong", Static).update(Text(said, "bold red", no_wrap=True, overflow="ellipsis"))
            submitted.input.cursor_position = min(error.column - 1, MAX_LENGTH)
            return
        self._feed.want(wanted)
        self._chosen = 0
        self.action_leave()
        self._look_again()
