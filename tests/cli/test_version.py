from __future__ import annotations

import json

from click.testing import CliRunner

from nfq_guard import __version__
from nfq_guard.cli.main import cli


def test_text_names_program_python_and_kernel() -> None:
    result = CliRunner().invoke(cli, ["version"])

    assert result.output.startswith(f"nfq-guard {__version__} (Python 3.")


def test_json_has_the_same_as_fields() -> None:
    result = CliRunner().invoke(cli, ["version", "--format", "json"])

    assert json.loads(result.output).keys() == {"version", "python", "kernel"}
