"""Our end of a visit: what a node says, and what becomes of a connection that says something else."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.adapter.remote.execute import Command, Controls, Streams, execute
from prominence_hpc.adapter.remote.visit import SILENCE_SECONDS, Visit, begin
from prominence_hpc.errors import (
    ConflictError,
    NotFoundError,
    NotReadyError,
    ProminenceError,
    RemoteError,
    UsageError,
)
from prominence_hpc.wrappers import frames
from tests.unit.remote.jobs import shell_of
from tests.unit.remote.scripted import Scripted, hello

CLOSED = ["channel closed", "shell closed"]


def visit(*blocks: bytes | Exception, **fields: Any) -> Visit:
    return begin(Scripted([hello(), *blocks], **fields), 5)


def failure(shell: Scripted) -> RemoteError:
    """Why there is no visit; everything must be closed then."""
    with pytest.raises(RemoteError) as caught:
        begin(shell, 5)
    assert shell.log == CLOSED
    return caught.value


def test_a_visit_begins_with_the_way_in_and_one_request() -> None:
    shell = Scripted()
    found = begin(shell, 5)
    found.ask({"verb": "x", "path": "\udcff\xe9"})
    assert shell.argv == frames.enter_argv("/the job")
    ((kind, payload),) = frames.FrameReader().feed(bytes(shell.written))
    assert (kind, json.loads(payload)) == (frames.REQUEST, {"verb": "x", "path": "\udcff\xe9"})
    assert found.way == "ssh to node1"
    assert shell.log == []
    with found:
        pass
    assert shell.log == CLOSED


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_hello_and_answers_come_in_any_pieces_after_any_chatter(size: int) -> None:
    answer = frames.pack(frames.OUTPUT, b"out") + frames.pack_json(frames.DONE, {"x": 1})
    data = b"Last login: \0prominence wa\nbanner\xff" + hello() + answer
    blocks: list[bytes | Exception] = [
        data[start : start + size] for start in range(0, len(data), size)
    ]
    kinds = [kind for kind, _ in begin(Scripted(blocks), 5).answers()]
    assert kinds == [frames.OUTPUT, frames.DONE]


def test_nothing_is_awaited_longer_than_told() -> None:
    shell = Scripted([b"chatter", hello()])
    found = begin(shell, 5)
    assert all(seconds is not None and 0 <= seconds <= 5 for seconds in shell.timeouts)
    del shell.timeouts[:]
    shell.blocks = [frames.pack_json(frames.DONE, {})]
    list(found.answers())
    (seconds,) = shell.timeouts  # a command may be silent for days, its node may not
    assert seconds == pytest.approx(SILENCE_SECONDS, abs=1)
    assert SILENCE_SECONDS >= 3 * frames.BEAT_SECONDS


def test_a_node_that_says_nothing_at_all_is_given_up() -> None:
    beat = frames.pack(frames.BEAT)
    answers = visit(beat, frames.pack(frames.OUTPUT, b"x") + beat, beat, TimeoutError()).answers()
    assert next(answers) == (frames.OUTPUT, b"x")  # that it is there is no news for anybody
    with pytest.raises(RemoteError) as caught:
        next(answers)
    assert str(caught.value) == (
        "There was no sign of the job's node (ssh to node1) for 60 seconds: it does not answer any"
        " more."
    )


def test_a_command_that_was_cut_off_is_not_one_that_ended() -> None:
    """What was sent to the node got lost, and what came from it not yet."""
    done = frames.pack_json(frames.DONE, {"exit_code": 129, "ended_by": "lost"})
    streams = Streams(stdin=None, stdout=lambda _: None, stderr=lambda _: None)
    with pytest.raises(RemoteError, match=r"\(ssh to node1\) was cut"):
        execute(visit(done), Command(argv=["true"]), streams, Controls())


def test_no_way_in_may_pass() -> None:
    error = failure(Scripted([b"banner"], code=frames.NO_WAY_IN))
    assert isinstance(error, NotReadyError)
    assert str(error) == "the job's wrapper has not begun there, or has just ended"


@pytest.mark.parametrize(
    ("blocks", "code", "said", "message"),
    [
        ([], 255, "x\nPermission denied.\n\n", "ended with exit code 255: Permission denied"),
        ([b"garbage"], 3, "", "ended with exit code 3"),
        ([], None, "Killed  by\tsignal\r\n", "it was closed: Killed by signal"),
        ([], 0, "", "it was closed"),
        ([TimeoutError()], None, "step creation\n", "no answer in time: step creation"),
        ([b"banner", TimeoutError()], None, "", "no answer in time"),
        ([frames.MAGIC, TimeoutError()], None, "", "no answer in time"),
        ([frames.MAGIC + frames.pack(frames.DONE, b"{}")], 4, "", "ended with exit code 4"),
        (
            [frames.MAGIC + struct.pack(">cL", b"H", 1 << 30)],
            None,
            "",
            "What comes from the job's node is not what it should be: a frame of 1073741824 bytes.",
        ),
    ],
)
def test_whatever_is_no_hello_is_told(
    blocks: list[bytes | Exception], code: int | None, said: str, message: str
) -> None:
    error = failure(Scripted(blocks, code=code, said=said))
    assert not isinstance(error, NotReadyError)
    assert str(error) == message


def test_endless_chatter_is_not_listened_to_for_ever() -> None:
    shell = Scripted([b"y\n" * 1000] * 1000)
    assert "does not stop" in str(failure(shell))
    assert len(shell.blocks) > 900


def test_much_chatter_before_a_hello_is_no_matter() -> None:
    begin(Scripted([b"motd\n" * 12_000, hello()]), 5)


def test_another_protocol_is_another_version() -> None:
    error = failure(Scripted([hello(protocol=frames.PROTOCOL + 1)]))
    assert "another version of prominence" in str(error)


def test_a_shell_that_cannot_start_anything_is_closed() -> None:
    def refuse() -> None:
        msg = "no such host"
        raise RemoteError(msg)

    shell = Scripted(on_open=refuse)
    with pytest.raises(RemoteError, match="no such host"):
        begin(shell, 5)
    assert shell.log == ["shell closed"]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("conflict", ConflictError),
        ("not-found", NotFoundError),
        ("usage", UsageError),
        ("remote", RemoteError),
        ("of a later version", RemoteError),
    ],
)
def test_what_the_node_refuses_is_our_error(kind: str, error: type[ProminenceError]) -> None:
    done = frames.pack_json(frames.DONE, {"error": kind, "message": "Because."})
    answers = visit(frames.pack(frames.NOTE, b"n"), done).answers()
    assert next(answers) == (frames.NOTE, b"n")
    with pytest.raises(ProminenceError) as caught:
        next(answers)
    assert (type(caught.value), str(caught.value)) == (error, "Because.")


@pytest.mark.parametrize(
    ("said", "words"),
    [("", "was cut."), ("a\nslurmstepd: error: STEP CANCELLED.\n", "was cut: slurmstepd: error: STEP")],
)  # fmt: skip
@pytest.mark.parametrize("half", [b"", frames.pack(frames.OUTPUT, b"12345")[:-2]])
def test_a_connection_that_is_cut_says_what_was_said_last(
    said: str, words: str, half: bytes
) -> None:
    answers = visit(frames.pack(frames.OUTPUT, b"whole") + half, said=said).answers()
    assert next(answers) == (frames.OUTPUT, b"whole")
    with pytest.raises(RemoteError) as caught:
        next(answers)
    assert str(caught.value).startswith(f"The connection to the job's node (ssh to node1) {words}")


def test_garbage_in_the_middle_is_told() -> None:
    answers = visit(b"\xff" * 20).answers()
    with pytest.raises(RemoteError, match="is not what it should be"):
        next(answers)


def test_a_node_whose_python_fails_says_so() -> None:
    """By a real program: its last words are Python's."""
    shell = shell_of(Path("/"), "sh", "-c", "echo ImportError: x >&2; exit 1")
    with pytest.raises(RemoteError) as caught:
        begin(shell, 10)
    assert str(caught.value) == "ended with exit code 1: ImportError: x"
