import os
import select
import time
from typing import Any

import pytest

from prominence_hpc.backends.bounded import BoundedChild, ChildEnded


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_child_answers_all_requests() -> None:
    counted: list[Any] = []

    def serve(request: Any) -> list[Any]:
        counted.append(request)
        return [os.getpid(), len(counted), request]

    with BoundedChild(serve) as child:
        first = child.ask({"a": "é\n"}, timeout_seconds=10)
        second = child.ask("x" * 300_000, timeout_seconds=10)
    assert (first[1:], second[1:]) == ([1, {"a": "é\n"}], [2, "x" * 300_000])
    assert first[0] == second[0] != os.getpid()
    assert counted == []  # what the child does stays there
    assert not is_alive(first[0])


def test_a_late_answer_is_nobody_s() -> None:
    def serve(request: float) -> int:
        time.sleep(request)
        return os.getpid()

    child = BoundedChild(serve)
    pid = child.ask(0, timeout_seconds=10)
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        child.ask(60, timeout_seconds=0.2)
    assert time.monotonic() - start < 5
    assert not child.is_open
    assert not is_alive(pid)


@pytest.mark.parametrize("end", [lambda _: os._exit(1), lambda _: os.kill(os.getpid(), 9)])
def test_a_child_that_crashes(end: Any) -> None:
    with BoundedChild(end) as child:
        with pytest.raises(ChildEnded):
            child.ask(None, timeout_seconds=10)
        assert not child.is_open


def test_a_child_ends_with_whoever_made_it() -> None:
    child = BoundedChild(lambda _: os.getpid())
    pid = child.ask(None, timeout_seconds=10)
    del child
    assert not is_alive(pid)


def test_a_child_that_is_alone_keeps_no_pipe_of_ours_open() -> None:
    reading, writing = os.pipe()
    with BoundedChild(lambda request: request, alone=True) as child:
        assert child.ask("there", timeout_seconds=10) == "there"
        os.close(writing)
        assert select.select([reading], [], [], 10)[0] == [reading]
        assert os.read(reading, 1) == b""
        os.close(reading)
        assert child.ask("still", timeout_seconds=10) == "still"
