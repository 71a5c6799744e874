"""Why a verdict came about, by the rule files as they are: for commands that show verdicts.

Owns what explanations are made of (files, facts, settings), when it is read again, and
the explanations that were made. What explains is the engine's own evaluation of the
files; a running guard may enforce others, and where its verdict differs that is said.
"""

from __future__ import annotations

import json
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import click
from cachetools import LRUCache

from nfq_guard.cli.explained import object_of, packet_text, survey_text, text_of
from nfq_guard.cli.options import compile_inventory, load_inventory
from nfq_guard.cli.questions import Question
from nfq_guard.cli.recorded import Recorded, difference, flow_of
from nfq_guard.cli.sentences import Sentences
from nfq_guard.explain import Explainer
from nfq_guard.explain.survey import TooOpenError, survey
from nfq_guard.model.decision import Verdict
from nfq_guard.model.printable import printable
from nfq_guard.model.problem import ConfigError

if TYPE_CHECKING:
    from nfq_guard.daemon.settings import Settings
    from nfq_guard.engine.ruleset import Ruleset
    from nfq_guard.explain.steps import Explanation
    from nfq_guard.explain.survey import Survey
    from nfq_guard.model.flow import Flow
    from nfq_guard.stream.event import Event

_KEPT = 50_000
"""Rules in the explanations that are kept: a flood is a few flows many times, or many flows once each."""


class Source(NamedTuple):
    """What explanations are made of."""

    rules: tuple[str, ...]
    facts: tuple[str, str] | None
    """Name and text of a `--facts` file; None: this machine's."""
    settings: Settings


class Told(NamedTuple):
    """Why a verdict of the stream came about."""

    explanation: Explanation | None
    """None: there is none, and `differs` says why."""
    differs: str
    """How the verdict differs from what the files say now; empty where it does not."""
    sentence: str = ""
    """What the files say, as `decide` tells it."""


class _Compiled(NamedTuple):
    ruleset: Ruleset
    explainer: Explainer
    sentences: Sentences


