"""A command in a running job: exit codes, streams, surroundings, ends. The real packed runner."""

import hashlib
import os
import signal
import time
from pathlib import Path

import pytest

from prominence_hpc.adapter.remote.execute import Command, Controls, Streams, execute
from prominence_hpc.adapter.remote.visit import begin
from tests.unit.remote.jobs import (
    is_gone,
    is_running,
    marker,
    python,
    run,
    shell_of,
    visit,
    work_of,
)

EVERY_BYTE = bytes(range(256))


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("true",), 0),
        (("sh", "-c", "exit 7"), 7),
        (("sh", "-c", "exit 255"), 255),
        (("sh", "-c", "kill -KILL $$"), 128 + signal.SIGKILL),
        (("sh", "-c", "kill -TERM $$"), 128 + signal.SIGTERM),
        (("no-such-program",), 127),
        (("/no/such/program",), 127),
        (("/etc/passwd",), 126),
        (("/etc",), 126),
    ],
)
def test_exit_codes(job: Path, argv: tuple[str, ...], code: int, beside: bool) -> None:
    result = run(job, *argv, beside=beside)
    assert (result.code, result.ended_by, result.stdout) == (code, "", b"")


@pytest.mark.parametrize(
    ("program", "reason"),
    [("no-such-program", "No such file or directory"), ("/etc/passwd", "Permission denied")],
)
def test_a_program_that_cannot_be_run_is_named(job: Path, program: str, reason: str) -> None:
    result = run(job, program, beside=True)
    assert result.stderr.decode() == f"prominence: {program}: {reason}\n"


def test_words_arrive_as_they_are(job: Path) -> None:
    words = ["", " a  b ", "*", "$HOME", "`id`", "'\"\\", "new\nline", "\xe9\u20ac", "\udcff", "-n"]
    result = run(job, "printf", "%s\\0", *words)
    assert result.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1] == words


@pytest.mark.parametrize("beside", [False, True])
def test_streams_are_separate_and_exact(job: Path, tmp_path: Path, beside: bool) -> None:
    (tmp_path / "bytes").write_bytes(EVERY_BYTE[::-1] * 3)
    argv = ("sh", "-c", 'cat; cat "$1" >&2', "sh", str(tmp_path / "bytes"))
    result = run(job, *argv, stdin=EVERY_BYTE * 500, beside=beside)
    assert result.stdout == EVERY_BYTE * 500
    assert result.stderr == EVERY_BYTE[::-1] * 3


def test_much_goes_both_ways_at_once(job: Path) -> None:
    data = os.urandom(1 << 20) * 20
    result = run(job, "cat", stdin=data)
    assert len(result.stdout) == len(data)
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("stdin", [None, b""])
def test_no_standard_input_is_its_end(job: Path, stdin: bytes | None) -> None:
    assert run(job, "wc", "-c", stdin=stdin).stdout == b"0\n"


def test_the_end_of_standard_input_arrives_when_it_comes(job: Path) -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"first")

    def go_on(output: bytes) -> None:
        if output.endswith(b"first"):
            os.write(theirs, b" last")
        if output.endswith(b"last"):
            os.close(theirs)

    result = run(job, "cat", stdin=ours, on_output=go_on)
    os.close(ours)
    assert result.stdout == b"first last"


@pytest.mark.parametrize("script", ["exit 3", "exec <&-; echo closed; sleep 0.1; exit 3"])
def test_a_command_that_does_not_read_its_input_ends_all_the_same(job: Path, script: str) -> None:
    result = run(job, "sh", "-c", script, stdin=bytes(20 << 20))
    assert result.code == 3


def environment_of(data: bytes) -> dict[bytes, bytes]:
    pairs = [entry.partition(b"=") for entry in data.split(b"\0") if entry]
    own = (b"_", b"PWD", b"OLDPWD", b"SHLVL")  # each shell's
    return {name: value for name, _, value in pairs if name not in own}


def test_environment_and_folder_are_the_task_s(job: Path) -> None:
    folder = work_of(job) / "sub"
    seen = environment_of((folder / "environment").read_bytes())
    assert seen[b"APPTAINERENV_GREETING"] == "good day, *$HOME'\"\\\nand \xe9".encode()
    assert environment_of(run(job, "env", "-0").stdout) == seen
    assert run(job, "pwd").stdout == (folder / "cwd").read_bytes()


