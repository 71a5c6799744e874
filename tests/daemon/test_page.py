from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pages
import pytest
from guarded import endpoint, policy, tcp

from nfq_guard.adapters.http import Answer, Request
from nfq_guard.daemon.counters import POLICY_BASE, WORDS, Reader
from nfq_guard.daemon.explaining import Explaining
from nfq_guard.daemon.legends import Legends
from nfq_guard.daemon.live import MOST, Live
from nfq_guard.daemon.page import HEADERS, Page, Sight, asset
from nfq_guard.daemon.policy import Compiler
from nfq_guard.daemon.readings import KernelReadings
from nfq_guard.daemon.slots import SlotTable
from nfq_guard.daemon.telemetry import Telemetry
from nfq_guard.daemon.totals import Totals
from nfq_guard.engine.ruleset import Options
from nfq_guard.model.host import HostFacts, Interface
from nfq_guard.resources.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = Request("/", "", "127.0.0.1", "127.0.0.1", "127.0.0.1:9091", "", "", "a script")
ECHO = "import sys\nfor line in sys.stdin: print(line.strip(), flush=True)"
DATA = ("/api/live", "/api/map", "/api/rules", "/api/explain")
SHOWN = ("/", "/page.js", "/shared.js", "/explanation.js", "/policymap.js", "/page.css")


class Site:
    """A page over a policy in force; explanations are echoes."""

    def __init__(self, who: str = "loopback") -> None:
        compiler = Compiler(("unused",), Options())
        sources = (Source("a.yaml", f"{endpoint()}\n---\n{policy(tcp(80))}".encode()),)
        facts = HostFacts("guarded", {"eth0": Interface("eth0", ("10.0.0.1",), 2)})
        ruleset = compiler.compile(compiler.decode(sources), facts).ruleset
        words = memoryview(bytearray(WORDS * 8)).cast("Q")
        slots = SlotTable(100, lambda slot: words[POLICY_BASE + slot])
        slots.assign(ruleset.counted)
        telemetry = Telemetry(Reader((words,)), slots, lambda: KernelReadings({}), lambda: (0, 0))
        telemetry.ruleset, telemetry.sources = ruleset, sources
        live = Live({}, Legends(), lambda _who, _watch, _now: True)
        self.explaining = Explaining(lambda: (sys.executable, "-c", ECHO), {}, lambda: 1)
        sight = Sight(telemetry, live, Totals(telemetry), self.explaining)
        self.page = Page(sight, who, frozenset({"localhost"}))

    def get(self, path: str, request: Request = HOME, /, **parameters: object) -> Answer:
        answer = self.page(request._replace(path=path, query=urlencode(parameters)))
        assert answer is not None
        return answer

    def json(self, path: str, /, **parameters: object) -> Any:
        answer = self.get(path, **parameters)
        assert (answer.status, answer.content_type) == (200, "application/json")
        return json.loads(answer.body)


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.explaining.close()


@pytest.mark.parametrize("path", SHOWN)
def test_the_page_and_its_parts_are_there(site: Site, path: str) -> None:
    answer = site.get(path)

    assert answer.status == 200
    assert answer.body
    assert answer.content_type.startswith("text/")


def test_the_page_asks_nobody_else_for_anything() -> None:
    names = ("page.html", "page.css", "page.js", "shared.js", "explanation.js", "policymap.js")
    everything = "\n".join(asset(name).decode() for name in names)

    found = set(re.findall(r"https?://[^\s\"'`)]+", everything))
    assert found == {"http://www.w3.org/2000/svg"}
    asked = re.findall(r"(?:src|href)=\"([^\"]*)\"|from \"([^\"]*)\"", everything)
    assert {one or other for one, other in asked} <= {*SHOWN, "data:,"}


def test_nothing_of_the_page_makes_markup_of_text() -> None:
    for name in ("page.js", "shared.js", "explanation.js", "policymap.js"):
        script = asset(name).decode()
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script
        )
    assert not re.search(r"\bon\w+=|style=|<script>", asset("page.html").decode())


