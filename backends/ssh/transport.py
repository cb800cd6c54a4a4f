"""paramiko's transport under our policy: hosts prove who they are before a user does, and silence ends it.

paramiko 5 speaks every kind of host certificate that we need (Ed25519, ECDSA, RSA with SHA-2), although it does not
check one: that is done here, in the key exchange itself, and so again whenever keys are exchanged anew. Its
SSHClient, with its MissingHostKeyPolicy, is not used: it gives the policy plain keys alone, prefers
key types by the first line of a file, and knows neither markers nor authorities.
"""

import logging
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from paramiko import Channel, Message, SSHException, Transport
from paramiko.common import (
    MSG_CHANNEL_REQUEST,
    MSG_USERAUTH_BANNER,
    cMSG_GLOBAL_REQUEST,
)
from paramiko.packet import Packetizer

from prominence_hpc.errors import RemoteError

__all__ = ["WINDOW_BYTES", "Carrier", "VerifiedTransport", "describe"]

# What a host may send before we have read any of it: on a path of 10 Gbit/s and 5 ms, 6 MB are under way.
WINDOW_BYTES = 8 << 20

_KEEPALIVE_SECONDS = 15
_DEAD_AFTER_SECONDS = 60.0
_END_SECONDS = 2.0

# Without a handler, paramiko's errors and tracebacks would go to the user's terminal. Ours say the same in a sentence.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Carrier(Protocol):
    """What paramiko asks of a socket."""

    def recv(self, size: int, /) -> bytes: ...
    def send(self, data: bytes, /) -> int: ...
    def settimeout(self, seconds: float | None, /) -> None: ...
    def close(self) -> None: ...


class _Packets(Packetizer):
    """Remembers when the host was last heard."""

    heard = 0.0

    def read_message(self) -> tuple[int, Message]:
        found = super().read_message()
        self.heard = time.monotonic()
        return found


def _handle_channel_request(channel: Channel, message: Message) -> None:
    """A program that a signal has ended has 128 + its number as exit code, as in a shell.

    paramiko knows ``exit-status`` alone: such a program would look like a connection that was cut.
    """
    if message.get_text() != "exit-signal":
        message.rewind()
        message.get_int()  # the channel, which is known
        Channel._handle_request(channel, message)  # type: ignore[attr-defined]
        return
    message.get_boolean()
    name = f"SIG{message.get_text()}"
    known = name in signal.Signals.__members__
    # 255 is what ssh makes of a signal without a number (``…@openssh.com``)
    channel.exit_status = 128 + signal.Signals[name] if known else 255
    channel.status_event.set()


