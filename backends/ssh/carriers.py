"""What bytes to a host travel on: a TCP connection, or a ProxyCommand's standard streams."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO

from prominence_hpc.backends.run_command import find_program, first_line, log
from prominence_hpc.errors import RemoteError

__all__ = ["ProxyProcess", "connect_tcp", "tune"]

# A node that is dead, or a path that drops our packets, is noticed after this long without an acknowledgement.
_TCP_USER_TIMEOUT_MILLISECONDS = 60_000

_PROXY_END_SECONDS = 0.3
_SAID_BYTES = 4096


def connect_tcp(host: str, port: int, *, timeout_seconds: float) -> socket.socket:
    """A connection to the first of the host's addresses that answers, within ``timeout_seconds`` for all of them.

    The look-up of the name is not part of that: the resolver has a limit of its own (resolv.conf(5)).
    Raises RemoteError, which says whether the name, the way or the daemon is missing.
    """
    deadline = time.monotonic() + timeout_seconds
    failure: OSError | None = None
    for family, kind, protocol, address in _addresses(host, port):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(max(deadline - time.monotonic(), 0.01))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        else:
            tune(sock)
            return sock
    raise _unreachable(host, port, failure, timeout_seconds) from failure


def tune(sock: socket.socket) -> None:
    """Send small writes at once, and notice a peer that is gone. Sockets that are not TCP stay as they are."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _TCP_USER_TIMEOUT_MILLISECONDS)


def _addresses(
    host: str, port: int
) -> list[tuple[int, int, int, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:  # the latter: labels that IDNA does not allow
        msg = (
            f"The host name {host} is not known here ({error}); check it, or name its address as HostName in "
            "~/.ssh/config."
        )
        raise RemoteError(msg) from error
    return [(family, kind, protocol, address) for family, kind, protocol, _, address in found]


def _unreachable(
    host: str, port: int, failure: OSError | None, timeout_seconds: float
) -> RemoteError:
    if isinstance(failure, ConnectionRefusedError):
        msg = (
            f"{host} refuses connections to port {port}: no sshd listens there; ask your administrator, or set "
            "Port in ~/.ssh/config."
        )
    elif isinstance(failure, TimeoutError):
        msg = (
            f"{host} has not answered on port {port} within {timeout_seconds:g} seconds; it may be down, or a "
            "firewall in between: check whether it has to be reached by a jump host (ProxyJump)."
        )
    else:
        reason = failure.strerror if failure is not None else "it has no address"
        msg = (
            f"{host} cannot be reached on port {port}: {reason}; check whether it has to be reached by a jump "
            "host (ProxyJump in ~/.ssh/config)."
        )
    return RemoteError(msg)


class ProxyProcess:
    """A running ProxyCommand, whose standard input and output are one socket: ours is :attr:`sock`.

    It has no terminal to ask questions on. What it says on standard error is kept for our own messages.
    paramiko's ProxyCommand is not used: it never finds the program's end, nor reads its standard error.
    """

    def __init__(self, argv: Sequence[str], host: str) -> None:
        program = find_program(argv[0])
        if program is None:
            msg = f"The ProxyCommand of {host}, {argv[0]}, is not installed here, or not on PATH."
            raise RemoteError(msg)
        log(f"run {list(argv)!r} as proxy to {host}")
        self._said: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self.sock, theirs = socket.socketpair()
        try:
            # Not run_command: this one lives as long as the connection.
            self._process = subprocess.Popen(
                [program, *argv[1:]],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._said,
                env={**os.environ, "SSH_ASKPASS_REQUIRE": "never"},
                start_new_session=True,
            )
        except OSError as error:
            self.sock.close()
            self._said.close()
            msg = f"The ProxyCommand of {host}, {argv[0]}, cannot be run: {error.strerror}."
            raise RemoteError(msg) from error
        finally:
            theirs.close()

    def said(self) -> str:
        """The first line that the program has written to its standard error."""
        # Not seek() and read(): the program shares the file's position, and would write over its beginning.
        said = os.pread(self._said.fileno(), _SAID_BYTES, 0)
        return first_line(said.decode("utf-8", "replace"))

    def close(self) -> None:
        """Let it find the end of its input, and end it where it does not take the hint."""
        self.sock.close()
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                if number is not None:
                    os.killpg(self._process.pid, number)
            try:
                self._process.wait(_PROXY_END_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            break
        self._said.close()