@pytest.mark.parametrize("path", [*SHOWN, *DATA[:2]])
def test_every_answer_tells_the_browser_what_it_may_not_do(site: Site, path: str) -> None:
    headers = dict(site.get(path).headers)

    assert headers == dict(HEADERS)
    assert headers["Content-Security-Policy"].startswith(
        "default-src 'none'; script-src 'self'; style-src 'self'; "
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert not any(name.startswith("Access-Control") for name in headers)


@pytest.mark.parametrize("path", [*SHOWN, *DATA])
@pytest.mark.parametrize(
    "request_",
    [
        HOME._replace(client="10.0.0.2", server="10.0.0.1", host="10.0.0.1"),
        HOME._replace(host="rebound.example"),
        HOME._replace(site="cross-site"),
        HOME._replace(origin="http://evil.example"),
    ],
    ids=["another host", "rebound", "another site", "another origin"],
)
def test_whoever_may_not_see_it_sees_nothing(site: Site, path: str, request_: Request) -> None:
    answer = site.get(path, request_)

    assert answer.status == 403
    assert b"expected" in answer.body or b"another site" in answer.body
    assert dict(answer.headers) == dict(HEADERS)


@pytest.mark.parametrize("path", DATA)
def test_what_a_page_of_another_site_can_send_gets_no_data(site: Site, path: str) -> None:
    answer = site.get(path, HOME._replace(requested_with=""))

    assert answer.status == 403
    assert b"X-Requested-With" in answer.body


def test_other_paths_are_not_ours(site: Site) -> None:
    for path in ("/favicon.ico", "/api", "/api/", "/../page.js", "/assets/page.js", ""):
        assert site.page(HOME._replace(path=path)) is None


def test_a_live_answer_has_state_totals_and_events(site: Site) -> None:
    found = site.json("/api/live")

    assert found["events"] == []
    assert (found["last"], found["skipped"], found["wrong"], found["hint"]) == (0, 0, "", "")
    assert found["totals"]["queue_depth"] == 0
    assert found["state"]["node"] == "guarded"
    assert found["guard"] == site.json("/api/live")["guard"]


def test_a_filter_that_cannot_be_read_is_said_and_the_rest_is_told(site: Site) -> None:
    found = site.json("/api/live", filter="dprot == 1")

    assert "did you mean dport?" in found["wrong"]
    assert "events" not in found
    assert found["state"]["node"] == "guarded"
    assert site.json("/api/live", filter="allow")["hint"]


@pytest.mark.parametrize(
    ("text", "is_filter"),
    [("deny and dport 443", True), ("tcp", True), ("zzz", False), (" ", False), ("", False)],
)
def test_a_text_that_reads_as_a_filter_is_said_to(site: Site, text: str, *, is_filter: bool) -> None:
    assert site.json("/api/live", text=text)["is_filter"] is is_filter


@pytest.mark.parametrize(
    ("path", "parameters", "word"),
    [
        ("/api/live", {"after": "-1"}, "after"),
        ("/api/live", {"after": "9" * 400}, "after"),
        ("/api/live", {"after": "\u0661"}, "after"),
        ("/api/live", {"most": MOST + 1}, "most"),
        ("/api/live", {"allowed": "yes"}, "allowed"),
        ("/api/live", {"filter": "x" * 20_000}, "query"),
        ("/api/live", {f"a{number}": 1 for number in range(100)}, "query"),
        ("/api/rules", {"name": "x" * 301}, "name"),
        ("/api/rules", {"start": "x"}, "start"),
        ("/api/explain", {}, "flow"),
        ("/api/explain", {"flow": "x" * 5000}, "flow"),
        ("/api/explain", {"flow": "[" * 4000}, "flow"),
        ("/api/explain", {"flow": "[1]"}, "object"),
    ],
)
def test_a_parameter_that_is_not_as_it_must_be_is_refused_with_the_reason(
    site: Site, path: str, parameters: dict[str, object], word: str
) -> None:
    answer = site.get(path, **parameters)

    assert answer.status == 400
    assert word in answer.body.decode()
    assert len(answer.body) < 500


def test_a_parameter_that_is_there_twice_is_refused(site: Site) -> None:
    answer = site.page(HOME._replace(path="/api/live", query="after=1&after=2"))

    assert answer is not None
    assert (answer.status, answer.body) == (400, b"after: found twice, expected once\n")


def test_the_map_and_the_rules_of_a_chain_are_told(site: Site) -> None:
    (one,) = site.json("/api/map")["endpoints"]
    wish = {"kind": one["kind"], "name": one["name"], "stage": "normal", "side": "ingress"}

    assert site.json("/api/rules", **wish)["rules"][0]["text"] == f"- {tcp(80)}"
    assert site.json("/api/rules", **wish | {"name": "nobody"}) == {"gone": True}


def test_a_question_becomes_one_line_whatever_it_holds(site: Site) -> None:
    flow = {"src": "a\nb\u2028", "verdict": "<script>"}
    found = {"state": "pending"}
    while found == {"state": "pending"}:
        found = site.json("/api/explain", flow=json.dumps(flow))

    assert found == {"state": "done", "explanation": flow}


def test_the_page_has_these_files_each_short_enough_to_read() -> None:
    folder = pages.ROOT / "nfq_guard" / "daemon" / "assets"

    assert {path.name for path in folder.iterdir()} == {
        *("page.html", "page.css", "page.js", "shared.js", "explanation.js", "policymap.js"),
    }
    assert all(path.read_text(encoding="utf-8").count("\n") <= 400 for path in folder.iterdir())


def test_one_answer_is_worked_out_at_a_time_and_whoever_would_wait_long_is_told(site: Site) -> None:
    with site.page._turn:
        assert [site.get(path).status for path in ("/api/live", "/api/map", "/api/rules")] == [503] * 3
        assert site.get("/").status == 200
        assert site.get("/api/explain", flow="{}").status == 200

    assert site.get("/api/live").status == 200
    assert site.get("/api/live", after="x").status == 400
    assert site.get("/api/live").status == 200