class VerifiedTransport(Transport):
    """A client's connection to a host whose key ``accept`` has accepted.

    ``accept`` is called in the key exchange with the key or certificate that the host has shown, and has signed
    with; what it raises is raised by :meth:`shake_hands`. ``algorithms`` are the host key algorithms to ask for.
    """

    # What OpenSSH's client offers too, without CBC, SHA-1 and MD5. AES-GCM first: half the work of CTR and HMAC.
    _preferred_ciphers = (
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
    )
    _preferred_macs = (
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-512",
    )
    _channel_handler_table = {  # noqa: RUF012 - paramiko's own name for it
        **Transport._channel_handler_table,  # type: ignore[attr-defined]
        MSG_CHANNEL_REQUEST: _handle_channel_request,
    }

    packetizer: _Packets

    def __init__(
        self,
        carrier: Carrier,
        *,
        algorithms: Sequence[str],
        accept: Callable[[bytes], None],
        timeout_seconds: float,
    ) -> None:
        super().__init__(
            carrier,  # type: ignore[arg-type]
            default_window_size=WINDOW_BYTES,
            packetizer_class=_Packets,
        )
        self._algorithms = tuple(algorithms)
        self._accept = accept
        # What the host has said last while keys were tried: one printable line. After its Banner file, that is
        # where PAM modules such as pam_slurm_adopt say why nobody is let in.
        self.banner = ""
        self.farewell = ""  # why it has left, in its own words
        self.timeout_seconds = timeout_seconds
        self.banner_timeout = timeout_seconds
        # Its end looks like a connection that was closed: start_client's own limit is to come first
        self.handshake_timeout = 2 * timeout_seconds
        self.auth_timeout = timeout_seconds
        self.channel_timeout = timeout_seconds
        self._handler_table[MSG_USERAUTH_BANNER] = self._keep_banner  # type: ignore[attr-defined]

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """In our order; paramiko would put certificates after every plain key."""
        return self._algorithms

    def _verify_key(self, host_key: bytes, signature: bytes) -> None:
        super()._verify_key(host_key, signature)  # type: ignore[misc]
        self._accept(host_key)

    def shake_hands(self) -> None:
        """Exchange keys. Raises what ``accept`` has raised, TimeoutError, EOFError, OSError or SSHException."""
        try:
            self.start_client(timeout=self.timeout_seconds)
        except SSHException as error:
            # The banner's reader makes one sentence of everything, and keeps the reason as context
            if isinstance(error.__context__, TimeoutError | EOFError | OSError):
                raise error.__context__ from None
            raise
        if not self.initial_kex_done:  # start_client is silent about its time limit
            raise TimeoutError

    def end(self) -> None:
        """Close the connection, and leave no thread of it behind."""
        if isinstance(self.sock, socket.socket):
            # Wakes the thread, which else looks every 0.1 s
            with suppress(OSError):  # it may be closed already
                self.sock.shutdown(socket.SHUT_RDWR)
        self.close()
        # Where the host has said nothing after its first line, a timer would hold the process up
        self.packetizer.complete_handshake()
        if self.is_alive():
            self.join(_END_SECONDS)

    def abandon(self) -> None:
        """Cut what carries the connection, whoever is writing to it at the moment."""
        if isinstance(self.sock, _Tunnel):
            self.sock.abandon()
        elif isinstance(self.sock, socket.socket):
            with suppress(OSError):  # it may be closed already
                self.sock.shutdown(socket.SHUT_RDWR)

    def stay_alive(self) -> None:
        """Ask whether the host is there whenever nothing is sent, and end the connection where it keeps silent.

        Behind a jump host TCP does not tell.
        """
        self.packetizer.heard = time.monotonic()
        self.packetizer.set_keepalive(_KEEPALIVE_SECONDS, self._probe)

    def _probe(self) -> None:
        """Called by the thread that reads; what is raised here ends the connection."""
        silence = time.monotonic() - self.packetizer.heard
        if silence > _DEAD_AFTER_SECONDS:
            msg = f"the host has been silent for {silence:.0f} seconds"
            raise SSHException(msg)
        if not self.clear_to_send.is_set():
            return  # keys are being exchanged, by this very thread
        message = Message()
        message.add_byte(cMSG_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")
        message.add_boolean(True)  # an answer, were it a refusal, is a sign of life
        # A write that is stuck has it: this thread must not wait for that, or nobody counts the silence.
        lock = self.packetizer._Packetizer__write_lock  # type: ignore[attr-defined]
        if lock.acquire(blocking=False):
            try:
                self.packetizer.send_message(message)
            finally:
                lock.release()

    def _keep_banner(self, message: Message) -> None:
        self.banner = _printable(message.get_string().decode("utf-8", "replace"))

    def _parse_disconnect(self, message: Message) -> None:
        message.get_int()
        self.farewell = _printable(message.get_string().decode("utf-8", "replace"))

    def open_tunnel(self, host: str, port: int) -> Carrier:
        """A connection from the host that this one is to, to another."""
        channel = self.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0))
        return _Tunnel(channel)


class _Tunnel:
    """A channel as a carrier of another connection.

    paramiko's transport reads some bytes at a time, for each of which a channel moves all of its buffer.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._rest = memoryview(b"")

    def recv(self, size: int, /) -> bytes:
        if not self._rest:
            self._rest = memoryview(self._channel.recv(WINDOW_BYTES))
        block, self._rest = self._rest[:size], self._rest[size:]
        return bytes(block)

    def send(self, data: bytes, /) -> int:
        return self._channel.send(data)

    def abandon(self) -> None:
        """Cut the connection that this one goes through."""
        transport = self._channel.transport
        if isinstance(transport, VerifiedTransport):
            transport.abandon()

    def settimeout(self, seconds: float | None, /) -> None:
        self._channel.settimeout(seconds)

    def close(self) -> None:
        self._channel.close()

    @property
    def _closed(self) -> bool:
        """Asked for by paramiko, as it is of sockets."""
        return self._channel.closed


def _printable(text: str) -> str:
    """One line without what a terminal would obey."""
    words = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "?" for letter in words)[:400]


def describe(error: BaseException) -> str:
    """An exception of paramiko's or the system's as the end of a sentence."""
    if isinstance(error, RemoteError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return _printable(str(error)) or type(error).__name__
