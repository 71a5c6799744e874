"""Rule files rewritten in place, slowly or never to the end, on real traffic: no moment opens the host."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING

import pytest
from guarded import Daemon, Server, connects, documents, endpoint, policy, tcp
from netns import End, pair, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.netns, pytest.mark.traffic]
RULES = documents(endpoint(), policy(tcp(80)))
AFTER = documents(endpoint(), policy(tcp(80, 9999)))
DENIED = 9999


@pytest.fixture
def ends() -> Iterator[tuple[End, End]]:
    """Yield the guarded end and its peer."""
    with pair() as made:
        yield made


def kept(daemon: Daemon) -> list[str]:
    """Return the texts of the last good policy."""
    saved = json.loads((daemon.state / "last-good.json").read_text())
    return [base64.b64decode(file["data"]).decode() for file in saved["files"]]


def test_a_file_that_is_rewritten_slowly_opens_nothing_on_the_way(
    ends: tuple[End, End], tmp_path: Path
) -> None:
    guarded, peer = ends
    with Daemon(guarded.namespace, tmp_path) as daemon:
        daemon.write(RULES)
        daemon.start()
        server = Server(guarded.namespace, DENIED)
        assert not connects(peer, guarded, DENIED)
        with (daemon.rules / "rules.yaml").open("w") as half:
            for at in range(0, len(AFTER), len(AFTER) // 3 + 1):
                time.sleep(1.3)
                assert not connects(peer, guarded, DENIED)
                half.write(AFTER[at : at + len(AFTER) // 3 + 1])
                half.flush()
            # Another file's change is no reason to read this one.
            (daemon.rules / "b.yaml").write_text("# nothing\n")
            time.sleep(1.3)
            assert not connects(peer, guarded, DENIED)
            assert kept(daemon) == [RULES]

        until(lambda: connects(peer, guarded, DENIED), "the change is in force")
        server.close()


@pytest.mark.parametrize("left", ["", "\n \n", RULES[: len(RULES) // 2]], ids=["nothing", "space", "half"])
def test_what_an_interrupted_copy_leaves_behind_opens_nothing_nor_does_a_restart(
    ends: tuple[End, End], tmp_path: Path, left: str
) -> None:
    guarded, peer = ends
    with Daemon(guarded.namespace, tmp_path) as daemon:
        daemon.write(RULES)
        daemon.start()
        server = Server(guarded.namespace, DENIED)

        (daemon.rules / "rules.yaml").write_text(left)
        until(lambda: daemon.metric("nfq_guard_config_load_error") == 1, "it is refused")
        assert not connects(peer, guarded, DENIED)
        assert kept(daemon) == [RULES]
        daemon.stop()
        daemon.start()

        assert not connects(peer, guarded, DENIED)
        assert daemon.metric("nfq_guard_config_load_error") == 1
        assert kept(daemon) == [RULES]
        (daemon.rules / "rules.yaml").write_text(AFTER)
        until(lambda: connects(peer, guarded, DENIED), "the change is in force")
        server.close()
