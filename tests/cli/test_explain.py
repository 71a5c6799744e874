"""The command that says why."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from captures import FRAME
from click.testing import CliRunner, Result
from events import ALLOW_SSH, DNS, capture_of, denied, event, logged, packet
from policy import WEB_RULES
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import ARP
from scapy.utils import PcapWriter

from nfq_guard.cli.main import Exit, cli
from nfq_guard.model.flow import TCP as TCP_NUMBER
from nfq_guard.stream.lines import document

if TYPE_CHECKING:
    from pathlib import Path

    from nfq_guard.stream.event import Event

FACTS = {"node": "host", "interfaces": {"eth0": ["10.0.0.1"]}}
GOOD = "in eth0 tcp 203.0.113.9:40000 10.0.0.1:443"
BAD = "in eth0 tcp 203.0.113.9:40000 10.0.0.1:80"
FLOW = {"direction": "in", "in_interface": "eth0", "protocol": "TCP", "src": "203.0.113.9", "dst": "10.0.0.1"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "web.yaml").write_text(WEB_RULES, encoding="utf-8")
    (tmp_path / "facts.json").write_text(json.dumps(FACTS), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def explain(*words: str, stdin: str = "") -> Result:
    return CliRunner().invoke(
        cli, ["explain", "--rules", "rules", "--facts", "facts.json", *words], input=stdin
    )


@pytest.mark.usefixtures("folder")
def test_the_exit_code_says_what_happens_to_the_flow() -> None:
    good, bad = explain(GOOD), explain(*BAD.split())

    assert (good.exit_code, bad.exit_code) == (Exit.GOOD, Exit.NO)
    assert good.stdout.startswith(
        "allow  policy              host-eth0  tier default, GlobalNetworkPolicy(web)"
    )
    assert bad.stdout.splitlines()[0] == "deny   tier-default        host-eth0  end of tier default"


@pytest.mark.usefixtures("folder")
def test_a_field_left_open_is_looked_into() -> None:
    found = explain("in eth0 tcp 203.0.113.9 10.0.0.1")

    lines = found.stdout.splitlines()
    assert lines[0] == "destination port and source port left open: it depends on the destination port"
    assert "  allow  GlobalNetworkPolicy(web) rule 0: dport 443" in lines
    assert any(line.startswith("for example TCP") for line in lines)
    assert found.exit_code == Exit.NO


@pytest.mark.usefixtures("folder")
def test_json_has_what_the_verdict_depends_on() -> None:
    document = json.loads(explain("in eth0 tcp 203.0.113.9 10.0.0.1", "--format", "json").stdout)

    assert document["open"]["fields"] == ["dport", "sport"]
    assert document["open"]["matters"] == ["dport"]
    assert {"allow", "deny"} == {group["verdict"] for group in document["open"]["groups"]}
    assert ["443"] in [group["values"]["dport"] for group in document["open"]["groups"]]


@pytest.mark.usefixtures("folder")
def test_flows_in_json_are_explained_in_turn_and_bad_ones_are_named() -> None:
    flows: list[Any] = [FLOW | {"dport": 443}, {"direction": "in"}, FLOW | {"dport": 80}]
    lines = "".join(json.dumps(flow) + "\n" for flow in flows)

    text, documents = (
        explain("--flows", "-", stdin=lines),
        explain("--flows", "-", "--format", "json", stdin=lines),
    )

    assert [line[:5] for line in text.stdout.splitlines() if line[:5] in {"allow", "deny ", "error"}] == [
        "allow",
        "error",
        "deny ",
    ]
    verdicts = [json.loads(line).get("verdict") for line in documents.stdout.splitlines()]
    assert (verdicts, documents.exit_code) == (["allow", None, "deny"], Exit.NO)


def test_a_log_rule_of_the_verdict_stream_is_explained_by_its_packet(folder: Path) -> None:
    log = "\n    - {action: Log, protocol: TCP}"
    rules = WEB_RULES.replace("  ingress:", f"  ingress:{log}")
    (folder / "rules" / "web.yaml").write_text(rules, encoding="utf-8")
    line = json.dumps(document(logged()) | FLOW | {"dport": 80})

    text = explain("--flows", "-", stdin=line).stdout
    (rule, _) = json.loads(explain("--flows", "-", "--format", "json", stdin=line).stdout)["steps"][0][
        "tiers"
    ][0]["policies"][0]["rules"]

    assert text.startswith("deny   tier-default        host-eth0  end of tier default\n")
    assert 'rule 0 Log rules/web.yaml:12 [logged] writes prefix="calico-packet"' in text
    assert (rule["outcome"], rule["prefix"]) == ("logged", "calico-packet")


def test_a_packet_of_a_capture_is_explained(folder: Path) -> None:
    with PcapWriter(str(folder / "dump.pcap")) as writer:
        writer.write(FRAME / ARP())
        writer.write(FRAME / IP(src="203.0.113.9", dst="10.0.0.1") / TCP(sport=1, dport=443))

    good, other, absent = (
        explain("--pcap", "dump.pcap", "--packet", number, "in", "eth0") for number in ("2", "1", "3")
    )

    assert good.exit_code == Exit.GOOD
    assert "TCP 203.0.113.9:1 > 10.0.0.1:443" in good.stdout
    assert (other.exit_code, absent.exit_code) == (Exit.FAILED, Exit.FAILED)
    assert "neither IPv4 nor IPv6" in other.stderr
    assert "fewer than 3 packets" in absent.stderr


def recorded(path: Path, *events: Event) -> None:
    path.write_bytes(capture_of(*events))


def test_a_file_that_watch_wrote_says_the_way_of_its_packets_and_what_the_guard_said(folder: Path) -> None:
    to_web = packet("203.0.113.9", "10.0.0.1", TCP_NUMBER, 40000, 443)
    allowed = event(packet=to_web, rule=ALLOW_SSH._replace(name="web"))
    outward = denied(packet=DNS, direction="out", in_interface="", out_interface="eth0", side="egress")
    through = denied(packet=to_web, direction="forward", stage="forward", out_interface="cali1")
    recorded(folder / "a.pcapng", allowed, outward, through, event(packet=to_web))

    inside, out, forwarded, other = (
        explain("--pcap", "a.pcapng", "--packet", str(number)) for number in range(1, 5)
    )

    assert inside.exit_code == Exit.GOOD
    assert "differs" not in inside.stdout
    assert "HostEndpoint(host-eth0), normal stage, ingress" in inside.stdout
    assert "HostEndpoint(host-eth0), normal stage, egress" in out.stdout
    assert (
        "differs: the guard said deny at its forward stage (tier-default of tier default)" in forwarded.stdout
    )
    assert "GlobalNetworkPolicy(allow-ssh) ingress rule 0" in other.stdout.splitlines()[1]


def test_what_is_said_in_words_goes_ahead_of_what_a_file_says(folder: Path) -> None:
    recorded(folder / "a.pcapng", denied(packet=DNS))

    found = explain("--pcap", "a.pcapng", "out", "eth0")

    assert "HostEndpoint(host-eth0), normal stage, egress" in found.stdout
    assert "differs" not in found.stdout


def test_a_file_that_does_not_say_the_way_of_its_packets_is_told_so(folder: Path) -> None:
    recorded(folder / "a.pcapng", event(in_interface=""), event(direction="forward", stage="forward"))
    with PcapWriter(str(folder / "b.pcap")) as writer:
        writer.write(FRAME / IP(src="203.0.113.9", dst="10.0.0.1") / TCP(sport=1, dport=443))
    ours = (folder / "a.pcapng").read_bytes()
    (folder / "c.pcapng").write_bytes(ours.replace(b"allow policy", b"seen of late"))

    for name, number in (("a.pcapng", "1"), ("a.pcapng", "2"), ("b.pcap", "1"), ("c.pcapng", "1")):
        found = explain("--pcap", name, "--packet", number)

        assert found.exit_code == Exit.USAGE
        assert "does not say which way packet" in found.stderr


def test_the_name_of_an_interface_is_no_word_of_the_question(folder: Path) -> None:
    recorded(folder / "a.pcapng", event(in_interface="eth0 state established"))

    found = explain("--pcap", "a.pcapng", "--format", "json")

    flow = json.loads(found.stdout)["flow"]
    assert (flow["in_interface"], flow["ct_state"]) == ("eth0 state established", "new")


def test_a_side_that_says_something_else_differs(folder: Path) -> None:
    recorded(folder / "a.pcapng", denied(packet=DNS, side="egress"))

    found = explain("--pcap", "a.pcapng")

    assert "differs: the guard said deny" in found.stdout


def test_a_packet_that_cannot_be_judged_is_said_to_be_none(folder: Path) -> None:
    with PcapWriter(str(folder / "dump.pcap")) as writer:
        writer.write(FRAME / IP(src="203.0.113.9", dst="10.0.0.1", proto=6) / b"short")

    found = explain("--pcap", "dump.pcap", "in", "eth0")

    assert found.exit_code == Exit.FAILED
    assert "cannot be judged: truncated-transport" in found.stderr


def test_a_capture_may_come_by_a_pipe(folder: Path) -> None:
    recorded(folder / "a.pcapng", denied(packet=DNS))
    command = (
        f"cat a.pcapng | {sys.executable} -m nfq_guard explain --rules rules --facts facts.json --pcap -"
    )

    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)

    assert done.stdout.startswith("deny   tier-default")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("in eth0 tcp 10.0.0.9", "found 'tcp' behind the interfaces, expected state or before"),
        ("in", "interface it comes in by is missing; the form is: in INTERFACE"),
        ("bogus", "found 'bogus', expected in, out or forward; the form is: in INTERFACE"),
        ("in eth0 type 8", "its own ICMP type"),
    ],
)
def test_of_a_packet_that_is_there_only_its_way_is_said(folder: Path, words: str, said: str) -> None:
    recorded(folder / "a.pcapng", event())

    found = explain("--pcap", "a.pcapng", words)

    assert found.exit_code == Exit.USAGE
    assert said in " ".join(found.stderr.split())


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give one flow in words, or --flows"),
        ((GOOD, "--flows", "-"), "give one flow in words, or --flows"),
        (("in eth0 tcp 10.0.0.9",), "destination is missing"),
        ((GOOD, "--packet", "3"), "--packet wants --pcap"),
    ],
)
def test_wrong_usage_is_named(words: tuple[str, ...], said: str) -> None:
    found = explain(*words)

    assert found.exit_code == Exit.USAGE
    assert said in found.stderr.replace("\n", " ")


@pytest.mark.usefixtures("folder")
def test_a_line_of_the_stream_that_differs_from_the_files_is_said_to() -> None:
    said = {"verdict": "allow", "reason": "no-match", "stage": "normal", "side": "ingress", "tier": None}
    line = json.dumps(FLOW | {"dport": 80} | said | {"policy": None, "rule": None, "generation": 1})

    text, document = (
        explain("--flows", "-", stdin=line),
        explain("--flows", "-", "--format", "json", stdin=line),
    )

    differs = json.loads(document.stdout)["differs"]
    assert differs.startswith(
        "the guard said allow at its normal stage (no-match); the rules and facts read here"
    )
    assert text.stdout.splitlines()[1] == f"  differs: {differs}"
    assert text.stdout.splitlines()[2].startswith("  why: ")
    assert (text.exit_code, document.exit_code) == (Exit.NO, Exit.NO)


@pytest.mark.usefixtures("folder")
def test_a_line_of_the_stream_that_agrees_has_no_such_key() -> None:
    said = {
        "verdict": "deny",
        "reason": "tier-default",
        "stage": "normal",
        "side": "ingress",
        "tier": "default",
    }
    line = json.dumps(FLOW | {"dport": 80} | said | {"policy": None, "rule": None, "generation": 1})

    assert "differs" not in json.loads(explain("--flows", "-", "--format", "json", stdin=line).stdout)
