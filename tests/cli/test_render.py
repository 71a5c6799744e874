from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from netns import Namespace

from nfq_guard.cli.main import Exit, cli

RULES = Path(__file__).resolve().parents[2] / "rules"


@pytest.fixture
def facts(tmp_path: Path) -> str:
    path = tmp_path / "facts.json"
    path.write_text(
        json.dumps({"node": "worker-1", "interfaces": {"eth0": ["192.0.2.10"]}}), encoding="utf-8"
    )
    return str(path)


def rendered(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["render", "--rules", str(RULES), *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_table_guards_the_interface_of_the_facts(facts: str) -> None:
    text = rendered("--facts", facts)

    assert text.startswith("table inet nfq_guard {")
    assert '"eth0"' in text
    assert "198.51.100.250" in text


def test_settings_change_the_table(facts: str) -> None:
    plain = rendered("--facts", facts)
    other = rendered(
        *("--facts", facts, "--queue", "77", "--fail-mode", "open"),
        *("--connection-mark-mask", "0x0f000000", "--packet-mark-mask", "0x30"),
    )

    assert "queue flags bypass to 77" in other or "to 77" in other
    assert "0xf0000000" in plain
    assert "0xf0000000" not in other


def test_the_xt_form_leaves_a_place_for_the_rule_that_nft_cannot_write(facts: str) -> None:
    assert "queue to" not in rendered("--facts", facts, "--target", "xt")


def test_a_mask_without_a_bit_is_wrong_usage(facts: str) -> None:
    result = CliRunner().invoke(
        cli, ["render", "--rules", str(RULES), "--facts", facts, "--packet-mark-mask", "0"]
    )

    assert result.exit_code == Exit.USAGE


@pytest.mark.netns
def test_the_kernel_takes_the_table_as_it_is_printed(facts: str) -> None:
    text = rendered("--facts", facts, "--target", "xt")
    with Namespace() as space:
        space.nft(text)

        assert "nfq_guard" in space.run("nft", "list", "tables").stdout
