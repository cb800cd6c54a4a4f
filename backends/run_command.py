"""The one place that starts programs: schedulers' commands and the local launcher."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prominence_hpc.errors import BackendError, BackendUnavailable

__all__ = [
    "Completed",
    "find_program",
    "first_line",
    "log",
    "run_command",
    "run_until_said",
    "start_command",
]

_SHOWN_CHARACTERS = 400
_BLOCK_BYTES = 1 << 16


@dataclass(frozen=True)
class Completed:
    """A program that ran to its end. Bytes that are no UTF-8 are kept as surrogate escapes."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


def find_program(name: str) -> str | None:
    """The path of an executable file called ``name`` on our PATH, as a shell would find it."""
    if "/" in name:
        return name
    for folder in os.get_exec_path():
        path = Path(folder, name)
        if os.access(path, os.X_OK) and path.is_file():
            return str(path)
    return None


def run_command(
    argv: Sequence[str],
    *,
    timeout_seconds: float,
    environment: Mapping[str, str] | None = None,
    text: str | None = None,
) -> Completed:
    """Run a program to its end, whatever its exit code; nothing is asked of the terminal.

    ``text`` is its standard input, which is empty without it.

    The program is looked up on our own PATH; ``environment``, where it is given, is all that the
    program sees. What it creates is the user's alone (umask 077). Raises BackendError where the
    program is not installed or may not be run, and BackendUnavailable where it has not ended
    within ``timeout_seconds``: it is killed, and what it had already asked of the scheduler is not
    known.
    """
    program = _program(argv)
    try:
        ended = subprocess.run(
            [program, *argv[1:]],
            stdin=subprocess.DEVNULL if text is None else None,
            input=None if text is None else text.encode(),
            capture_output=True,
            timeout=timeout_seconds,
            env=None if environment is None else dict(environment),
            umask=0o077,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _timed_out(argv, timeout_seconds) from error
    except OSError as error:
        raise _not_run(argv, error) from error
    return _completed(argv, ended.returncode, ended.stdout, ended.stderr)


def run_until_said(
    argv: Sequence[str],
    phrases: Sequence[str],
    *,
    timeout_seconds: float,
    environment: Mapping[str, str] | None = None,
) -> Completed:
    """As :func:`run_command`, but the program, and what it has started, is killed once it says one of ``phrases``.

    They are looked for on standard error, where small letters and capitals are the same.
    """
    process = start_command(argv, environment=environment)
    try:
        out, err = _read_until(process, phrases, time.monotonic() + timeout_seconds)
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        raise _timed_out(argv, timeout_seconds) from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # it leads a session of its own
        with process:
            pass
    return _completed(argv, process.returncode, out, err)


def _read_until(
    process: "subprocess.Popen[bytes]", phrases: Sequence[str], deadline: float
) -> tuple[bytes, bytes]:
    """What a program writes until its end, or until it says one of ``phrases``; TimeoutError."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.close()
    out, err = process.stdout.fileno(), process.stderr.fileno()
    texts, open_ends = {out: b"", err: b""}, [out, err]
    wanted = [phrase.lower().encode() for phrase in phrases]
    while open_ends and not any(phrase in texts[err].lower() for phrase in wanted):
        ready, _, _ = select.select(open_ends, [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError
        for descriptor in ready:
            block = os.read(descriptor, _BLOCK_BYTES)
            texts[descriptor] += block
            if not block:
                open_ends.remove(descriptor)
    if not open_ends:
        process.wait(timeout=max(0.0, deadline - time.monotonic()))
    return texts[out], texts[err]


def start_command(
    argv: Sequence[str], *, environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a program with pipes for its three streams; it is the caller's to end.

    It has a session of its own: the terminal's Ctrl-C is for us, not for it. Raises BackendError
    where the program is not installed or may not be run.
    """
    program = _program(argv)
    try:
        return subprocess.Popen(
            [program, *argv[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=None if environment is None else dict(environment),
            umask=0o077,
            start_new_session=True,
        )
    except OSError as error:
        raise _not_run(argv, error) from error


def _program(argv: Sequence[str]) -> str:
    program = find_program(argv[0])
    if program is None:
        msg = f"{argv[0]} is not installed here, or not on PATH."
        raise BackendError(msg, argv=argv)
    log(f"run {list(argv)!r}")
    return program


def _not_run(argv: Sequence[str], error: OSError) -> BackendError:
    msg = f"{argv[0]} cannot be run: {error.strerror}."
    return BackendError(msg, argv=argv)


def _completed(argv: Sequence[str], returncode: int, stdout: bytes, stderr: bytes) -> Completed:
    completed = Completed(
        tuple(argv),
        returncode,
        stdout.decode("utf-8", "surrogateescape"),
        stderr.decode("utf-8", "surrogateescape"),
    )
    log(f"{argv[0]} ended with {completed.returncode}: {completed.stderr!r}")
    return completed


def first_line(text: str) -> str:
    """What a program said, as one line for a message: its first line that says anything."""
    for line in text.splitlines():
        if line.strip():
            return line.strip()[:_SHOWN_CHARACTERS]
    return ""


def _timed_out(argv: Sequence[str], timeout_seconds: float) -> BackendUnavailable:
    msg = (
        f"{Path(argv[0]).name} did not answer within {timeout_seconds:g} seconds; try again later, "
        "or raise command_timeout_seconds in the site's configuration."
    )
    return BackendUnavailable(msg, argv=argv)


def log(message: str) -> None:
    """Tell those who have turned messages on (``--verbose``)."""
    # logging takes milliseconds to import, which "create" would pay for nothing: whoever wants to
    # read these messages has imported it.
    logging = sys.modules.get("logging")
    if logging is not None:
        logging.getLogger("prominence_hpc").debug(message)
