from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import endpoint, tier

from nfq_guard.cli.inputs import Given
from nfq_guard.cli.reports import RefusedError
from nfq_guard.cli.writes import write_given
from nfq_guard.store.operations import Verb

if TYPE_CHECKING:
    from commands import Rules


@pytest.mark.parametrize(
    ("verb", "out"),
    [
        (Verb.APPLY, "Successfully applied 1 'Tier' resource(s)\n"),
        (Verb.REPLACE, "Successfully replaced 1 'Tier' resource(s)\n"),
    ],
)
def test_the_verbs_write_what_a_file_holds(
    rules: Rules, verb: Verb, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rules.put("a.yaml", tier("a"))
    (rules.outer / "new.yaml").write_text(tier("a", 9), encoding="utf-8")
    write_given(["rules"], verb, Given("new.yaml", recursive=False, skip_empty=False, namespace=""))

    assert capsys.readouterr().out == out
    assert rules.files() == {"a.yaml": tier("a", 9)}


def test_what_the_files_do_not_allow_is_refused_by_the_verb(rules: Rules) -> None:
    rules.put(
        "list.json", '{"kind": "Tier", "apiVersion": "projectcalico.org/v3", "metadata": {"name": "a"}}'
    )
    (rules.outer / "new.yaml").write_text(endpoint("eth0"), encoding="utf-8")

    with pytest.raises(
        RefusedError, match=r"failed to apply 'HostEndpoint' resource: \[rules/list.json: a JSON file"
    ):
        write_given(
            ["rules/list.json"],
            Verb.APPLY,
            Given("new.yaml", recursive=False, skip_empty=False, namespace=""),
        )
