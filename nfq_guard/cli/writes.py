"""What `apply`, `create` and `replace` do: they differ in a verb.

Owns the way from `-f` to the rules for the three.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nfq_guard.cli.inputs import Given, read_wanted
from nfq_guard.cli.reports import listed, refused, report
from nfq_guard.cli.storage import InvalidRulesError, change_rules
from nfq_guard.store.draft import StoreError
from nfq_guard.store.operations import outcome_of, write_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nfq_guard.store.draft import Draft
    from nfq_guard.store.operations import Verb


def write_given(paths: Sequence[str], verb: Verb, given: Given, *, skip_exists: bool = False) -> None:
    """Bring the resources of `-f` into the rules, and say what came of it."""
    wanted, problems = read_wanted(given)
    refs = [each.ref for each in wanted]
    outcome = outcome_of(refs)
    if problems:
        raise refused(verb.word, outcome, listed(problems))
    if not wanted:
        click.echo("No resources specified")
        return

    def act(draft: Draft) -> None:
        nonlocal outcome
        outcome = write_all(draft, verb, wanted, skip_exists=skip_exists)

    try:
        change_rules(paths, act, refs)
    except InvalidRulesError as error:
        raise refused(verb.word, outcome, str(error)) from error
    except StoreError as error:
        raise refused(verb.word, outcome, listed([str(error)])) from error
    report(verb, outcome)
