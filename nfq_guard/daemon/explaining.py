"""Explanations for the web page, by a process of their own that runs `nfq-guard explain`.

Owns the questions that wait, the few answers that are kept, and that process's life: one
at a time, started when somebody asks, started anew under another policy, ended when
nobody has asked for a while. To explain takes seconds under thousands of policies: the
controller must never do it itself, and a thread of its HTTP side waits for it a moment only.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.daemon.child import ChildError, LineProcess
from nfq_guard.daemon.process import child_environment
from nfq_guard.daemon.settings import ENVIRONMENT_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nfq_guard.daemon.settings import Settings

_MOST_WAITING = 8
_MOST_KEPT = 4
"""Answers, of some MiB at most."""
PENDING = b'{"state": "pending"}'


class Limits(NamedTuple):
    """How long what may take, in seconds."""

    wait: float = 1.5
    """Of a thread that asks: then it is to ask again."""
    first: float = 60.0
    """For the first answer of a process, which reads and compiles everything before."""
    next: float = 20.0
    idle: float = 60.0
    kept: float = 10.0
    """How long an answer stands for the next who asks the same."""


class _Kept(NamedTuple):
    answer: bytes
    policy: object
    at: float


class Explaining:
    """`ask` is called in threads, `close` in the controller's."""

    def __init__(
        self,
        command: Callable[[], Sequence[str]],
        environment: Mapping[str, str],
        policy: Callable[[], object],
        limits: Limits | None = None,
    ) -> None:
        """`command` answers lines with lines; `policy` is another value whenever another is in force."""
        self._command = command
        self._environment = environment
        self._policy = policy
        self._limits = limits or Limits()
        self._changed = threading.Condition()
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._child: LineProcess | None = None
        """Made and closed by the thread; killed by whoever closes all of it."""
        self._child_of: object = None
        """The policy when it was started."""

    def ask(self, question: str) -> bytes:
        """Return a JSON object: `state` is done, failed or pending; then ask again."""
        with self._changed:
            answer = self._fresh(question)
            if answer is None and question not in self._waiting:
                if self._closed or len(self._waiting) >= _MOST_WAITING:
                    return _failed("too many questions wait for an answer: try again in a moment")
                self._waiting[question] = None
                self._serve()
                self._changed.notify_all()
            if answer is None:
                self._changed.wait_for(
                    lambda: question not in self._waiting or self._closed, self._limits.wait
                )
                answer = self._fresh(question)
        return answer or PENDING

    def _fresh(self, question: str) -> bytes | None:
        kept = self._kept.get(question)
        if kept is None or kept.policy != self._policy():
            return None
        return kept.answer if time.monotonic() - kept.at < self._limits.kept else None

    def _serve(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="explaining", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the process; whoever waits is let go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            child, thread = self._child, self._thread
        if child is not None:
            child.kill()
        if thread is not None:
            thread.join(1.0)

    # -- in its own thread ----------------------------------------------------

    def _run(self) -> None:
        while (question := self._next()) is not None:
            policy = self._policy()
            answer = self._answer(question, policy)
            with self._changed:
                self._kept[question] = _Kept(answer, policy, time.monotonic())
                self._kept.move_to_end(question)
                while len(self._kept) > _MOST_KEPT:
                    self._kept.popitem(last=False)
                self._waiting.pop(question, None)
                self._changed.notify_all()
        self._end()

    def _next(self) -> str | None:
        """Return the question that has waited longest; None when all is over."""
        with self._changed:
            while not self._waiting and not self._closed:
                if self._child is None:
                    self._changed.wait()
                elif not self._changed.wait_for(lambda: self._waiting or self._closed, self._limits.idle):
                    self._kept.clear()
                    self._end()
            return None if self._closed else next(iter(self._waiting))

    def _answer(self, question: str, policy: object) -> bytes:
        if self._child is not None and self._child_of != policy:
            self._end()
        seconds = self._limits.next
        try:
            if self._child is None:
                seconds = self._limits.first
                self._begin(policy)
            return b'{"state": "done", "explanation": ' + self._asked(question, seconds) + b"}"
        except (ChildError, OSError) as error:
            self._end()
            return _failed(str(error))

    def _begin(self, policy: object) -> None:
        child = LineProcess(self._command(), self._environment)
        with self._changed:
            self._child, self._child_of = child, policy
            if self._closed:
                child.kill()

    def _asked(self, question: str, seconds: float) -> bytes:
        assert self._child is not None, "begun"  # noqa: S101
        answer = self._child.ask(question.encode(), seconds)
        if not answer.startswith(b"{"):
            raise ChildError(f"no JSON: {answer[:200].decode('utf-8', 'replace')}")
        return answer

    def _end(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


def _failed(why: str) -> bytes:
    return json.dumps({"state": "failed", "error": why}).encode()


def explain_command(settings: Settings, node: str) -> list[str]:
    """Return the command that explains flows under these settings' files on this host, line by line."""
    python = (sys.executable, "-P", "-m")
    rules = [argument for path in settings.rules for argument in ("--rules", path)]
    return [
        *(*python, "nfq_guard.daemon.narrowed", *python),
        *("nfq_guard", "explain", "--flows", "-", "--format", "json"),
        # What another config file or variable says is not what this guard runs by.
        *("--config", "/dev/null"),
        *rules,
        *("--node", node),
        *("--allow-neighbor-discovery", str(settings.allow_neighbor_discovery).lower()),
    ]


def explain_environment() -> dict[str, str]:
    """Return what that command inherits: no setting of ours, which its arguments say."""
    return {
        name: value for name, value in child_environment().items() if not name.startswith(ENVIRONMENT_PREFIX)
    }
