from __future__ import annotations

import contextlib
import os
import selectors
import socket
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from netns import until

from nfq_guard.adapters.control import ControlInUseError, ControlServer, Conversation, Passing, ask

if TYPE_CHECKING:
    from collections.abc import Iterator


class Running:
    """A control server in a loop of its own thread."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.handled = 0
        self.given: list[int] = []
        """Descriptors of memory files that hold their own number."""
        self.selector = selectors.DefaultSelector()
        self.server = ControlServer(self.path, self.handle, self.selector)
        self._end, self._wake = socket.socketpair()
        self._stopping = False
        self.selector.register(self._end, selectors.EVENT_READ, self._stop)
        self._thread = threading.Thread(target=self._turn)
        self._thread.start()

    def handle(self, request: dict[str, Any]) -> dict[str, Any] | Passing:
        self.handled += 1
        answer = {"got": request, "padding": "x" * request.get("padding", 0)}
        number = request.get("descriptors")
        return answer if number is None else Passing(answer, tuple(self.given[:number]))

    def _turn(self) -> None:
        while not self._stopping:
            for key, _ in self.selector.select():
                key.data()

    def _stop(self) -> None:
        self._stopping = True

    def close(self) -> None:
        self._wake.send(b"x")
        self._thread.join()
        self.server.close()
        self.selector.close()
        self._end.close()
        self._wake.close()
        for descriptor in self.given:
            os.close(descriptor)

    def give(self, number: int) -> None:
        for each in range(number):
            self.given.append(os.memfd_create("given"))
            os.pwrite(self.given[-1], bytes((each,)), 0)


def nothing(_request: dict[str, Any]) -> dict[str, Any]:
    return {}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path / "run" / "control.sock")
    yield made
    made.close()


def test_a_request_gets_its_answer(running: Running) -> None:
    assert ask(running.path, {"command": "status"})["got"] == {"command": "status"}


def test_only_the_owner_may_open_the_socket(running: Running) -> None:
    mode = Path(running.path).stat().st_mode

    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_an_answer_larger_than_any_socket_buffer_arrives_whole(running: Running) -> None:
    assert len(ask(running.path, {"padding": 3_000_000})["padding"]) == 3_000_000


def test_several_requests_on_one_connection_are_answered_in_order(running: Running) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(running.path)
        sock.sendall(b'{"n": 1}\n\n{"n": 2}\n')
        with sock.makefile() as stream:
            assert '"n": 1' in stream.readline()
            assert '"n": 2' in stream.readline()


@pytest.mark.parametrize(
    "line", [b"rubbish", b"[]", b"\xff", b"[" * 60000], ids=["text", "list", "binary", "deep"]
)
def test_rubbish_gets_an_error_and_the_next_one_an_answer(running: Running, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(running.path)
        sock.sendall(line + b"\n")
        with sock.makefile() as stream:
            assert '"error"' in stream.readline()

    assert ask(running.path, {"n": 1})["got"] == {"n": 1}


def test_a_request_without_end_is_hung_up_on(running: Running) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(running.path)
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            sock.sendall(b"x" * 50_000_000)

    assert ask(running.path, {"n": 1})["got"] == {"n": 1}


def test_a_client_that_hangs_up_early_harms_nobody(running: Running) -> None:
    for _ in range(5):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(running.path)
            sock.sendall(b'{"padding": 3000000}\n')

    assert ask(running.path, {"n": 1})["got"] == {"n": 1}


def test_more_clients_than_allowed_are_hung_up_on_until_others_leave(running: Running) -> None:
    clients = []
    for _ in range(40):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(running.path)
        clients.append(sock)
    for sock in clients:
        sock.close()

    assert ask(running.path, {"n": 1})["got"] == {"n": 1}


def test_a_socket_that_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    made = Running(path)

    assert ask(str(path), {"n": 1})["got"] == {"n": 1}
    made.close()
    assert not path.exists()


def test_a_socket_that_lives_is_left_alone(running: Running) -> None:
    with pytest.raises(ControlInUseError, match="--control"):
        ControlServer(running.path, running.handle, selectors.DefaultSelector())

    assert ask(running.path, {"n": 1})["got"] == {"n": 1}


def test_nobody_there_is_an_error_of_the_asker(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ask(str(tmp_path / "none"), {})


@pytest.mark.parametrize("kind", ["file", "folder", "link to a socket", "dangling link"])
def test_what_is_no_socket_is_left_alone_and_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "precious"
    dead = tmp_path / "dead"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(dead))
    if kind == "file":
        path.write_text("years of work", encoding="utf-8")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(dead if kind == "link to a socket" else tmp_path / "nowhere")
    before = path.lstat()

    with pytest.raises(ControlInUseError, match="precious: there is something that is not a socket"):
        ControlServer(str(path), nothing, selectors.DefaultSelector())

    assert (path.lstat(), dead.is_socket()) == (before, True)


def test_a_file_that_took_the_sockets_place_outlives_the_server(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    server = ControlServer(str(path), nothing, selectors.DefaultSelector())
    path.unlink()
    path.write_text("theirs", encoding="utf-8")

    server.close()

    assert path.read_text(encoding="utf-8") == "theirs"


def test_a_question_waits_in_a_crowd_for_its_turn_but_not_for_ever(tmp_path: Path) -> None:
    path = str(tmp_path / "control.sock")
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as first:
        busy.bind(path)
        busy.listen(0)
        first.connect(path)
        with pytest.raises(BlockingIOError):
            ask(path, {"n": 1}, 0.1)

        answered: list[dict[str, Any]] = []
        asking = threading.Thread(target=lambda: answered.append(ask(path, {"n": 2}, 10)))
        asking.start()
        busy.accept()[0].close()
        accepted, _ = busy.accept()
        accepted.recv(100)
        accepted.sendall(b'{"n": 2}\n')
        asking.join()
        accepted.close()

    assert answered == [{"n": 2}]


def held(descriptors: list[int]) -> list[int]:
    """Return what the files hold that were passed along; they are closed."""
    found = [os.pread(descriptor, 1, 0)[0] for descriptor in descriptors]
    for descriptor in descriptors:
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)
    return found


def test_descriptors_come_with_the_answer_that_they_belong_to(running: Running) -> None:
    running.give(64)
    with Conversation(running.path) as conversation:
        found = []
        for number in (None, 2, 0, None, 64, 1):
            answer, descriptors = conversation.ask({"descriptors": number})
            assert answer["got"] == {"descriptors": number}
            found.append(held(descriptors))

    assert found == [[], [0, 1], [], [], list(range(64)), [0]]


def test_descriptors_come_with_an_answer_that_is_larger_than_any_socket_buffer(running: Running) -> None:
    running.give(2)
    with Conversation(running.path) as conversation:
        answer, descriptors = conversation.ask({"descriptors": 2, "padding": 3_000_000})

    assert len(answer["padding"]) == 3_000_000
    assert held(descriptors) == [0, 1]


def test_who_asks_a_single_question_keeps_no_descriptors(running: Running) -> None:
    running.give(2)
    before = list(Path("/proc/self/fd").iterdir())

    assert ask(running.path, {"descriptors": 2})["got"] == {"descriptors": 2}

    # The server's end goes a moment later.
    until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= len(before), "nothing is left open")


def test_no_more_is_answered_than_is_taken(running: Running) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(running.path)
        sock.sendall(b'{"padding": 3000000}\n' * 20)
        assert ask(running.path, {"n": 1})["got"] == {"n": 1}

        assert running.handled <= 3
        with sock.makefile("rb") as stream:
            for _ in range(20):
                assert len(stream.readline()) > 3_000_000
    assert running.handled == 21


def test_a_conversation_ends_with_an_error_when_the_other_side_goes(running: Running) -> None:
    with Conversation(running.path) as conversation:
        assert conversation.ask({"n": 1})[0]["got"] == {"n": 1}
        for client in list(running.server._clients):
            client.shutdown(socket.SHUT_RDWR)

        with pytest.raises(OSError, match=r"hung up|Broken pipe|reset"):
            conversation.ask({"n": 2})


def test_a_conversation_cannot_begin_where_nobody_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Conversation(str(tmp_path / "none"))


def copies_of(one: socket.socket) -> int:
    """Return how many descriptors this process has of a socket."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += entry.stat().st_ino == os.fstat(one.fileno()).st_ino
    return found


@pytest.mark.parametrize("line", [b"[]\n", b"rubbish\n"], ids=["list", "text"])
def test_an_answer_that_is_no_object_is_an_error_and_what_came_with_it_is_closed(
    tmp_path: Path, line: bytes
) -> None:
    path = str(tmp_path / "control.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        with Conversation(path, 5) as conversation:
            accepted, _ = listening.accept()
            with accepted:
                socket.send_fds(accepted, [line], [accepted.fileno()])

                with pytest.raises((OSError, ValueError)):
                    conversation.ask({})

                assert copies_of(accepted) == 1
