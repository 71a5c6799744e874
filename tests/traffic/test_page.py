"""The web page beside a running guard, by what it asks for: real denials, as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from guarded import METRICS_PORT, endpoint, lives, policy, tcp
from netns import pair, until
from paged import CLOSED, HOSTILE, OPEN, SHUT, Site, started

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.traffic


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with started(tmp_path) as made:
        yield made


def test_denials_are_told_with_what_decided_once_somebody_asks(site: Site) -> None:
    site.denied()
    found = until(lambda: (site.denied(), site.api("live")["events"])[1], "a denial is told", 20)

    event = found[-1]["event"]
    assert (event["verdict"], event["reason"], event["dport"]) == ("deny", "tier-default", CLOSED)
    assert found[-1]["decided"] == "end of tier default"
    assert {one["event"]["verdict"] for one in found} == {"deny"}


def test_what_is_allowed_is_told_to_whoever_asks_for_it(site: Site) -> None:
    wish = {"allowed": 1, "filter": f"allow and dport {OPEN}"}
    told = until(lambda: (site.allowed(), site.api("live", **wish)["events"])[1], "an allow is told", 20)

    assert told[-1]["event"]["policy"]["name"] == "traffic"
    assert told[-1]["decided"].startswith("tier default, GlobalNetworkPolicy(traffic) ingress rule 0 at ")


def test_each_event_is_told_once_and_numbers_go_on(site: Site) -> None:
    first = until(lambda: (site.denied(), site.api("live"))[1]["events"] and site.api("live"), "one", 20)
    assert first["state"]["ready"]

    site.denied(9999)
    again = until(
        lambda: (found := site.api("live", after=first["last"], guard=first["guard"]))["events"] and found,
        "another",
    )

    assert again["skipped"] == 0
    assert all(one["number"] > first["last"] for one in again["events"])
    assert site.api("live", after=10**6, guard="another guard")["events"]


def test_the_map_counts_what_a_rule_decided_and_shows_it_as_it_was_written(site: Site) -> None:
    (one,) = site.api("map")["endpoints"]
    assert (one["kind"], one["name"], one["status"]) == ("HostEndpoint", "guarded-eth0", "up")
    assert one["interfaces"][0]["name"] == "eth0"
    assert site.guarded.v4 in one["interfaces"][0]["addresses"]
    assert {"stage": "normal", "side": "ingress", "staged": False} in one["chains"]
    wish = {"kind": one["kind"], "name": one["name"], "stage": "normal", "side": "ingress"}
    before = site.api("rules", **wish)["rules"]

    assert site.allowed()

    (rule, _, end, default) = until(
        lambda: (found := site.api("rules", **wish)["rules"])[0]["packets"] > before[0]["packets"] and found,
        "it counts",
    )
    assert rule["text"] == f"- {tcp(OPEN)}"
    assert rule["file"] == str(site.daemon.rules / "rules.yaml")
    assert (end["kind"], default["kind"]) == ("Tier", "HostEndpoint")


def test_a_flow_of_the_stream_is_explained_by_a_process_with_few_rights(site: Site) -> None:
    told = until(lambda: (site.denied(SHUT), site.api("live")["events"])[1], "a denial is told", 20)

    answer = site.explained(told[-1]["event"])

    assert answer["state"] == "done"
    explanation = answer["explanation"]
    assert explanation["verdict"] == "deny"
    assert any("source" in cause and HOSTILE in cause for cause in explanation["causes"])
    (helper,) = site.helpers()
    status = Path(f"/proc/{helper}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    effective = next(line for line in status.splitlines() if line.startswith("CapEff"))
    assert int(effective.split()[1], 16) & ~(1 << 2) == 0
    assert int(Path(f"/proc/{helper}/stat").read_text().rpartition(")")[2].split()[16]) == 10


def test_explanations_follow_the_policy_in_force(site: Site) -> None:
    event = until(lambda: (site.denied(), site.api("live")["events"])[1], "a denial is told", 20)[-1]["event"]
    assert site.explained(event)["explanation"]["verdict"] == "deny"
    (before,) = site.helpers()

    with site.daemon.change():
        site.daemon.write(endpoint(), policy(tcp(OPEN, CLOSED)))

    assert site.explained(event)["explanation"]["verdict"] == "allow"
    assert not lives(before)


def test_a_killed_controller_leaves_nobody_who_explains(site: Site) -> None:
    event = until(lambda: (site.denied(), site.api("live")["events"])[1], "a denial is told", 20)[-1]["event"]
    site.explained(event)
    (helper,) = site.helpers()

    assert site.daemon.process is not None
    site.daemon.process.kill()

    until(lambda: not lives(helper), "it has ended")


def test_a_clean_stop_ends_who_explains_too(site: Site) -> None:
    event = until(lambda: (site.denied(), site.api("live")["events"])[1], "a denial is told", 20)[-1]["event"]
    site.explained(event)
    (helper,) = site.helpers()

    assert site.daemon.stop() == 0

    assert not lives(helper)


@pytest.mark.parametrize(("who", "expected"), [("loopback", 403), ("everywhere", 200)])
def test_from_outside_it_is_shown_only_where_the_setting_says_so(
    tmp_path: Path, who: str, expected: int
) -> None:
    with pair() as ends:
        guarded, peer = ends
        site = Site(ends, tmp_path, "--page", who, "--metrics", f"0.0.0.0:{METRICS_PORT}")
        site.daemon.write(endpoint(), policy(tcp(METRICS_PORT)))
        with site.daemon:
            site.daemon.start()
            with peer.namespace.socket() as sock:
                sock.connect((guarded.v4, METRICS_PORT))
                sock.sendall(f"GET / HTTP/1.1\r\nHost: {guarded.v4}:{METRICS_PORT}\r\n\r\n".encode())
                assert sock.recv(64).startswith(f"HTTP/1.0 {expected} ".encode())
            assert site.daemon.get("/")[0] == 200
        site.server.close()
