"""What the nodes of one job say to each other: frames over TCP that only holders of a secret can make.

Every frame carries an HMAC-SHA256 over its direction's key, its number and its content, so that
nothing can be forged, altered, repeated or left out. Nothing in them is secret. The key of a direction
is made from the job's secret and from what both sides have drawn for this one connection.
"""

import hmac
import json
import os
import socket
import struct

from .frames import LONGEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Tuple

    Frame = Tuple[bytes, bytes]

MAGIC = b"prominence nodes 1\n"
NONCE = MAC = 32
NUMBER = struct.Struct(">L")
HEADER = struct.Struct(">cL")
SEQUENCE = struct.Struct(">Q")
GREETING = len(MAGIC) + NONCE  # bytes, of the leader
ANSWER = NONCE + NUMBER.size + MAC  # bytes, of a follower
SEND_SECONDS = 20.0

# From the leader
TASK = b"T"  # JSON: its number; what follows belongs to it
RUN = b"R"  # JSON: id, and a shell line, or null for the task's own command
SIGNAL = b"S"  # JSON: id, number
TASK_END = b"E"  # end all that runs
FINISH = b"F"  # the job is over

# From a follower
HELLO = b"H"  # JSON: host
READY = b"I"  # its images are there
FAILED = b"X"  # JSON: reason, detail
OUTPUT, ERROR = b"O", b"P"  # four bytes: id; and what it has written
CODE = b"C"  # JSON: id, exit code
TASK_ENDED = b"D"  # JSON: what the task has used here; nothing of it is left


class Refused(Exception):
    """Who is at the other end does not hold the job's secret, or what came is not what was sent."""


def mac(key: bytes, *parts: bytes) -> bytes:
    return hmac.new(key, b"".join(parts), "sha256").digest()


class Keys:
    """What both sides prove to each other, and the key of each direction."""

    def __init__(self, secret: bytes, greeting: bytes, nonce: bytes, number: int) -> None:
        common = greeting + nonce + NUMBER.pack(number)
        self.followers_proof = mac(secret, b"follower's proof", common)
        self.leaders_proof = mac(secret, b"leader's proof", common)
        self.to_leader = mac(secret, b"to leader", common)
        self.to_follower = mac(secret, b"to follower", common)


class Link:
    """One connection whose ends have proven themselves; sends whole frames, takes in what comes."""

    def __init__(self, connection: socket.socket, sending: bytes, receiving: bytes) -> None:
        self.connection = connection
        self._sending, self._sent = sending, 0
        self._receiving, self._received = receiving, 0
        self._data = bytearray()

    def fileno(self) -> int:
        return self.connection.fileno()

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Raises OSError where the other end is gone, or has taken nothing for long."""
        head = HEADER.pack(kind, len(payload))
        proof = mac(self._sending, SEQUENCE.pack(self._sent), head, payload)
        self._sent += 1
        self.connection.sendall(head + payload + proof)

    def send_json(self, kind: bytes, document: "Any") -> None:
        self.send(kind, json.dumps(document).encode("ascii"))

    def take(self) -> "Iterator[Frame]":
        """The frames that are whole with what has come; waits where nothing has.

        Raises EOFError or OSError where the other end is gone, Refused for a frame that it did not send.
        """
        data = self.connection.recv(1 << 16)
        if not data:
            raise EOFError
        self._data += data
        while len(self._data) >= HEADER.size:
            head = bytes(self._data[: HEADER.size])
            kind, length = HEADER.unpack(head)
            if length > LONGEST:
                msg = "a frame of %d bytes" % length
                raise Refused(msg)
            end = HEADER.size + length
            if len(self._data) < end + MAC:
                return
            payload, proof = bytes(self._data[HEADER.size : end]), self._data[end : end + MAC]
            expected = mac(self._receiving, SEQUENCE.pack(self._received), head, payload)
            if not hmac.compare_digest(bytes(proof), expected):
                msg = "a frame that is not what was sent"
                raise Refused(msg)
            self._received += 1
            del self._data[: end + MAC]
            yield kind, payload

    def close(self) -> None:
        self.connection.close()


def keep_alive(connection: socket.socket) -> None:
    """Have the kernel find out within a minute that the other host is dead or out of reach.

    So neither side need be awake for the other: a job may be suspended, or busy with its files.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 8)):
        connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    connection.setsockopt(socket.IPPROTO_TCP, 18, 60000)  # TCP_USER_TIMEOUT, ms; see tcp(7)
    connection.settimeout(SEND_SECONDS)


def greeting() -> bytes:
    """What a leader says first, to each connection another."""
    return MAGIC + os.urandom(NONCE)


def accept(
    connection: socket.socket, greeting: bytes, answer: bytes, secret: bytes
) -> "Tuple[Link, int]":
    """The leader's side, once all of an answer has come: the link, and the follower's number.

    Raises Refused where the answer does not prove the secret.
    """
    nonce, number = answer[:NONCE], NUMBER.unpack(answer[NONCE:-MAC])[0]
    keys = Keys(secret, greeting, nonce, number)
    if not hmac.compare_digest(answer[-MAC:], keys.followers_proof):
        msg = "whoever connected does not know the job's secret"
        raise Refused(msg)
    connection.sendall(keys.leaders_proof)
    return Link(connection, keys.to_follower, keys.to_leader), number


def connect(connection: socket.socket, number: int, secret: bytes) -> Link:
    """The follower's side of it. Raises Refused where the other end is not the job's leader."""
    said = _exactly(connection, GREETING)
    if not said.startswith(MAGIC):
        msg = "whoever listens there is no leader of a job"
        raise Refused(msg)
    nonce = os.urandom(NONCE)
    keys = Keys(secret, said, nonce, number)
    connection.sendall(nonce + NUMBER.pack(number) + keys.followers_proof)
    if not hmac.compare_digest(_exactly(connection, MAC), keys.leaders_proof):
        msg = "whoever listens there does not know the job's secret"
        raise Refused(msg)
    return Link(connection, keys.to_leader, keys.to_follower)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            msg = "whoever listens there has hung up"
            raise Refused(msg)
        data += more
    return data
