"""A command in a running job that has a terminal."""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prominence_hpc.adapter.remote.execute import Controls, Terminal
from tests.unit.remote.jobs import Result, is_gone, is_running, marker, run
from tests.unit.wrappers.runs import until

TERMINAL = Terminal(columns=101, rows=43, kind="vt100-test")


def typed(
    job: Path,
    script: str,
    on_output: Callable[[int, bytes], None],
    *,
    controls: Controls | None = None,
    program: tuple[str, ...] = ("sh", "-c"),
) -> Result:
    """Run a script at a terminal; ``on_output`` is given where to type, and all that was shown."""
    keyboard, typing = os.pipe()
    try:
        return run(
            job,
            *program,
            *([script] if script else []),
            stdin=keyboard,
            on_output=lambda shown: on_output(typing, shown),
            controls=controls,
            terminal=TERMINAL,
        )
    finally:
        os.close(keyboard)
        os.close(typing)


def nothing(_typing: int, _shown: bytes) -> None:
    pass


@pytest.mark.parametrize("beside", [False, True])
def test_all_three_streams_are_a_terminal_of_that_size(job: Path, beside: bool) -> None:
    script = 'test -t 0 && test -t 1 && test -t 2 && stty size && echo "$TERM" && echo err >&2'
    result = run(job, "sh", "-c", script, terminal=TERMINAL, beside=beside)
    assert (result.code, result.stderr) == (0, b"")
    assert result.stdout == b"43 101\r\nvt100-test\r\nerr\r\n"


def test_without_one_there_is_none(job: Path) -> None:
    script = "for n in 0 1 2; do test -t $n && exit 1; done; exit 0"
    assert run(job, "sh", "-c", script).code == 0


def test_a_new_size_is_told(job: Path) -> None:
    controls = Controls()
    script = "trap 'stty size; exit 5' WINCH; echo ready; while :; do sleep 0.02; done"

    def resize(_: int, shown: bytes) -> None:
        if shown == b"ready\r\n":
            controls.resize(132, 50)

    result = typed(job, script, resize, controls=controls)
    assert (result.code, result.stdout) == (5, b"ready\r\n50 132\r\n")


def test_keys_arrive_as_they_are(job: Path) -> None:
    keys = bytes(range(256)) * 40
    script = f"stty raw -echo; echo ready; head -c {len(keys)} | sha256sum"
    waiting = [keys]

    def type_all(typing: int, shown: bytes) -> None:
        if b"ready" in shown and waiting:
            os.write(typing, waiting.pop())

    result = typed(job, script, type_all)
    assert result.code == 0
    assert hashlib.sha256(keys).hexdigest().encode() in result.stdout


def test_ctrl_c_ends_what_is_in_the_foreground_alone(job: Path) -> None:
    """A shell's job control works: it has the terminal for its own."""
    words = marker()
    steps = [
        (b"READY", b"echo code-$?\n"),
        (b"READY", b"\x03"),
        (b"$ ", f"echo REA'DY'; sleep {words}\n".encode()),
    ]

    def type_next(typing: int, shown: bytes) -> None:
        if b"code-130" in shown and b"code-$?" in shown and not steps:
            steps.append((b"never", b""))
            os.write(typing, b"jobs; exit 6\n")
        elif steps and steps[-1][0] in shown:
            if steps[-1][1] == b"\x03":
                until(lambda: is_running(f"sleep {words}"))
            os.write(typing, steps.pop()[1])

    result = typed(job, "", type_next, program=("env", "PS1=$ ", "sh", "-i"))
    assert result.code == 6
    assert b"can't access tty" not in result.stdout
    assert is_gone(f"sleep {words}")


def test_a_signal_reaches_what_is_in_the_foreground(job: Path) -> None:
    """As when the login node's process is told to end: no key can say that."""
    controls, words = Controls(), marker()
    script = f"set -m; echo ready; sleep {words}; echo code $?; exit 9"

    def stop(_: int, shown: bytes) -> None:
        if shown.endswith(b"ready\r\n"):
            until(lambda: is_running(f"sleep {words}"))
            time.sleep(0.05)
            controls.signal("INT")

    typed(job, script, stop, controls=controls)
    assert is_gone(f"sleep {words}")


def test_what_is_left_in_the_background_does_not_hold_the_terminal(job: Path) -> None:
    words, start = marker(), time.monotonic()
    result = typed(job, f"sleep {words} & (setsid sleep {words} &); echo done", nothing)
    assert (result.code, result.stdout) == (0, b"done\r\n")
    assert not is_running(words)
    assert time.monotonic() - start < 4


def test_much_output_is_whole(job: Path) -> None:
    result = typed(job, "stty -opost; head -c 3000000 /dev/zero; echo end", nothing)
    assert (len(result.stdout), result.stdout[-4:]) == (3_000_004, b"end\n")


def test_time_is_limited_at_a_terminal_too(job: Path) -> None:
    words = marker()
    result = run(job, "sleep", words, terminal=TERMINAL, timeout_seconds=0.2)
    assert (result.code, result.ended_by) == (124, "timeout")
    assert not is_running(words)
