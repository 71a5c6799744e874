"""Resource commands beside a running daemon: what is applied is what packets experience.

The rules are the project's own example, the host protection page's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
from guarded import ROOT, Daemon, Server, asks_udp, connect, connects, echoes, is_denied
from netns import End, Namespace, link

from nfq_guard.adapters.control import ask

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.traffic
FAMILIES = (4, 6)
PORT = 8080

OPEN = f"""apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata:
  name: allow-web
spec:
  selector: role == 'worker'
  types: [Ingress]
  ingress:
    - action: Allow
      protocol: TCP
      destination:
        ports: [{PORT}]
"""
INVALID = {
    "a field that does not exist": OPEN.replace("selector:", "selectors:"),
    "a valid resource beside an invalid one": OPEN + "---\n" + OPEN.replace("TCP", "tcp"),
    "no YAML": OPEN + "  - [",
}


class Said(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    text: str


class Site:
    """The example's host with a peer at eth0 and a workload at cali1, and its daemon running."""

    def __init__(self, space: Namespace, outside: Namespace, inside: Namespace, base: Path) -> None:
        self.host, self.peer = link(space, outside, names=("eth0", "eth0"), subnet=77)
        self.to_pod, self.pod = link(space, inside, names=("cali1", "eth0"), subnet=79)
        self.server = Server(space, PORT)
        self.daemon = Daemon(space, base, "--node", "worker-1")
        self.base = base
        for file in (ROOT / "rules").glob("*.yaml"):
            shutil.copy(file, self.daemon.rules)

    def command(self, *words: str, given: str = "") -> Said:
        """Run a resource command, which knows nothing of the daemon but the folder."""
        done = subprocess.run(
            [sys.executable, "-m", "nfq_guard", *words],
            input=given,
            cwd=self.base,
            env={**os.environ, "NFQ_GUARD_RULES": str(self.daemon.rules), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Said(done.returncode, done.stdout)

    def enforced(self, *words: str, given: str = "") -> str:
        """Run a command that succeeds, wait until it is in force, and return what it printed."""
        with self.daemon.change():
            said = self.command(*words, given=given)
            assert said.code == 0, said.text
        return said.text

    def files(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.daemon.rules.iterdir()}

    def enters(self, family: int) -> bool:
        return connects(self.peer, self.host, PORT, family)

    def refused(self, family: int) -> bool:
        return is_denied(self.daemon, self.peer, self.host, PORT, family)

    def live(self, source: End, target: End) -> list[socket.socket]:
        """Return an open connection in each family, whose silence is known after a second."""
        made = [connect(source, target, PORT, family) for family in FAMILIES]
        for sock in made:
            sock.settimeout(1)
        return made

    def pod_reaches_host(self) -> list[bool]:
        return [asks_udp(self.pod, self.to_pod, PORT, family) for family in FAMILIES]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Namespace() as space, Namespace() as outside, Namespace() as inside:
        made = Site(space, outside, inside, tmp_path)
        with made.daemon:
            yield made
        made.server.close()


@pytest.mark.parametrize("declared", [True, False], ids=["declared by a file", "built in"])
def test_the_action_of_a_workload_to_its_host_follows_get_edit_apply(site: Site, *, declared: bool) -> None:
    if not declared:
        (site.daemon.rules / "failsafes.yaml").unlink()
    site.daemon.start()
    process = site.daemon.process
    assert site.pod_reaches_host() == [False, False]
    for action in ("Accept", "Return"):
        shown = site.command("get", "felixconfiguration", "default", "-o", "yaml")
        assert shown.code == 0
        edited = [line for line in shown.text.splitlines() if "defaultEndpointToHostAction" not in line]
        edited.append(f"  defaultEndpointToHostAction: {action}")
        (site.base / "felix.yaml").write_text("\n".join(edited) + "\n")

        said = site.enforced("apply", "-f", "felix.yaml")

        assert said == "Successfully applied 1 'FelixConfiguration' resource(s)\n"
        assert site.pod_reaches_host() == [True, True]
    live = site.live(site.pod, site.to_pod)
    assert all(echoes(sock) for sock in live)

    patch = '{"spec": {"defaultEndpointToHostAction": "Drop"}}'
    site.enforced("patch", "felixconfiguration", "default", "-p", patch)

    assert site.pod_reaches_host() == [False, False]
    assert [echoes(sock) for sock in live] == [False, False]
    assert site.daemon.process is process
    assert process is not None
    assert process.poll() is None


def test_a_policy_that_is_applied_opens_a_port_and_deleted_closes_it(site: Site) -> None:
    site.daemon.start()
    files = site.files()
    assert all(site.refused(family) for family in FAMILIES)

    said = site.enforced("apply", "-f", "-", given=OPEN)
    assert said == "Successfully applied 1 'GlobalNetworkPolicy' resource(s)\n"
    assert all(site.enters(family) for family in FAMILIES)
    live = site.live(site.peer, site.host)
    assert all(echoes(sock) for sock in live)

    said = site.enforced("delete", "gnp", "allow-web")
    assert said == "Successfully deleted 1 'GlobalNetworkPolicy' resource(s)\n"
    assert site.files() == files
    assert all(site.refused(family) for family in FAMILIES)
    assert [echoes(sock) for sock in live] == [False, False]


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID)
def test_an_invalid_apply_changes_nothing(site: Site, text: str) -> None:
    site.daemon.start()
    site.enforced("apply", "-f", "-", given=OPEN)
    files, generation = site.files(), site.daemon.metric("nfq_guard_generation")
    live = connect(site.peer, site.host, PORT)

    said = site.command("apply", "-f", "-", given=text)

    assert said.code == 1
    assert "error" in said.text
    assert site.files() == files
    # Read once more, so that whatever the command had written would be in force by now.
    answer = ask(str(site.daemon.control), {"command": "reload"})
    assert answer["ok"]
    assert answer["generation"] == generation
    assert site.daemon.metric("nfq_guard_config_load_error") == 0
    assert echoes(live)
    assert site.enters(6)
