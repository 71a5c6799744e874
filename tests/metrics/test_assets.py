"""The shipped dashboard and alerts speak of metrics that exist, and do what they say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nfq_guard.daemon import metrics as exported

ASSETS = Path(__file__).resolve().parents[2] / "metrics"
SPOKEN_OF = ("dashboard.json", "alerts.yml", "alerts_test.yml")
_NAME = re.compile(r"\bnfq_guard_[a-z_]+")
_SUFFIX = re.compile(r"_(total|bucket|sum|count)$")


def exported_names() -> set[str]:
    """Return the families that the daemon exports, as its source spells them."""
    source = Path(exported.__file__).read_text(encoding="utf-8")
    return {_SUFFIX.sub("", name) for name in _NAME.findall(source)}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run promtool in the folder of the assets; skip by name where it is missing."""
    beside_python = Path(sys.executable).with_name("promtool")
    tool = str(beside_python) if beside_python.exists() else shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool (Debian package prometheus) is not installed")
    return subprocess.run([tool, *arguments], cwd=ASSETS, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("asset", SPOKEN_OF)
def test_every_metric_that_is_spoken_of_is_exported(asset: str) -> None:
    text = (ASSETS / asset).read_text(encoding="utf-8")
    spoken_of = {_SUFFIX.sub("", name) for name in _NAME.findall(text)}

    assert spoken_of - exported_names() == set()


def test_every_alert_has_a_test_that_raises_it() -> None:
    alerts = yaml.safe_load((ASSETS / "alerts.yml").read_text(encoding="utf-8"))
    tests = yaml.safe_load((ASSETS / "alerts_test.yml").read_text(encoding="utf-8"))
    named = {rule["alert"] for group in alerts["groups"] for rule in group["rules"]}
    raised = {
        case["alertname"] for test in tests["tests"] for case in test["alert_rule_test"] if case["exp_alerts"]
    }

    assert raised == named


def test_the_alert_rules_do_what_their_tests_say() -> None:
    result = promtool("test", "rules", "alerts_test.yml")

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "alerts.yml"), ("check", "config", "--syntax-only", "prometheus.yml")],
    ids=["alert rules", "scrape example"],
)
def test_prometheus_accepts_the_file(arguments: tuple[str, ...]) -> None:
    result = promtool(*arguments)

    assert result.returncode == 0, result.stdout + result.stderr


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    dashboard = json.loads((ASSETS / "dashboard.json").read_text(encoding="utf-8"))
    cells = [
        (column, row)
        for place in (panel["gridPos"] for panel in dashboard["panels"])
        for column in range(place["x"], place["x"] + place["w"])
        for row in range(place["y"], place["y"] + place["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(column for column, _ in cells) < 24
