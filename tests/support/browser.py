"""A real headless Chromium in a namespace, led over a pipe (Chrome DevTools Protocol).

Owns the browser's life in a test: started with an empty profile, told what to do, always
ended. No port and no driver: commands go to descriptor 3, answers come from descriptor 4.
Must never be used for anything but tests.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import time
from typing import TYPE_CHECKING, Any, Self

from netns import until

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from netns import Namespace

NAMES = ("chromium-headless-shell", "chromium")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe"),
)
PATIENCE = 30.0
"""Seconds for one command: the first page of a browser on a busy machine takes its time."""


def missing() -> str:
    """Return why there is no browser, empty where there is one."""
    if any(map(shutil.which, NAMES)):
        return ""
    return f"no browser is installed (Debian package {NAMES[0]})"


class Browser:
    """One tab. Use as a context manager."""

    def __init__(self, space: Namespace, profile: Path) -> None:
        """Start it; `profile` is a folder that is not there yet."""
        program = next(filter(None, map(shutil.which, NAMES)))
        their_in, self._out = os.pipe()
        self._in, their_out = os.pipe()
        # bash: a shell of POSIX cannot name descriptors above 9.
        leave = f'exec "$0" "$@" 3<&{their_in} 4>&{their_out} {their_in}<&- {their_out}>&-'
        self._log = (profile.parent / f"{profile.name}.log").open("wb")
        try:
            self._process = space.popen(
                *("bash", "-c", leave, program, *FLAGS, f"--user-data-dir={profile}", "about:blank"),
                pass_fds=(their_in, their_out),
                stdout=self._log,
                stderr=self._log,
            )
        finally:
            os.close(their_in)
            os.close(their_out)
        self._numbers = itertools.count(1)
        self._rest = b""
        self.events: list[dict[str, Any]] = []
        """Everything it said unasked: requests, words of the console, exceptions."""
        self._session = ""
        self._session = self._attached()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _attached(self) -> str:
        def page() -> Any:
            targets = self.call("Target.getTargets")["targetInfos"]
            return next((target["targetId"] for target in targets if target["type"] == "page"), None)

        target = until(page, "the browser has a tab", PATIENCE)
        session: str = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return session

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(10)
        os.close(self._out)
        os.close(self._in)
        self._log.close()

    # -- the protocol -----------------------------------------------------

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Have a command carried out and return its result; AssertionError with its words if it fails."""
        number = next(self._numbers)
        message: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._hear(deadline - time.monotonic())
            assert answer is not None, f"{method}: no answer from the browser"
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _hear(self, seconds: float) -> dict[str, Any] | None:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(0.0, seconds))
            data = os.read(self._in, 1 << 20) if ready else b""
            if not data:
                return None
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        heard: dict[str, Any] = json.loads(message)
        return heard

    # -- what a person does ---------------------------------------------------

    def open(self, address: str) -> None:
        """Go to a page and wait until it has been read."""
        failed = self.call("Page.navigate", url=address).get("errorText")
        assert not failed, f"{address}: {failed}"
        self.wait("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Return the value of an expression of JavaScript, awaited."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, f"{script}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def wait(self, script: str, timeout: float = 20.0) -> Any:
        """Wait until an expression is true, and return it."""
        return until(lambda: self.run(script), script, timeout, pause=0.1)

    def click(self, selector: str) -> None:
        """Press the mouse on the middle of an element."""
        quoted = json.dumps(selector)
        self.wait(f"!!document.querySelector({quoted})")
        x, y = self.run(
            f"(() => {{ const found = document.querySelector({quoted}); found.scrollIntoView({{block: 'center'}}); "
            "const box = found.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Press and let go of a key: `Tab`, `Enter`, `Escape`."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27}
        text = {"text": "\r"} if key == "Enter" else {}
        common = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, selector: str, text: str) -> None:
        """Put text in an input as if it was typed, in the place of what is there."""
        self.run(
            f"(() => {{ const found = document.querySelector({json.dumps(selector)}); found.focus(); found.select(); }})()"
        )
        if text:
            self.call("Input.insertText", text=text)
        else:
            self.call(
                "Input.dispatchKeyEvent",
                type="keyDown",
                key="Delete",
                code="Delete",
                windowsVirtualKeyCode=46,
            )

    def text(self, selector: str) -> str:
        """Return what an element shows, empty where there is none."""
        found: str = self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        return found

    # -- what it looks like -----------------------------------------------------

    def size(self, width: int, height: int = 800) -> None:
        """Be as large as a screen."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def scheme(self, name: str) -> None:
        """Prefer `dark` or `light`."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def picture(self) -> bytes:
        """Return what is to be seen as a PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    # -- what it has noted --------------------------------------------------------

    def noted(self, method: str) -> list[dict[str, Any]]:
        """Return all it has said unasked of one kind."""
        self.run("0")  # what is on its way arrives ahead of the answer
        return [event["params"] for event in self.events if event.get("method") == method]

    def requested(self) -> list[str]:
        """Return every address that it has asked for."""
        return [event["request"]["url"] for event in self.noted("Network.requestWillBeSent")]

    def complaints(self) -> list[str]:
        """Return errors and warnings of its console, violated policies among them, and uncaught exceptions."""
        logged = [event["entry"] for event in self.noted("Log.entryAdded")]
        said = [
            f"{entry['level']}: {entry['text']}" for entry in logged if entry["level"] in {"error", "warning"}
        ]
        said += [
            str(event["args"])
            for event in self.noted("Runtime.consoleAPICalled")
            if event["type"] in {"error", "warning"}
        ]
        return said + [str(event["exceptionDetails"]) for event in self.noted("Runtime.exceptionThrown")]
