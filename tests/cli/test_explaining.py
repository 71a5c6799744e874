from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from events import denied, event, packet
from policy import WEB_RULES

from nfq_guard.cli.explaining import Explaining, Source, told_object
from nfq_guard.cli.questions import parse_question
from nfq_guard.cli.recorded import Recorded
from nfq_guard.daemon.settings import Settings
from nfq_guard.model.flow import TCP
from nfq_guard.model.problem import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

FACTS = ("facts.json", '{"node": "host", "interfaces": {"eth0": ["10.0.0.1"]}}')
WEB = packet("203.0.113.9", "10.0.0.1", TCP, 40000, 443)
DENIED = denied(packet=WEB)
QUESTION = "in eth0 tcp 203.0.113.9:40000 10.0.0.1:443"
CAUSE = "GlobalNetworkPolicy(web) rule 0"


class Files:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "rules.yaml"
        self.write(80)

    def write(self, port: int) -> None:
        self.path.write_text(WEB_RULES.replace("443", str(port)), encoding="utf-8")

    def explaining(self) -> Explaining:
        return Explaining(Source((str(self.path),), FACTS, Settings()))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_an_event_is_explained_by_the_files(files: Files) -> None:
    told = files.explaining().event(DENIED)

    assert told.explanation is not None
    assert told.differs == ""
    assert told.sentence == "deny   tier-default        host-eth0  end of tier default"
    assert told.explanation.causes[0].startswith(CAUSE)


def test_lines_begin_with_the_causes(files: Files) -> None:
    why, change = files.explaining().lines_of(DENIED)

    assert why.startswith(f"why: {CAUSE} (")
    assert why.endswith("found 443, wanted 80")
    assert change == f"change: with the destination port 80, say, it would be allowed, by {CAUSE}"


def test_a_story_names_no_option_of_a_command_that_is_not_run(files: Files) -> None:
    deny, *_ = WEB_RULES.partition("ingress:")
    two = f"{deny}ingress: [{{action: Deny}}, {{action: Allow}}]\n"
    files.path.write_text(two, encoding="utf-8")

    story = files.explaining().story_of(DENIED)
    lines, _ = files.explaining().text(parse_question([QUESTION]), everything=False)

    assert "      1 more rule" in story
    assert "      1 more rule (shown with --all)" in lines


def test_a_verdict_that_differs_is_said_to_first(files: Files) -> None:
    explaining = files.explaining()
    allowed = event(packet=WEB)

    first, second, *_ = explaining.lines_of(allowed)
    document = explaining.document_of(allowed)

    assert first.startswith("differs: the guard said allow at its normal stage (policy, ")
    assert second == "now: deny   tier-default        host-eth0  end of tier default"
    assert first == f"differs: {document['differs']}"
    assert document["verdict"] == "deny"
    assert "differs" not in explaining.document_of(DENIED)


def test_files_are_read_once_and_after_a_reload(files: Files) -> None:
    explaining = files.explaining()
    explaining.load()
    files.write(443)

    assert explaining.event(DENIED).differs == ""
    explaining.reload()
    assert explaining.event(DENIED).differs.startswith("the guard said deny")


def test_files_that_cannot_be_read_are_told_not_raised(files: Files) -> None:
    explaining = files.explaining()
    files.path.write_text("kind: Nothing", encoding="utf-8")
    told = explaining.event(DENIED)

    assert told.explanation is None
    assert told.differs.startswith(
        f"the rule files cannot be read (--rules PATH names others): {files.path}:1:"
    )
    assert explaining.document_of(DENIED) == {"error": told.differs}
    assert explaining.lines_of(DENIED) == [f"not explained: {told.differs}"]
    with pytest.raises(ConfigError):
        explaining.load()


def test_what_has_no_packet_has_no_explanation(files: Files) -> None:
    told = files.explaining().event(denied(packet=None, data=b"", unparsable="bad-ip-header"))

    assert told.explanation is None
    assert "no packet that could be read" in told.differs


def test_a_direction_without_its_interface_is_told_not_raised(files: Files) -> None:
    told = files.explaining().event(denied(in_interface="", packet=WEB))

    assert told.differs == "cannot be explained: a flow with direction in needs the name of its interface"


def test_equal_flows_are_explained_once_and_few_are_kept(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    explaining = files.explaining()
    first = explaining.event(DENIED).explanation

    assert explaining.event(denied(packet=WEB, time_ns=5)).explanation is first
    monkeypatch.setattr("nfq_guard.cli.explaining._KEPT", 0)
    other = denied(packet=WEB._replace(sport=1))
    assert explaining.event(other).explanation is not explaining.event(other).explanation


def test_a_question_left_open_is_looked_into(files: Files) -> None:
    lines, allowed = files.explaining().text(
        parse_question(["in eth0 tcp 203.0.113.9 10.0.0.1"]), everything=False
    )

    assert not allowed
    assert lines[0].startswith("destination port and source port left open")


def test_a_question_may_come_with_what_was_recorded(files: Files) -> None:
    question = parse_question(["in eth0 tcp 203.0.113.9:40000 10.0.0.1:443"])
    recorded = Recorded.of_event(event())

    lines, _ = files.explaining().text(question, recorded, everything=False)
    document, _ = files.explaining().document(question, recorded)

    assert lines[1] == f"  differs: {document['differs']}"
    assert lines[2].startswith("  why: ")


def test_an_object_says_so_only_where_it_differs(files: Files) -> None:
    explanation = files.explaining().event(DENIED).explanation
    assert explanation is not None

    assert "differs" not in told_object(explanation, "")
    assert told_object(explanation, "so")["differs"] == "so"
