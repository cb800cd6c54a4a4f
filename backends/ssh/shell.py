"""Programs on a host by SSH: what a backend gives as its way to where a job runs."""

import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from prominence_hpc.backends.ssh.connect import connect
from prominence_hpc.backends.ssh.policy import SSHPolicy

if TYPE_CHECKING:
    from prominence_hpc.backends.ssh.channel import SSHChannel
    from prominence_hpc.backends.ssh.connection import Connection

__all__ = ["SSHPolicy", "SSHShell", "open_ssh_shell"]


def open_ssh_shell(host: str, folder: str, policy: SSHPolicy) -> "SSHShell":
    """Connect to ``host``, where the plan is in ``folder``. Raises RemoteError."""
    return SSHShell(connect(host, policy), way=f"ssh to {host}", folder=folder)


class SSHShell:
    """A way to run programs on the host of a connection; satisfies JobShell of backends/base.py.

    ``closing`` holds what else is to be ended after the connection: another program's socket, a key's file.
    """

    def __init__(
        self, client: "Connection", *, way: str, folder: str, closing: ExitStack | None = None
    ) -> None:
        self.way = way
        self.folder = folder
        self._client = client
        self._closing = closing if closing is not None else ExitStack()

    def open(self, argv: Sequence[str]) -> "SSHChannel":
        """Start a program, without a terminal. The user's login shell there is given the words quoted for sh."""
        from prominence_hpc.backends.ssh.channel import SSHChannel

        channel = SSHChannel(self._client.open_channel(), self._client.host)
        channel.start(shlex.join(argv), timeout_seconds=self._client.transport.timeout_seconds)
        return channel

    def close(self) -> None:
        """End what still runs, the connection, its jump hosts and proxies, then what was to be closed with them."""
        with self._closing:
            self._client.close()
