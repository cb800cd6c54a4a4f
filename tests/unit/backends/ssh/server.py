"""An SSH server for the tests: paramiko's own, which runs real programs."""

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from paramiko import Channel, Message, PKey, ServerInterface, SSHException, Transport
from paramiko.common import (
    AUTH_FAILED,
    AUTH_PARTIALLY_SUCCESSFUL,
    AUTH_SUCCESSFUL,
    MSG_USERAUTH_BANNER,
    OPEN_SUCCEEDED,
    cMSG_CHANNEL_REQUEST,
)

__all__ = ["Agent", "Server"]

_BLOCK_BYTES = 1 << 16
_ANSWER_SECONDS = 0.02  # that the program runs is said by another thread, which is to come first


class Server:
    """Listens on loopback; lets in ``user`` by any of ``accepted`` (public keys)."""

    def __init__(
        self,
        host_keys: Sequence[PKey],
        *,
        accepted: Sequence[bytes] = (),
        user: str = "alice",
        denial: str = "",
        wants_more: bool = False,
        methods: str = "publickey",
    ) -> None:
        self.host_keys = host_keys
        self.accepted = accepted
        self.user = user
        self.denial = denial
        self.wants_more = wants_more
        self.methods = methods
        self.shown: list[bytes] = []  # public keys that clients have tried
        self.forwarded: list[tuple[str, int]] = []
        self.transports: list[Transport] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.serve(sock)

    def serve(self, sock: socket.socket) -> None:
        """Speak SSH on a socket that is connected."""
        transport = Transport(sock)
        for key in self.host_keys:
            transport.add_server_key(key)
        self.transports.append(transport)
        with contextlib.suppress(SSHException, EOFError):
            transport.start_server(event=threading.Event(), server=_Session(self, transport))

    def cut(self) -> None:
        """End every connection as the death of a node does: without a word."""
        for transport in self.transports:
            with contextlib.suppress(OSError):
                transport.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        # After close() alone the thread could go on to accept connections of the next socket with this number
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(5)
        self._listener.close()
        self.cut()
        for process in self.processes:
            process.kill()
            process.wait()
        for transport in self.transports:
            transport.close()
            transport.packetizer.complete_handshake()
            transport.join(5)


