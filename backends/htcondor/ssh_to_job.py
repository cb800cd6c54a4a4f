"""A shell in a running HTCondor job, by the connection that condor_ssh_to_job sets up.

It starts an sshd beside the job, as its user, for one session: with a key, a host key and a socket
of its own, over connections that the pool has authenticated already. Nothing listens, and nodes that
share no file system or are behind a firewall are reached as well. We take its socket and keys where
it would start ssh(1).

https://htcondor.readthedocs.io/en/latest/man-pages/condor_ssh_to_job.html
"""

import json
import os
import select
import shlex
import socket
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prominence_hpc.backends.htcondor.quoting import arguments
from prominence_hpc.backends.run_command import first_line, log, start_command
from prominence_hpc.errors import BackendError, NotReadyError, RemoteError

if TYPE_CHECKING:
    import subprocess

    from prominence_hpc.backends.ssh.shell import SSHShell

__all__ = ["Words", "open_shell", "parse_words"]

_WORDS = Path(__file__).with_name("ssh_words.py")
_CLOSE_SECONDS = 5.0
_BLOCK_BYTES = 1 << 16
# What it says of a job that has begun and has no sshd yet: for some seconds after its start.
_NOT_YET = ("-auto-retry", "not yet ready", "not currently running")


@dataclass(frozen=True, kw_only=True)
class Words:
    """What ssh(1) was to be told."""

    host: str
    user: str
    key_file: Path
    known_hosts_file: Path
    socket_path: Path  # where the connected socket is handed over


def parse_words(words: list[str]) -> Words:
    """Read ssh's command line: options ``-oNAME=VALUE``, then the host. Raises RemoteError."""
    options = {}
    rest = []
    for word in words:
        name, equals, value = word.removeprefix("-o").partition("=")
        if word.startswith("-o") and equals:
            options[name] = value
        else:
            rest.append(word)
    try:
        # "condor_ssh_to_job" "-proxy" "/tmp/…/fdpass"
        program, option, path = shlex.split(options["ProxyCommand"])
        if (Path(program).name, option) != ("condor_ssh_to_job", "-proxy"):
            raise ValueError(program)
        return Words(
            host=rest[0],
            user=options["User"],
            key_file=Path(options["IdentityFile"]),
            known_hosts_file=Path(options["UserKnownHostsFile"]),
            socket_path=Path(path),
        )
    except (KeyError, ValueError, IndexError) as error:
        msg = f"condor_ssh_to_job would start ssh in a way that is not known: {words!r}."
        raise RemoteError(msg) from error


def open_shell(handle: str, folder: str, *, timeout_seconds: float) -> "SSHShell":
    """A shell in the job; NotReadyError where it has only just begun.

    ``folder``: see :attr:`.JobShell.folder`.
    """
    try:
        return _open_shell(handle, folder, timeout_seconds)
    except RemoteError as error:
        if "This is a parallel job" not in str(error):
            raise
    # Of a job of several nodes, condor_ssh_to_job wants the node too.
    return _open_shell(f"{handle}.0", folder, timeout_seconds)


def _open_shell(handle: str, folder: str, timeout_seconds: float) -> "SSHShell":
    with ExitStack() as stack:
        process = _start(handle)
        stack.callback(_end, process)
        # Meanwhile: what it does takes longer than these imports do, paramiko's among them.
        from prominence_hpc.backends.ssh.connect import connect_over
        from prominence_hpc.backends.ssh.connection import Connection  # noqa: F401
        from prominence_hpc.backends.ssh.shell import SSHShell

        words = parse_words(_first_line(process, time.monotonic() + timeout_seconds))
        client = connect_over(
            _take_socket(words.socket_path, timeout_seconds),
            host=words.host,
            user=words.user,
            key_file=words.key_file,
            known_hosts_file=words.known_hosts_file,
            timeout_seconds=timeout_seconds,
        )
        return SSHShell(client, way="condor_ssh_to_job", folder=folder, closing=stack.pop_all())


def _start(handle: str) -> "subprocess.Popen[bytes]":
    # Its own messages would be in the way of the words on standard output; they go to stderr.
    program = arguments([sys.executable, "-IS", str(_WORDS)])
    try:
        return start_command(["condor_ssh_to_job", "-ssh", program, handle])
    except BackendError as error:
        raise RemoteError(str(error)) from error


def _first_line(process: "subprocess.Popen[bytes]", deadline: float) -> list[str]:
    assert process.stdout is not None
    data = b""
    while not data.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        block = os.read(process.stdout.fileno(), _BLOCK_BYTES) if ready else b""
        if not block:
            raise _refused(process, in_time=bool(ready))
        data += block
    try:
        words: list[str] = json.loads(data.splitlines()[-1])
    except ValueError as error:
        msg = f"condor_ssh_to_job said {first_line(data.decode('utf-8', 'replace'))!r}."
        raise RemoteError(msg) from error
    return words


def _refused(process: "subprocess.Popen[bytes]", *, in_time: bool) -> RemoteError:
    if not in_time:
        return RemoteError("condor_ssh_to_job did not answer in time.")
    assert process.stderr is not None
    said = process.stderr.read().decode("utf-8", "replace")
    words = " ".join(said.split()) or "it ended without a word"
    log(f"condor_ssh_to_job: {words}")
    if any(part in said for part in _NOT_YET):
        return NotReadyError(f"condor_ssh_to_job: {words}")
    return RemoteError(f"condor_ssh_to_job: {words}")


def _take_socket(path: Path, timeout_seconds: float) -> socket.socket:
    """The socket that is connected with the job's sshd; it is handed over once."""
    try:
        with socket.socket(socket.AF_UNIX) as giver:
            giver.settimeout(timeout_seconds)
            giver.connect(str(path))
            _, descriptors, _, _ = socket.recv_fds(giver, 16, 1)
    except OSError as error:
        msg = f"condor_ssh_to_job handed no connection over: {error.strerror or error}."
        raise RemoteError(msg) from error
    if not descriptors:
        msg = "condor_ssh_to_job handed no connection over."
        raise RemoteError(msg)
    return socket.socket(fileno=descriptors[0])


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Its standard input ends: it removes the session's files, and ends."""
    import subprocess

    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    try:
        process.wait(_CLOSE_SECONDS)
    except subprocess.TimeoutExpired:
        log("condor_ssh_to_job does not end: SIGTERM")
        process.terminate()
        process.wait()
    if process.stderr is not None:
        process.stderr.close()