def test_beside_the_container_it_is_the_wrapper_s(job: Path) -> None:
    result = run(job, "sh", "-c", "pwd; echo $APPTAINERENV_GREETING$IMAGE; echo $PATH", beside=True)
    cwd, nothing, path, _ = result.stdout.decode().split("\n")
    assert (cwd, nothing) == (str(work_of(job)), "")
    assert path.startswith(str(job.parent / "bin"))  # what the scheduler has started it with


def test_time_is_limited(job: Path) -> None:
    words, start = marker(), time.monotonic()
    result = run(job, "sleep", words, timeout_seconds=0.3)
    assert (result.code, result.ended_by) == (124, "timeout")
    assert 0.3 <= time.monotonic() - start < 4
    assert is_gone(f"sleep {words}")


def test_whoever_ignores_the_first_signal_is_killed(job: Path) -> None:
    words = marker()
    script = f"trap 'echo no' TERM HUP; while :; do sleep 0{words[-3:]}1; : {words}; done"
    result = run(job, "sh", "-c", script, timeout_seconds=0.5)
    assert (result.code, result.ended_by) == (124, "timeout")
    assert b"no\n" in result.stdout
    assert is_gone(words)


@pytest.mark.parametrize(("name", "number"), [("INT", 2), ("TERM", 15), ("KILL", 9), ("USR1", 10)])
def test_signals_arrive(job: Path, name: str, number: int) -> None:
    controls = Controls()
    script = f"echo ready; exec sleep {marker()}"
    result = run(
        job, "sh", "-c", script, controls=controls, on_output=lambda _: controls.signal(name)
    )
    assert (result.code, result.ended_by) == (128 + number, "")


def test_a_signal_goes_to_all_of_a_pipeline(job: Path) -> None:
    controls, words = Controls(), marker()
    result = run(
        job,
        "sh",
        "-c",
        f"echo ready; sleep {words} | sleep {words}; echo not reached",
        controls=controls,
        on_output=lambda _: controls.signal("INT"),
    )
    assert (result.code, result.stdout) == (130, b"ready\n")
    assert is_gone(f"sleep {words}")


def test_words_that_are_no_signals_do_nothing(job: Path) -> None:
    controls = Controls()
    for name in ("", "NOSUCH", "_DFL", "9", "BLOCK"):
        controls.signal(name)
    assert run(job, "sh", "-c", "sleep 0.1; exit 4", controls=controls).code == 4


class EnoughError(Exception):
    """Raised by a test's own stream."""


@pytest.mark.parametrize(
    ("how", "beside"),
    [("{}", False), ("{}", True), ("setsid {}", False)],
)
def test_closing_the_visit_ends_the_command(job: Path, how: str, beside: bool) -> None:
    words = marker()

    def enough(_: bytes) -> None:
        assert is_running(words)
        raise EnoughError

    script = f"echo ready; {how.format(f'sleep {words}')} & wait"
    streams = Streams(stdin=None, stdout=enough, stderr=lambda _: None)
    command = Command(argv=("sh", "-c", script), beside=beside)
    start = time.monotonic()
    with visit(job) as found, pytest.raises(EnoughError):
        execute(found, command, streams, Controls())
    assert not is_running(words)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("how", ["{} &", "setsid {} &", "(setsid {} &) &", "{} | {} &"])
def test_what_is_left_running_ends_and_holds_nothing_open(
    job: Path, how: str, tmp_path: Path
) -> None:
    words, began, start = marker(), tmp_path / "began", time.monotonic()
    sleeper = how.replace("{}", f"sh -c 'touch {began}; exec sleep {words}'")
    script = f"{sleeper} while [ ! -e {began} ]; do sleep 0.01; done; echo done"
    result = run(job, "sh", "-c", script)
    assert not is_running(words)
    assert (result.code, result.ended_by, result.stdout) == (0, "", b"done\n")
    assert time.monotonic() - start < 4


def test_what_a_login_script_says_first_is_skipped(job: Path) -> None:
    say = 'echo Welcome; printf "\\0\\377 no newline"; echo "a warning" >&2; exec "$@"'
    with begin(shell_of(job, "sh", "-c", say, "sh"), 30) as found:
        taken = bytearray()
        streams = Streams(stdin=None, stdout=taken.extend, stderr=taken.extend)
        ended = execute(found, Command(argv=("echo", "hello")), streams, Controls())
    assert (ended.exit_code, bytes(taken)) == (0, b"hello\n")


def test_python_s_own_output_is_not_held_back(job: Path) -> None:
    argv = python("import sys; sys.stdout.write('x'); sys.stderr.write('y'); sys.exit(3)")
    result = run(job, *argv)
    assert (result.code, result.stdout, result.stderr) == (3, b"x", b"y")
