"""The web page in a real browser, beside a running guard."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING

import browser
import pytest
from browser import Browser
from guarded import endpoint, policy, tcp
from netns import link, pair, until
from paged import CLOSED, HOSTILE, OPEN, PAGE, SHUT, Site, started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.traffic
UNDERLINED = "<u>eth1"
BY_ADDRESS = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: by-address, labels: {guarded: "yes"}}
spec: {node: guarded, expectedIPs: [10.78.0.1]}
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with started(tmp_path) as made:
        yield made


@pytest.fixture
def tab(site: Site, tmp_path: Path) -> Iterator[Browser]:
    if reason := browser.missing():
        pytest.skip(reason)
    with Browser(site.guarded.namespace, tmp_path / "profile") as made:
        made.size(1280)
        made.open(PAGE)
        yield made


def row_of(port: int) -> str:
    """Return an expression that finds the row of a denied packet."""
    return f"[...document.querySelectorAll('#verdicts tbody tr')].find((row) => row.innerText.includes(':{port}'))"


def clean(tab: Browser) -> None:
    """Hold against the browser's own log that nothing was wrong and nobody else was asked."""
    assert tab.complaints() == []
    asked = tab.requested()
    assert len(asked) > 5
    assert [address for address in asked if not address.startswith((PAGE, "data:,", "about:blank"))] == []


def shown(site: Site, tab: Browser, port: int) -> None:
    until(
        lambda: (site.denied(port), tab.run(f"!!{row_of(port)}"))[1], f"port {port} is shown", 30, pause=0.2
    )


def test_a_denied_flow_is_shown_and_opens_its_explanation(site: Site, tab: Browser) -> None:
    shown(site, tab, SHUT)
    row = tab.run(f"{row_of(SHUT)}.innerText")
    assert "deny" in row
    assert "end of tier default" in row

    tab.run(f"{row_of(SHUT)}.querySelector('button').id = 'chosen'")
    tab.click("#chosen")

    tab.wait("document.querySelector('#why').open")
    tab.wait("document.querySelectorAll('#explanation h3').length > 1", 60)
    text = tab.text("#explanation")
    assert "Causes" in text
    assert "found" in text
    assert f'note == \\"{HOSTILE}\\"' in text or HOSTILE in text
    assert tab.run("document.querySelectorAll('img, script:not([src])').length") == 0
    tab.press("Escape")
    tab.wait("!document.querySelector('#why').open")
    clean(tab)


def test_what_names_hold_is_shown_and_never_obeyed(site: Site, tab: Browser) -> None:
    def refused(name: str) -> None:
        tab.wait(f"document.querySelector('#errors').innerText.includes({json.dumps(name)})")

    # Neither gets further than the words of its refusal; rules' own text is in the map and in explanations.
    link(site.guarded.namespace, site.peer.namespace, names=(UNDERLINED, "eth1"), subnet=78)
    site.daemon.write(endpoint(), BY_ADDRESS, policy(tcp(OPEN)))
    refused(UNDERLINED)
    site.daemon.write(endpoint(), policy(tcp(OPEN), name=f"'{HOSTILE}'"))
    refused(HOSTILE)

    assert tab.run("document.querySelectorAll('img, u, script:not([src])').length") == 0
    clean(tab)


def test_the_keyboard_is_enough(site: Site, tab: Browser) -> None:
    shown(site, tab, CLOSED)
    tab.run("document.activeElement.blur()")

    for _ in range(30):
        tab.press("Tab")
        if tab.run("!!document.activeElement.closest('#verdicts')"):
            break
    tab.press("Enter")

    tab.wait("document.querySelector('#why').open")
    tab.wait("document.querySelectorAll('#explanation h3').length > 1", 60)
    clean(tab)


def test_a_search_leaves_what_is_meant(site: Site, tab: Browser) -> None:
    for port in (CLOSED, SHUT):
        shown(site, tab, port)

    tab.type("#filter", f":{SHUT}")
    tab.wait(f"!{row_of(CLOSED)} && !!{row_of(SHUT)}")

    tab.type("#filter", "zzz")
    told(tab, "seen here has “zzz”")
    assert not tab.run("document.querySelector('#as-filter').offsetParent")

    tab.type("#filter", f"deny and dport {CLOSED}")
    told(tab, "it reads as a filter:")
    tab.click("#as-filter")
    tab.wait(f"!!{row_of(CLOSED)} && !{row_of(SHUT)}")
    assert tab.run("document.querySelector('#filter').placeholder") == "deny and dport 443"

    tab.type("#filter", "dport 1")
    told(tab, "nothing that this filter means has been seen here yet")
    tab.type("#filter", "dprot == 1")
    assert "did you mean dport?" in tab.wait("document.querySelector('#wrong').innerText")
    told(tab, "nothing is searched before the filter can be read")
    tab.type("#filter", "allow")
    tab.wait("document.querySelector('#wrong').hidden")
    tab.wait("document.querySelector('#told').innerText.includes('tick')")
    clean(tab)


def told(tab: Browser, words: str) -> None:
    """Wait until the line above the verdicts says something."""
    tab.wait(f"document.querySelector('#told').innerText.includes({json.dumps(words)})")


