"""The shipped rules mean what they say: each expected flow goes through `nfq-guard decide`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nfq_guard.cli.main import cli

RULES = Path(__file__).resolve().parents[2] / "rules"


def _sheets() -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    sheets = []
    for path in sorted((RULES / "expect").glob("*.jsonl")):
        head, *rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        sheets.append((head, rows))
    return sheets


SHEETS = _sheets()


@pytest.fixture(scope="module", params=SHEETS, ids=[head["title"] for head, _ in SHEETS])
def answered(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return every row of a sheet with the verdict that `decide` gives its flow."""
    head, rows = request.param
    facts = tmp_path_factory.mktemp("facts") / "facts.json"
    facts.write_text(json.dumps(head["facts"]), encoding="utf-8")
    rules = [word for name in head["rules"] for word in ("--rules", str(RULES / name))]
    flows = "".join(json.dumps(row["flow"]) + "\n" for row in rows)
    result = CliRunner().invoke(cli, ["decide", *rules, "--facts", str(facts)], input=flows)
    assert result.exit_code == 0, result.output
    verdicts = [json.loads(line) for line in result.stdout.splitlines()]
    return list(zip(rows, verdicts, strict=True))


def test_every_flow_gets_its_expected_verdict(answered: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    found = {row["says"]: _summary(verdict) for row, verdict in answered}
    expected = {row["says"]: row["expect"] for row, _ in answered}

    assert found == expected


def _summary(verdict: dict[str, Any]) -> dict[str, Any]:
    policy = verdict["policy"]
    return {
        "verdict": verdict["verdict"],
        "reason": verdict["reason"],
        "tier": verdict["tier"],
        "policy": policy and policy["name"],
        "rule": verdict["rule"],
    }


def test_every_shipped_policy_decides_some_expected_flow() -> None:
    shipped = {path.stem for path in RULES.glob("*gress-*.yaml")}
    proven = {row["expect"]["policy"] for _, rows in SHEETS for row in rows} - {None}

    assert len(proven) == len(shipped)


def test_the_folder_has_no_problem_at_all() -> None:
    result = CliRunner().invoke(cli, ["check", str(RULES), "--format", "json"])

    assert result.exit_code == 0
    assert json.loads(result.output) == []
