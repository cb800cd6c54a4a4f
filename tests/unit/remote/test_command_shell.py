"""A program with its pipes as a channel: what it says, how it ends, and that it ends."""

import os
import signal
import time
from pathlib import Path
from threading import Thread

import pytest

from prominence_hpc.backends import command_shell
from prominence_hpc.backends.base import Channel
from prominence_hpc.backends.command_shell import CommandShell
from prominence_hpc.errors import BackendError, RemoteError
from tests.unit.remote.jobs import is_gone, is_running, marker, python


def opened(*argv: str, prefix: tuple[str, ...] = ()) -> Channel:
    return CommandShell("srun", "/job", prefix, dict(os.environ)).open(argv)


def script(text: str) -> Channel:
    return opened("sh", "-c", text)


def everything(channel: Channel) -> bytes:
    blocks = []
    while block := channel.read(1000, timeout_seconds=10):
        assert len(block) <= 1000
        blocks.append(block)
    return b"".join(blocks)


def test_bytes_go_through_as_they_are() -> None:
    data = os.urandom(3_000_000)
    channel = opened("cat")
    writer = Thread(target=lambda: (channel.write(data), channel.close_input()))  # type: ignore[func-returns-value]
    writer.start()
    assert everything(channel) == data
    writer.join()
    assert channel.exit_code() == 0
    channel.close()


@pytest.mark.parametrize(
    ("text", "code"),
    [("exit 0", 0), ("exit 96", 96), ("kill -KILL $$", 137), ("kill -TERM $$", 143)],
)
def test_exit_codes(text: str, code: int) -> None:
    channel = script(text)
    assert everything(channel) == b""
    assert channel.exit_code() == code
    channel.close()
    assert channel.exit_code() == code


def test_a_program_that_runs_has_no_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_shell, "_CLOSE_SECONDS", 0.1)
    channel = opened("cat")
    assert channel.exit_code() is None
    channel.close()
    assert channel.exit_code() == 0


def test_the_prefix_comes_first() -> None:
    channel = opened("%s|", "a b", "*", prefix=("printf",))
    assert everything(channel) == b"a b|*|"
    channel.close()


def test_the_environment_is_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    channel = CommandShell("srun", "", (), {"A": "b"}).open(["env"])
    assert everything(channel) == b"A=b\n"
    channel.close()


def test_messages_are_whole_once_the_program_has_ended() -> None:
    channel = script("echo one >&2; echo out; printf 'two \\377' >&2; exit 1")
    assert everything(channel) == b"out\n"
    assert channel.exit_code() == 1
    assert channel.messages() == "one\ntwo \ufffd"
    channel.close()


def test_of_endless_messages_the_last_are_kept() -> None:
    channel = script("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done >&2")
    everything(channel)
    assert channel.exit_code() == 0
    said = channel.messages()
    assert said.endswith("line 19999\n")
    assert len(said) <= 1 << 16
    channel.close()


def test_reading_has_a_time_limit() -> None:
    channel = opened("cat")
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        channel.read(10, timeout_seconds=0.2)
    assert 0.2 <= time.monotonic() - start < 2
    channel.write(b"x")
    assert channel.read(10, timeout_seconds=10) == b"x"
    channel.close()


def test_writing_to_a_program_that_has_ended_is_an_error_of_ours() -> None:
    channel = opened("true")
    everything(channel)
    with pytest.raises(RemoteError, match="was cut"):
        channel.write(bytes(1 << 20))
    channel.close()
    with pytest.raises(RemoteError, match="was cut"):
        channel.write(b"x")


def test_close_lets_a_program_end_by_itself(tmp_path: Path) -> None:
    channel = script(f"cat > /dev/null; touch {tmp_path}/ended")
    start = time.monotonic()
    channel.close()
    assert (tmp_path / "ended").exists()
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("trap", ["", "trap '' TERM;"])
def test_close_ends_a_program_that_will_not(monkeypatch: pytest.MonkeyPatch, trap: str) -> None:
    monkeypatch.setattr(command_shell, "_CLOSE_SECONDS", 0.2)
    monkeypatch.setattr(command_shell, "_TERM_SECONDS", 0.2)
    words = marker()
    channel = script(f"{trap} echo ready; exec sleep {words}")
    assert channel.read(10, timeout_seconds=10) == b"ready\n"
    channel.close()
    assert is_gone(f"sleep {words}", 0.5)
    assert channel.exit_code() == 128 + (signal.SIGKILL if trap else signal.SIGTERM)


def test_close_ends_a_program_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_shell, "_CLOSE_SECONDS", 0.2)
    words = marker()
    channel = opened("yes", words)
    channel.close()
    assert not is_running(f"yes {words}")


def test_the_keyboard_s_signals_are_not_for_it() -> None:
    """Ctrl-C goes to our process group: the connection must outlive it."""
    channel = opened(*python("import os; print(os.getpgid(0))"))
    theirs = int(everything(channel))
    channel.close()
    assert theirs != os.getpgid(0)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(BackendError, match="no-such-program is not installed here"):
        opened("x", prefix=("no-such-program",))
