"""The explanation of a flow, over the screen.

Owns the window only: what explains runs in a thread of its own, since the first
explanation reads all rule files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from nfq_guard.cli.screen.draw import flow
from nfq_guard.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.text import Text
    from textual.app import ComposeResult

    from nfq_guard.stream.event import Event

_STYLES = {"differs:": "bold yellow", "why:": "bold", "change:": "bold", "not explained:": "bold yellow"}


class Why(ModalScreen[None]):
    """Shows what a function says of an event, when it has said it."""

    CSS = """
    Why { align: center middle; }
    Why #box { width: 100%; height: 100%; border: round ansi_blue; background: ansi_default; padding: 0 1; }
    """
    AUTO_FOCUS = "#box"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "app.pop_screen", "Close", show=False),
    ]

    def __init__(self, event: Event, explain: Callable[[Event], list[str]]) -> None:
        """Ask the function, in a thread, once this is on the screen."""
        super().__init__()
        self._event = event
        self._explain = explain

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with VerticalScroll(id="box") as box:
            box.border_title = "why"
            box.border_subtitle = "arrows scroll, Esc goes back"
            yield Static(self._text(["", "explaining …"]), id="told", markup=False)

    def on_mount(self) -> None:
        """Begin."""
        self.run_worker(self._ask, thread=True, exclusive=True)

    def _ask(self) -> None:
        lines = self._explain(self._event)
        self.app.call_from_thread(self._show, lines)

    def _show(self, lines: list[str]) -> None:
        if self.is_mounted:
            self.query_one("#told", Static).update(self._text(["", *lines]))

    def _text(self, lines: list[str]) -> Text:
        told = flow(self._event)
        for line in lines:
            style = next((style for word, style in _STYLES.items() if line.strip().startswith(word)), "")
            told.append("\n")
            told.append(printable(line), style)
        told.no_wrap = False
        return told