def test_denials_that_the_kernel_learned_are_counted_beside_those_that_are_seen(tmp_path: Path) -> None:
    if reason := browser.missing():
        pytest.skip(reason)
    with pair() as ends:
        site = Site(ends, tmp_path, "--learned-verdicts", "true")
        with (
            site.daemon,
            contextlib.closing(site.server),
            Browser(site.guarded.namespace, tmp_path / "profile") as tab,
        ):
            site.daemon.start()
            tab.open(PAGE)
            shown(site, tab, CLOSED)
            again = "more since [0-9:]{8} UTC were denied by the kernel itself, which does not say whose"
            said = f"[...document.querySelectorAll('#tops h3')].every((one) => /{again}/.test(one.innerText))"

            until(lambda: (site.denied(), tab.run(said))[1], "the kernel's denials are told", 30, pause=0.1)

            tab.click("#tab-map")
            tab.wait("document.querySelector('#kernel').innerText.includes('tier-default (learned)')")
            clean(tab)


def test_a_pause_holds_still_and_goes_on(site: Site, tab: Browser) -> None:
    shown(site, tab, CLOSED)
    tab.click("#pause")
    held = tab.run("document.querySelectorAll('#verdicts tbody tr').length")
    before = tab.text("#deny-total")

    until(lambda: (site.denied(SHUT), tab.text("#deny-total") != before)[1], "counts go on", 20, pause=0.2)
    assert tab.run("document.querySelectorAll('#verdicts tbody tr').length") == held
    assert "paused" in tab.text("#told")

    tab.click("#pause")
    tab.wait(f"!!{row_of(SHUT)}")
    clean(tab)


def test_a_flood_leaves_a_bounded_page_that_says_what_it_skipped(site: Site, tab: Browser) -> None:
    target = (site.guarded.v4, CLOSED)
    with site.peer.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:

        def flood() -> bool:
            for _ in range(1000):
                with contextlib.suppress(OSError):
                    sock.sendto(b"?", target)
            return "skipped: too many to show" in tab.text("#told")

        until(flood, "some are skipped", 30)

    assert tab.run("document.querySelectorAll('#verdicts tbody tr').length") == 300
    clean(tab)


def test_another_site_is_refused_whatever_it_makes_the_browser_ask(site: Site, tab: Browser) -> None:
    # Another site than 127.0.0.1, and a page that forbids its scripts nothing.
    tab.open(PAGE.replace("127.0.0.1", "localhost") + "healthz")

    tab.run(f"fetch('{PAGE}api/live', {{mode: 'no-cors'}}).catch(() => 0).then(() => 0)")

    assert tab.requested()[-1] == f"{PAGE}api/live"
    # Kept from whoever asked, too (Cross-Origin-Resource-Policy): only this much of the answer is told.
    assert tab.noted("Network.responseReceivedExtraInfo")[-1]["statusCode"] == 403


def test_the_map_shows_rules_and_counts_that_rise(site: Site, tab: Browser) -> None:
    def count() -> int:
        return int(tab.text("#endpoints tr.rule td.number").split()[0] or 0)

    tab.click("#tab-map")
    tab.wait("!!document.querySelector('#endpoints tr.rule td.number')")
    assert tab.run("document.querySelectorAll('#endpoints details details[open]').length") == 1
    before = count()

    assert site.allowed()

    until(lambda: count() > before, "the count rises", 20, pause=0.1)
    text = tab.text("#endpoints")
    assert site.guarded.v4 in text
    assert "GlobalNetworkPolicy(traffic)" in text
    assert tcp(OPEN) in text
    assert HOSTILE in text
    assert tab.run("document.querySelectorAll('img').length") == 0
    clean(tab)


def test_a_guard_that_is_gone_is_said_and_found_again(site: Site, tab: Browser) -> None:
    shown(site, tab, CLOSED)
    assert site.daemon.stop() == 0
    tab.wait("/does not answer since [0-9:]{8} UTC/.test(document.querySelector('#state').innerText)")

    site.daemon.start()

    tab.wait("document.querySelector('#state').innerText.includes('enforcing generation')")
    shown(site, tab, SHUT)


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen_and_can_be_read_by_day_and_night(
    site: Site, tab: Browser, width: int, scheme: str
) -> None:
    tab.size(width)
    tab.scheme(scheme)
    for port in (CLOSED, SHUT, 23, 3389):
        shown(site, tab, port)
    until(lambda: site.denied(443, family=6), "sent")
    site.allowed()
    tab.wait("document.querySelector('#spark polyline').points.length > 4", 20)

    fits(tab, width)
    tab.run(f"{row_of(SHUT)}.querySelector('button').click()")
    tab.wait("document.querySelectorAll('#explanation h3').length > 1", 60)
    fits(tab, width)
    tab.press("Escape")
    tab.click("#tab-map")
    tab.wait("!!document.querySelector('#endpoints tr.rule')")
    fits(tab, width)
    clean(tab)


def fits(tab: Browser, width: int) -> None:
    """Hold that nothing sticks out to the side, and that every word can be read."""
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run("document.querySelector('#why').scrollWidth") <= width
    assert tab.run(LEAST_CONTRAST) >= 4.5


LEAST_CONTRAST = """
(() => {
  const light = (text) => {
    const part = text.match(/[\\d.]+/g).slice(0, 3).map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const shown = [...document.querySelectorAll("body *")].filter((each) => each.offsetParent && each.innerText);
  return Math.min(...shown.map((each) => {
    const [one, other] = [light(getComputedStyle(each).color), light(ground(each))].sort((a, b) => b - a);
    return (one + 0.05) / (other + 0.05);
  }));
})()
"""
"""Of any text to the ground that it stands on, as WCAG reckons it."""