class Explaining:
    """Explains by the files of a source, read when they are first needed and after `reload`."""

    def __init__(self, source: Source) -> None:
        """Read nothing yet."""
        self._source = source
        self._lock = Lock()
        """One explanation at a time: whoever watches an evaluation remembers what was asked."""
        self._compiled: _Compiled | None = None
        self._failed: Exception | None = None
        """Why that could not be read: not tried again for each verdict of a flood."""
        self._made: LRUCache[Flow, Explanation] = LRUCache(_KEPT, _size)

    def load(self) -> None:
        """Read the files; ConfigError, OSError or UsageError where that cannot be done."""
        with self._lock:
            self._loaded()

    def reload(self) -> None:
        """Read the files anew before the next explanation."""
        with self._lock:
            self._compiled = self._failed = None
            self._made.clear()

    def _loaded(self) -> _Compiled:
        if self._failed is not None:
            # What it carries of the places where it was raised would grow each time.
            raise self._failed.with_traceback(None)
        if self._compiled is None:
            try:
                self._compiled = self._read()
            except (ConfigError, OSError, click.ClickException) as error:
                self._failed = error
                raise
        return self._compiled

    def _read(self) -> _Compiled:
        rules, facts, settings = self._source
        inventory = load_inventory(rules)
        ruleset = compile_inventory(inventory, facts, settings).ruleset
        return _Compiled(ruleset, Explainer(inventory, ruleset), Sentences(inventory, ruleset))

    def _explained(self, flow: Flow) -> tuple[_Compiled, Explanation]:
        compiled = self._loaded()
        made = self._made.get(flow)
        if made is None:
            made = compiled.explainer.explain(flow)
            if _size(made) <= _KEPT:
                self._made[flow] = made
        return compiled, made

    # -- verdicts of the stream ---------------------------------------------

    def event(self, event: Event) -> Told:
        """Return why an event's verdict came about. Whatever stands against that is told, not raised."""
        flow = flow_of(event)
        if flow is None:
            return Told(None, "no packet that could be read: there is nothing to explain")
        try:
            with self._lock:
                compiled, explanation = self._explained(flow)
                sentence = compiled.sentences.sentence(flow, explanation.decision)
        except ConfigError as error:
            return Told(
                None,
                printable(f"the rule files cannot be read (--rules PATH names others): {error.problems[0]}"),
            )
        except (OSError, ValueError, click.ClickException) as error:
            return Told(None, printable(f"cannot be explained: {error}"))
        return Told(explanation, difference(Recorded.of_event(event), explanation), sentence)

    def document_of(self, event: Event) -> dict[str, object]:
        """Return the same as a JSON object; `error` is its only key where nothing can be explained."""
        told = self.event(event)
        if told.explanation is None:
            return {"error": told.differs}
        return told_object(told.explanation, told.differs)

    def lines_of(self, event: Event) -> list[str]:
        """Return the same as the first lines of an explanation, to stand below the verdict's own."""
        told = self.event(event)
        if told.explanation is None:
            return [f"not explained: {told.differs}"]
        lines = [f"differs: {told.differs}", f"now: {told.sentence}"] if told.differs else []
        lines += [f"why: {cause}" for cause in told.explanation.causes]
        return lines + [f"change: {remedy}" for remedy in told.explanation.remedies]

    def story_of(self, event: Event) -> list[str]:
        """Return the same as the lines of `explain`."""
        told = self.event(event)
        if told.explanation is None:
            return [f"not explained: {told.differs}"]
        # Whoever shows it on a screen has no --all to give.
        return list(text_of(told.explanation, told.sentence, told.differs, everything=False, way=""))

    # -- questions ----------------------------------------------------------

    def document(self, asked: Question, recorded: Recorded | None = None) -> tuple[dict[str, object], bool]:
        """Return the JSON object about a question, and whether the flow is allowed.

        `recorded`: what a guard has said of the flow.
        """
        with self._lock:
            asked, found = self._surveyed(asked)
            _, explanation = self._explained(asked.flow)
        allowed = explanation.decision.verdict is Verdict.ALLOW
        return told_object(explanation, _differs(recorded, explanation), found, asked.open), allowed

    def text(
        self, asked: Question, recorded: Recorded | None = None, *, everything: bool
    ) -> tuple[list[str], bool]:
        """Return the lines about a question, and whether the flow is allowed."""
        with self._lock:
            asked, found = self._surveyed(asked)
            compiled, explanation = self._explained(asked.flow)
            sentence = compiled.sentences.sentence(asked.flow, explanation.decision)
        head = [] if found is None else list(survey_text(found, asked.open, everything=everything))
        if found is not None:
            head += ["", f"for example {packet_text(asked.flow.packet)}:"]
        differs = _differs(recorded, explanation)
        lines = [*head, *text_of(explanation, sentence, differs, everything=everything)]
        return lines, explanation.decision.verdict is Verdict.ALLOW

    def _surveyed(self, asked: Question) -> tuple[Question, Survey | None]:
        """Return a question about one packet: of those that may be meant, the first that is denied."""
        if not asked.open:
            return asked, None
        try:
            found = survey(self._loaded().ruleset, asked.flow, asked.open)
        except TooOpenError as error:
            raise click.UsageError(str(error)) from error
        groups = sorted(found.groups, key=lambda group: group.decision.verdict is not Verdict.DENY)
        return Question(groups[0].example, asked.open), found


def _size(explanation: Explanation) -> int:
    policies = [policy for step in explanation.steps for tier in step.tiers for policy in tier.policies]
    profiles = [profile for step in explanation.steps for profile in step.profiles]
    rules = sum(len(policy.rules) for policy in (*policies, *profiles))
    return 1 + rules + len(policies) + len(explanation.bystanders)


def _differs(recorded: Recorded | None, explanation: Explanation) -> str:
    return "" if recorded is None else difference(recorded, explanation)


def told_object(
    explanation: Explanation, differs: str, found: Survey | None = None, fields: tuple[str, ...] = ()
) -> dict[str, object]:
    """Return an explanation as the JSON object of `explain`; `differs` is a key of it where it says something."""
    document = object_of(explanation, found, fields)
    if differs:
        document["differs"] = differs
    plain: dict[str, object] = json.loads(json.dumps(document))
    return plain