class _Session(ServerInterface):
    """What one client may do."""

    def __init__(self, server: Server, transport: Transport) -> None:
        self.server = server
        self.transport = transport

    def get_allowed_auths(self, _username: str) -> str:
        return self.server.methods

    def check_auth_publickey(self, username: str, key: PKey) -> int:
        blob = key.public_blob.key_blob if key.public_blob else key.asbytes()
        self.server.shown.append(blob)
        if username != self.server.user or blob not in self.server.accepted:
            return AUTH_FAILED
        if self.server.denial:  # as sshd does where PAM's account modules refuse
            message = Message()
            message.add_byte(bytes([MSG_USERAUTH_BANNER]))
            message.add_string(self.server.denial)
            message.add_string("")
            self.transport._send_message(message)  # type: ignore[attr-defined]
            self.transport.close()
        return AUTH_PARTIALLY_SUCCESSFUL if self.server.wants_more else AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, _chanid: int) -> int:
        return OPEN_SUCCEEDED if kind == "session" else 1

    def check_channel_direct_tcpip_request(
        self, _chanid: int, _origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        self.server.forwarded.append(destination)
        try:
            sock = socket.create_connection(destination, timeout=5)
        except OSError:
            return 2  # connect failed
        sock.settimeout(None)
        threading.Thread(target=self._forward, args=(sock,), daemon=True).start()
        return OPEN_SUCCEEDED

    def _forward(self, sock: socket.socket) -> None:
        channel = self.transport.accept(5)
        assert channel is not None
        back = threading.Thread(target=_copy_out, args=(sock, channel), daemon=True)
        back.start()
        with contextlib.suppress(OSError, SSHException, EOFError), sock:
            while block := channel.recv(_BLOCK_BYTES):
                sock.sendall(block)
            sock.shutdown(socket.SHUT_RDWR)
        back.join(5)

    def check_channel_exec_request(self, channel: Channel, command: bytes) -> bool:
        if command == b"refuse":
            return False
        special = {b"no-status": _close_without_status, b"status-first": self._cut_after_status}
        target = special.get(command, self._run)
        threading.Thread(target=target, args=(channel, command), daemon=True).start()
        return True

    def _cut_after_status(self, channel: Channel, _: bytes) -> None:
        """As where a program has ended, and the node dies before all of its output is sent."""
        channel.send_exit_status(0)
        channel.sendall(b"half")
        time.sleep(_ANSWER_SECONDS)
        self.server.cut()

    def _run(self, channel: Channel, command: bytes) -> None:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.server.processes.append(process)
        assert process.stdin
        assert process.stdout
        assert process.stderr
        threading.Thread(target=_copy_in, args=(channel, process.stdin), daemon=True).start()
        said = threading.Thread(
            target=_copy, args=(process.stderr, channel.sendall_stderr), daemon=True
        )
        said.start()
        _copy(process.stdout, channel.sendall)
        process.stdout.close()
        said.join()
        process.stderr.close()
        time.sleep(_ANSWER_SECONDS)
        _send_end(channel, process.wait())
        with contextlib.suppress(OSError, SSHException, EOFError):
            channel.shutdown_write()
            channel.close()


def _send_end(channel: Channel, code: int) -> None:
    with contextlib.suppress(OSError, SSHException, EOFError):
        if code >= 0:
            channel.send_exit_status(code)
            return
        message = Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string("exit-signal")
        message.add_boolean(False)
        message.add_string({-9: "KILL", -15: "TERM"}[code])
        message.add_boolean(False)
        message.add_string("")
        message.add_string("")
        assert channel.transport is not None
        channel.transport._send_user_message(message)  # type: ignore[attr-defined]


def _close_without_status(channel: Channel, _: bytes) -> None:
    time.sleep(_ANSWER_SECONDS)
    channel.sendall(b"half")
    channel.shutdown_write()
    channel.close()


def _copy(source: IO[bytes], send: Callable[[bytes], None]) -> None:
    with contextlib.suppress(OSError, SSHException, EOFError):
        while block := os.read(source.fileno(), _BLOCK_BYTES):
            send(block)


def _copy_in(channel: Channel, sink: IO[bytes]) -> None:
    with contextlib.suppress(OSError, SSHException, EOFError):
        while block := channel.recv(_BLOCK_BYTES):
            sink.write(block)
            sink.flush()
    with contextlib.suppress(OSError):
        sink.close()


def _copy_out(sock: socket.socket, channel: Channel) -> None:
    with contextlib.suppress(OSError, SSHException, EOFError):
        while block := sock.recv(_BLOCK_BYTES):
            channel.sendall(block)
        channel.close()


class Agent:
    """An ssh-agent (draft-ietf-sshm-ssh-agent) that holds some keys; ``signed`` are those it has signed with."""

    def __init__(self, path: Path, keys: Sequence[PKey]) -> None:
        self.keys = {key.asbytes(): key for key in keys}
        self.signed: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as file:
            while len(head := file.read(4)) == 4:
                answer = self._answer(Message(file.read(int.from_bytes(head, "big"))))
                data = answer.asbytes()
                sock.sendall(len(data).to_bytes(4, "big") + data)

    def _answer(self, request: Message) -> Message:
        answer = Message()
        if request.get_byte() == b"\x0b":  # which keys are there?
            answer.add_byte(b"\x0c")
            answer.add_int(len(self.keys))
            for blob in self.keys:
                answer.add_string(blob)
                answer.add_string("work key")
            return answer
        blob, data = request.get_string(), request.get_string()
        self.signed.append(blob)
        answer.add_byte(b"\x0e")
        answer.add_string(self.keys[blob].sign_ssh_data(data).asbytes())
        return answer

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # as in Server
        self._acceptor.join(5)
        self._listener.close()
