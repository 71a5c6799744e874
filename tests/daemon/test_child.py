from __future__ import annotations

import os
import sys
import threading
import time

import pytest
from guarded import lives

from nfq_guard.daemon import child
from nfq_guard.daemon.child import ChildError, LineProcess

ECHO = "import sys\nfor line in sys.stdin: print(line.strip().upper(), flush=True)"


def started(program: str) -> LineProcess:
    return LineProcess((sys.executable, "-c", program), os.environ)


def test_each_line_is_answered_by_a_line() -> None:
    made = started(ECHO)

    assert [made.ask(line, 10) for line in (b"a", b"b")] == [b"A", b"B"]
    made.close()


def test_one_that_is_closed_has_ended() -> None:
    made = started(ECHO)
    made.ask(b"a", 10)

    made.close()

    assert not lives(made.pid)


def test_one_that_says_nothing_is_given_up() -> None:
    made = started("import time; time.sleep(60)")

    with pytest.raises(ChildError, match="no answer within"):
        made.ask(b"a", 0.2)
    made.close()


def test_one_that_ends_is_told_by_its_last_words_however_many_it_had() -> None:
    made = started("import sys; sys.stderr.write('x' * 100_000 + 'no such file'); sys.exit(1)")

    with pytest.raises(ChildError, match="no such file") as caught:
        made.ask(b"a", 10)
    assert len(str(caught.value)) < 5000
    with pytest.raises(ChildError):
        made.ask(b"a", 10)
    made.close()


def test_one_that_complains_and_goes_on_is_heard() -> None:
    made = started(
        "import sys\nfor line in sys.stdin: sys.stderr.write('y' * 200_000); print('ok', flush=True)"
    )

    assert made.ask(b"a", 10) == b"ok"
    assert made.ask(b"a", 10) == b"ok"
    made.close()


def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "LONGEST_ANSWER", 1 << 20)
    made = started("import sys\nwhile True: sys.stdout.write('z' * 65536)")

    with pytest.raises(ChildError, match="longer than 1 MiB"):
        made.ask(b"a", 30)
    made.close()


def test_one_that_is_killed_by_another_thread_answers_nobody() -> None:
    made = started("import time; time.sleep(60)")
    threading.Timer(0.2, made.kill).start()
    began = time.monotonic()

    with pytest.raises(ChildError, match="without a word"):
        made.ask(b"a", 30)

    assert time.monotonic() - began < 10
    made.close()
