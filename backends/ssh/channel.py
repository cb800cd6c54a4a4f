"""One program on the other side of a connection, as the channel that backends are asked for."""

import threading
from collections import deque

from paramiko import Channel, SSHException

from prominence_hpc.backends.ssh.transport import WINDOW_BYTES, VerifiedTransport, describe
from prominence_hpc.errors import RemoteError

__all__ = ["SSHChannel"]

# paramiko sends one packet a call, of at most this much to OpenSSH's sshd, and copies what it is given
_SENT_AT_ONCE_BYTES = (1 << 15) - 64
_MESSAGE_BYTES = 64 << 10
_EXIT_SECONDS = 2.0
_CLOSE_SECONDS = 0.5
_STUCK_SECONDS = 5.0
_NO_STATUS = -1


class SSHChannel:
    """A program that an SSHShell has started; satisfies Channel of backends/base.py.

    Output that ends without an exit code is that of a program of which the host does not say how it ended; a
    connection that is cut raises RemoteError instead. Standard error is read all the time by a thread: both streams
    share one window, so that a program that complains a lot would otherwise stop writing anything.
    """

    def __init__(self, channel: Channel, host: str) -> None:
        self._channel = channel
        self._host = host
        self._rest = memoryview(b"")
        # paramiko has one time limit for reading, writing and both streams; this is how select() works there
        self._readable = threading.Event()
        channel.in_buffer.set_event(self._readable)
        self._messages: deque[bytes] = deque()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def start(self, command: str, *, timeout_seconds: float) -> None:
        """Have the user's login shell there run ``command``. Raises RemoteError."""
        # paramiko waits for ever for the answer, unless the channel is closed
        limit = threading.Timer(timeout_seconds, self._channel.close)
        limit.daemon = True
        limit.start()
        try:
            self._channel.exec_command(command)
        except (SSHException, OSError, EOFError) as error:
            msg = (
                f"{self._host} does not start a program: it has refused, or has not answered within "
                f"{timeout_seconds:g} seconds; check that 'ssh {self._host} true' works."
            )
            raise RemoteError(msg) from error
        finally:
            limit.cancel()

    def read(self, size: int, *, timeout_seconds: float | None = None) -> bytes:
        if not self._rest:
            if not self._readable.wait(timeout_seconds):
                msg = f"{self._host} has sent nothing for {timeout_seconds:g} seconds."
                raise TimeoutError(msg)
            received = self._receive()
            if len(received) <= size:
                return received
            self._rest = memoryview(received)
        block, self._rest = self._rest[:size], self._rest[size:]
        return bytes(block)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                sent = self._channel.send(bytes(view[:_SENT_AT_ONCE_BYTES]))
            except (SSHException, OSError, EOFError) as error:
                raise self._cannot_write() from error
            if sent == 0:  # closed meanwhile
                raise self._cannot_write()
            view = view[sent:]

    def close_input(self) -> None:
        try:
            self._channel.shutdown_write()
        except (SSHException, OSError, EOFError) as error:
            raise self._cut() from error

    def messages(self) -> str:
        if self._channel.eof_received or self._channel.closed:
            self._listener.join(_EXIT_SECONDS)
        return b"".join(self._messages.copy())[-_MESSAGE_BYTES:].decode("utf-8", "replace")

    def exit_code(self) -> int | None:
        if self._channel.eof_received:  # the status is on its way
            self._channel.status_event.wait(_EXIT_SECONDS)
        status = self._channel.exit_status
        return None if status == _NO_STATUS else status

    def close(self) -> None:
        # A write that is stuck holds what is needed to close: then the connection goes as a whole.
        guard = threading.Timer(_STUCK_SECONDS, self._abandon)
        guard.daemon = True
        guard.start()
        try:
            self._close()
        finally:
            guard.cancel()

    def _abandon(self) -> None:
        transport = self._channel.transport
        if isinstance(transport, VerifiedTransport):
            transport.abandon()

    def _close(self) -> None:
        try:
            if not self._channel.closed and not self._channel.status_event.is_set():
                self._channel.shutdown_write()
                # A program that reads ends now; one that writes, when its output is closed too
                self._channel.status_event.wait(_CLOSE_SECONDS)
            self._channel.close()
        except (SSHException, OSError, EOFError):
            pass  # the connection has ended, and the program's streams with it
        self._listener.join(_EXIT_SECONDS)

    def _receive(self) -> bytes:
        """All that has come: to leave something costs paramiko a move of the rest."""
        try:
            received = self._channel.recv(WINDOW_BYTES)
        except (SSHException, OSError, EOFError) as error:
            raise self._cut() from error
        # An exit code is no proof of it: that may overtake the output
        if not received and not self._channel.eof_received:
            raise self._cut()
        return received

    def _listen(self) -> None:
        held = 0
        try:
            while said := self._channel.recv_stderr(_MESSAGE_BYTES):
                self._messages.append(said)
                held += len(said)
                while held - len(self._messages[0]) >= _MESSAGE_BYTES:
                    held -= len(self._messages.popleft())
        except (SSHException, OSError, EOFError):
            return  # read() tells of it

    def _cannot_write(self) -> RemoteError:
        if self._channel.eof_received or self._channel.exit_status != _NO_STATUS:
            code = self.exit_code()
            end = "has ended" if code is None else f"has ended with exit code {code}"
            return RemoteError(
                f"The program on {self._host} {end}, and reads no more; see what it has said."
            )
        return self._cut()

    def _cut(self) -> RemoteError:
        transport = self._channel.transport
        error = transport.saved_exception if transport is not None else None
        reason = describe(error) if error is not None and str(error) else "it was closed"
        return RemoteError(f"The connection to {self._host} was cut: {reason}; try again.")
