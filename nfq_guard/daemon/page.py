"""The web page: which path has which answer.

Owns the paths, their parameters and the headers of every answer. Read only: whatever is
asked changes nothing but what workers write down for two seconds. Called in threads of
the HTTP side; must never touch what is the controller's loop's.
"""

from __future__ import annotations

import json
import threading
import time
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

from nfq_guard.adapters.http import Answer
from nfq_guard.daemon.live import MOST, Want, hint
from nfq_guard.daemon.policymap import Which, chain_rules, overview
from nfq_guard.daemon.totals import state
from nfq_guard.daemon.visitors import refusal
from nfq_guard.stream.filter import parse_filter
from nfq_guard.stream.tokens import FilterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    from nfq_guard.adapters.http import Request
    from nfq_guard.daemon.explaining import Explaining
    from nfq_guard.daemon.live import Live
    from nfq_guard.daemon.telemetry import Telemetry
    from nfq_guard.daemon.totals import Totals

HEADERS = (
    (
        "Content-Security-Policy",
        (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)
_SCRIPT = "text/javascript; charset=utf-8"
_ASSETS = {
    "/": ("page.html", "text/html; charset=utf-8"),
    **{f"/{name}.js": (f"{name}.js", _SCRIPT) for name in ("page", "shared", "explanation", "policymap")},
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
_PLAIN, _JSON = "text/plain; charset=utf-8", "application/json"
_FOREIGN = (
    b"found no header X-Requested-With, expected any: a page of another site cannot send it without being asked back, "
    b"the page's own scripts do (curl -H 'X-Requested-With: curl')\n"
)
"""An older browser, or any at an address that is neither loopback nor https, does not tell whose page asks (CSRF)."""
_LONGEST_QUERY = 16_384
_LONGEST_QUESTION = 4096
"""Of a flow as JSON. A line of the verdict stream has some seven hundred."""
_LONGEST_NAME = 300
_PATIENCE = 0.5
"""Seconds that a request waits for its turn."""
_WAITING = frozenset({"/api/explain"})
"""Waits for another process, and works out nothing here."""
_MOST_FIELDS = 16


class Sight(NamedTuple):
    """What the page shows."""

    telemetry: Telemetry
    live: Live
    totals: Totals
    explaining: Explaining


class _BadRequestError(Exception):
    """A parameter is not as it must be; says how."""


class Page:
    """Answers requests, or refuses them."""

    def __init__(self, sight: Sight, who: str, names: AbstractSet[str]) -> None:
        """`who` may see it: the setting; `names`: what this host is called in a browser."""
        self._sight = sight
        self._who = who
        self._names = names
        self._turn = threading.Lock()
        """One answer at a time: a crowd that asks is not to take the processor from the controller's loop."""
        self._data: Mapping[str, Callable[[_Parameters], bytes]] = {
            "/api/live": self._live,
            "/api/map": self._map,
            "/api/rules": self._rules,
            "/api/explain": self._explain,
        }

    def __call__(self, request: Request) -> Answer | None:
        """Return the answer to a request, None if the path is not ours."""
        if request.path not in self._data and request.path not in _ASSETS:
            return None
        why = refusal(self._who, request, self._names)
        if why:
            return _answer(403, _PLAIN, f"{why}\n".encode())
        if request.path in self._data and not request.requested_with:
            return _answer(403, _PLAIN, _FOREIGN)
        if request.path in _ASSETS:
            name, kind = _ASSETS[request.path]
            return _answer(200, kind, asset(name))
        waits = request.path in _WAITING
        if not waits and not self._turn.acquire(timeout=_PATIENCE):
            return _answer(503, _PLAIN, b"others ask just now: try again in a moment\n")
        try:
            return _answer(200, _JSON, self._data[request.path](_Parameters(request.query)))
        except _BadRequestError as error:
            return _answer(400, _PLAIN, f"{error}\n".encode())
        finally:
            if not waits:
                self._turn.release()

    def _live(self, given: _Parameters) -> bytes:
        now = time.monotonic()
        live = self._sight.live
        answer: dict[str, Any] = {"guard": live.token, "wrong": "", "hint": ""}
        allowed = given.number("allowed", 1) == 1
        # A page of the guard before has other numbers.
        known = given.number("after")
        after = known if given.text("guard", 64) == live.token else 0
        try:
            meant = parse_filter(given.text("filter", _LONGEST_QUERY))
        except FilterError as error:
            answer["wrong"] = str(error)
        else:
            answer |= live.ask(Want(after, given.number("most", MOST, MOST), allowed, meant), now)
            answer["hint"] = hint(meant, allowed=allowed)
        answer["is_filter"] = _is_filter(given.text("text", _LONGEST_QUERY))
        answer["totals"] = self._sight.totals.read(now)
        answer["state"] = state(self._sight.telemetry)
        return _json(answer)

    def _map(self, given: _Parameters) -> bytes:
        del given
        return _json(overview(self._sight.telemetry))

    def _rules(self, given: _Parameters) -> bytes:
        which = Which(
            kind=given.text("kind", _LONGEST_NAME),
            name=given.text("name", _LONGEST_NAME),
            namespace=given.text("namespace", _LONGEST_NAME),
            stage=given.text("stage", _LONGEST_NAME),
            side=given.text("side", _LONGEST_NAME),
            staged=given.number("staged", 1) == 1,
        )
        found = chain_rules(self._sight.telemetry, which, given.number("start"))
        if found is None:
            return _json({"gone": True})
        # What the kernel counts of rules is read with its other counters.
        self._sight.totals.read(time.monotonic())
        return _json(found)

    def _explain(self, given: _Parameters) -> bytes:
        text = given.text("flow", _LONGEST_QUESTION)
        try:
            flow = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _BadRequestError(f"flow: found no JSON ({error}), expected a flow") from error
        if not isinstance(flow, dict):
            raise _BadRequestError("flow: expected a JSON object")
        return self._sight.explaining.ask(json.dumps(flow))


class _Parameters:
    """What stands behind the question mark, each name once."""

    def __init__(self, query: str) -> None:
        if len(query) > _LONGEST_QUERY:
            raise _BadRequestError(
                f"the query has {len(query)} characters, expected at most {_LONGEST_QUERY}"
            )
        try:
            found = parse_qs(query, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError as error:
            raise _BadRequestError(f"the query cannot be read: {error}") from error
        twice = [name for name, values in found.items() if len(values) > 1]
        if twice:
            raise _BadRequestError(f"{twice[0][:50]}: found twice, expected once")
        self._found = {name: values[0] for name, values in found.items()}

    def text(self, name: str, longest: int) -> str:
        value = self._found.get(name, "")
        if len(value) > longest:
            raise _BadRequestError(f"{name}: found {len(value)} characters, expected at most {longest}")
        return value

    def number(self, name: str, last: int = 1 << 53, default: int = 0) -> int:
        value = self._found.get(name, "")
        if not value:
            return default
        if not (value.isascii() and value.isdigit()) or len(value) > len(str(last)) or int(value) > last:
            raise _BadRequestError(f"{name}: found {value[:50]!r}, expected a number 0-{last}")
        return int(value)


def asset(name: str) -> bytes:
    """Return a file of the page."""
    return resources.files("nfq_guard.daemon").joinpath("assets", name).read_bytes()


def _is_filter(text: str) -> bool:
    """Return whether a search that found nothing was perhaps meant as a filter."""
    try:
        return bool(parse_filter(text).canonical)
    except FilterError:
        return False


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def _answer(status: int, content_type: str, body: bytes) -> Answer:
    return Answer(status, content_type, body, HEADERS)
