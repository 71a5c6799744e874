from __future__ import annotations

import pytest

from nfq_guard.cli.main import Exit
from nfq_guard.cli.reports import RefusedError, listed, refused, report, report_deleted
from nfq_guard.store.operations import Outcome, Verb


@pytest.mark.parametrize(
    ("outcome", "out", "error"),
    [
        (Outcome(2, "Tier", 2), "Successfully applied 2 'Tier' resource(s)\n", ""),
        (Outcome(2, "", 2), "Successfully applied 2 resource(s)\n", ""),
        (Outcome(1, "Tier", 0, ["x"]), "", "failed to apply 'Tier' resource: [x]"),
        (Outcome(2, "Tier", 0, ["x", "y"]), "", "failed to apply any 'Tier' resources: [x\ny]"),
        (Outcome(2, "", 0, ["x", "y"]), "", "failed to apply any resources: [x\ny]"),
        (
            Outcome(3, "Tier", 1, ["x"]),
            "Partial success: applied the first 1 out of 3 'Tier' resources:\n",
            "hit error: [x]",
        ),
    ],
)
def test_what_is_said(outcome: Outcome, out: str, error: str, capsys: pytest.CaptureFixture[str]) -> None:
    if error:
        with pytest.raises(RefusedError) as refusal:
            report(Verb.APPLY, outcome)
        assert (refusal.value.message, refusal.value.exit_code) == (error, Exit.NO)
    else:
        report(Verb.APPLY, outcome)
    assert capsys.readouterr().out == out


def test_deletions(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RefusedError, match=r"^Failed to delete resource: x\nFailed to delete resource: y$"):
        report_deleted(Outcome(3, "", 1, ["x", "y"]))
    assert capsys.readouterr().out == "Successfully deleted 1 resource(s)\n"


def test_a_refusal_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    refused("apply", Outcome(1, "Tier"), "[x]").show()

    assert capsys.readouterr().err == "failed to apply 'Tier' resource: [x]\n"


def test_errors_stand_in_brackets() -> None:
    assert listed(["a"]) == "[a]"
    assert listed(["a", "b"]) == "[a\nb]"
