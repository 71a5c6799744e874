"""What docs/resources.md shows of a running guard is what happens."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pages
import pytest
from click.testing import CliRunner
from guarded import Daemon, connects
from netns import pair

from nfq_guard.cli.main import cli

if TYPE_CHECKING:
    from pathlib import Path

PAGE = pages.ROOT / "docs" / "resources.md"


@pytest.mark.traffic
def test_status_shows_what_a_staged_policy_would_do_as_the_page_does(tmp_path: Path) -> None:
    (tried,) = pages.blocks(PAGE, "yaml", section="Staged policies")
    (shown,) = pages.blocks(PAGE, "text", section="Staged policies")
    shutil.copytree(pages.ROOT / "rules", tmp_path / "rules")
    networks = tmp_path / "rules" / "networks.yaml"
    with pair() as (guarded, peer), Daemon(guarded.namespace, tmp_path, "--node", "worker-1") as daemon:
        networks.write_text(networks.read_text().replace("198.51.100.0/25", f"{peer.v4}/32"))
        daemon.write(tried.text, name="tried.yaml")
        daemon.start()
        assert not connects(peer, guarded, 22)  # allowed, and refused by the host: nobody listens

        output = CliRunner().invoke(cli, ["status", "--control", str(daemon.control)]).output

    (heading, *_) = shown.text.splitlines()
    section = output[output.index(heading) :].partition("\n\n")[0]
    assert [line.rstrip() for line in section.splitlines()] == shown.text.splitlines()
