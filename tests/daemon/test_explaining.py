from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from guarded import documents, endpoint, lives, policy, tcp
from netns import until

from nfq_guard.daemon.explaining import Explaining, Limits, explain_command, explain_environment
from nfq_guard.daemon.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TELL = """
import json, os, sys, time
for number, line in enumerate(sys.stdin):
    asked = json.loads(line)
    time.sleep(asked.get("sleep", 0))
    if asked.get("end"):
        sys.exit("the rules are invalid")
    print("rubbish" if asked.get("rubbish") else json.dumps({"pid": os.getpid(), "number": number}), flush=True)
"""
QUICK = Limits(wait=5, first=10, next=10, idle=60, kept=60)


class Desk:
    """Explanations by a stand-in, under a policy that the test changes."""

    def __init__(self, limits: Limits = QUICK) -> None:
        self.changes = 1
        command = (sys.executable, "-c", TELL)
        self.explaining = Explaining(lambda: command, os.environ, lambda: self.changes, limits)

    def ask(self, **question: object) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.explaining.ask(json.dumps(question)))
        return answer

    def told(self, **question: object) -> dict[str, Any]:
        found = self.ask(**question)
        assert found["state"] == "done", found
        explanation: dict[str, Any] = found["explanation"]
        return explanation


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.explaining.close()


def test_one_process_answers_one_question_after_the_other(desk: Desk) -> None:
    first, second = desk.told(flow=1), desk.told(flow=2)

    assert (first["number"], second["number"]) == (0, 1)
    assert first["pid"] == second["pid"]


def test_the_same_question_is_answered_once(desk: Desk) -> None:
    assert desk.told(flow=1) == desk.told(flow=1)


def test_another_policy_in_force_has_another_process(desk: Desk) -> None:
    before = desk.told(flow=1)
    desk.changes += 1

    after = desk.told(flow=1)

    assert after["pid"] != before["pid"]
    assert not lives(before["pid"])


def test_a_thread_that_asks_waits_a_moment_only() -> None:
    desk = Desk(QUICK._replace(wait=0.05))
    began = time.monotonic()

    assert desk.ask(sleep=1) == {"state": "pending"}
    assert time.monotonic() - began < 1

    assert until(lambda: desk.ask(sleep=1)["state"] == "done", "the answer is there")
    desk.explaining.close()


def test_one_that_ends_is_told_with_its_words_and_the_next_question_starts_another(desk: Desk) -> None:
    assert desk.ask(end=1) == {"state": "failed", "error": "the rules are invalid"}

    assert desk.told(flow=1)["number"] == 0


def test_rubbish_is_no_explanation(desk: Desk) -> None:
    assert desk.ask(rubbish=1)["error"].startswith("no JSON: rubbish")


def test_one_that_takes_too_long_is_ended() -> None:
    desk = Desk(QUICK._replace(first=0.5, next=0.5))

    assert "no answer within" in desk.ask(sleep=30)["error"]
    desk.explaining.close()


def test_a_process_that_nobody_asks_is_ended() -> None:
    desk = Desk(QUICK._replace(idle=0.1))
    pid = desk.told(flow=1)["pid"]

    assert until(lambda: not lives(pid), "it has ended")
    assert desk.told(flow=2)["pid"] != pid
    desk.explaining.close()


def test_questions_do_not_pile_up() -> None:
    desk = Desk(QUICK._replace(wait=0.01))

    answers = [desk.ask(sleep=5, number=number) for number in range(20)]

    assert [answer["state"] for answer in answers[:8]] == ["pending"] * 8
    assert {answer["state"] for answer in answers[8:]} == {"failed"}
    desk.explaining.close()


def test_many_who_ask_the_same_are_answered_together(desk: Desk) -> None:
    found: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: found.append(desk.told(sleep=0.2))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [found[0]] * 10


def test_the_end_of_all_ends_the_process_in_the_middle_of_an_answer() -> None:
    desk = Desk(QUICK._replace(wait=0.05))
    pid = desk.told(flow=1)["pid"] if desk.ask(flow=1)["state"] == "done" else 0
    desk.ask(sleep=30)

    desk.explaining.close()

    assert not pid or until(lambda: not lives(pid), "it has ended")
    assert desk.ask(flow=2)["state"] == "failed"


def test_the_command_explains_by_the_settings_of_the_guard_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NFQ_GUARD_NODE", "another")
    rules = tmp_path / "rules.yaml"
    rules.write_text(documents(endpoint("lo"), policy(tcp(80))))
    command = explain_command(Settings(rules=(str(rules),)), "guarded")
    desk = Explaining(lambda: command, explain_environment(), lambda: 1, QUICK._replace(wait=60, first=60))
    flow = {"direction": "in", "in_interface": "lo", "protocol": "TCP", "dport": 81, "sport": 1}

    answer = json.loads(desk.ask(json.dumps(flow | {"src": "127.0.0.2", "dst": "127.0.0.1"})))

    assert answer["state"] == "done"
    assert answer["explanation"]["verdict"] == "deny"
    assert answer["explanation"]["causes"]
    assert "error" in json.loads(desk.ask(json.dumps({"direction": "in"})))["explanation"]
    desk.close()
