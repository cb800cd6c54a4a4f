"""Who has joined the leader of a job: connections taken in, proven, and heard until all are ready."""

import json
import os
import select
import socket
import time

from . import link
from .allocation import addresses
from .errors import NODE_LOST, JobFailed
from .text import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Tuple

PROOF_SECONDS = 10.0  # for one who connects to prove the secret
STRANGERS = 64  # at once who have not
SECRET_BYTES = 32


class Member:
    """Another node of the job; shown by its host's name and its number."""

    def __init__(self, number: int, connected: link.Link) -> None:
        self.number = number
        self.link = connected
        self.host = ""
        self.ready = self.busy = self.gone = self.dismissed = False

    def __str__(self) -> str:
        return "Node %d (%s)" % (self.number, shown(self.host) if self.host else "?")

    def parsed(self, payload: bytes) -> "dict[str, Any]":
        document: "dict[str, Any]" = json.loads(payload.decode("ascii"))
        return document

    def leave(self, seconds: float) -> "Optional[JobFailed]":
        """Wait until it has hung up, so long at most; returns what went wrong there, as far as it says."""
        problem = None
        end = time.monotonic() + seconds
        try:
            while not self.gone and time.monotonic() < end:
                self.link.connection.settimeout(max(end - time.monotonic(), 0.01))
                for kind, payload in self.link.take():
                    if kind == link.FAILED:
                        problem = self.problem(payload)
        except (OSError, EOFError, link.Refused):
            pass
        self.gone = True
        return problem

    def problem(self, payload: bytes) -> JobFailed:
        said = self.parsed(payload)
        return JobFailed(said["reason"], "%s: %s" % (self, said["detail"]))


class Stranger:
    """One who has connected and has not proven anything yet."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.greeting = link.greeting()
        self.answer = b""
        self.end = time.monotonic() + PROOF_SECONDS
        link.keep_alive(connection)
        connection.sendall(self.greeting)


class Roll:
    """``members`` by number. The secret is made here and leaves by :meth:`address` alone."""

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes
        self.members: "dict[int, Member]" = {}
        self._secret = os.urandom(SECRET_BYTES)
        self._socket = _listening()
        self._strangers: "list[Stranger]" = []
        self._failed: "Optional[JobFailed]" = None

    def address(self) -> "Tuple[list[str], int, bytes]":
        return addresses(), self._socket.getsockname()[1], self._secret

    def missing(self) -> "list[int]":
        return [number for number in range(1, self.nodes) if number not in self.members]

    def ready(self) -> bool:
        return not self.missing() and all(member.ready for member in self.members.values())

    def failed(self) -> "Optional[JobFailed]":
        return self._failed

    def listen(self, seconds: float) -> "list[Member]":
        """Take in what comes within this time; returns those who have just said their names."""
        joined: "list[Member]" = []
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        heard = {one.connection.fileno(): one for one in self._strangers}
        known = {one.link.fileno(): one for one in self.members.values() if not one.gone}
        for descriptor in [*heard, *known]:
            poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll(seconds * 1000):
            if descriptor == self._socket.fileno():
                self._take_in()
            elif descriptor in heard:
                self._prove(heard[descriptor])
            else:
                self._hear(known[descriptor], joined)
        for stranger in self._strangers[:]:
            if time.monotonic() > stranger.end:
                self._turn_away(stranger)
        return joined

    def _take_in(self) -> None:
        try:
            connection = self._socket.accept()[0]
        except OSError:
            return
        if len(self._strangers) >= STRANGERS:
            self._turn_away(self._strangers[0])
        try:
            self._strangers.append(Stranger(connection))
        except OSError:
            connection.close()

    def _prove(self, stranger: Stranger) -> None:
        try:
            data = stranger.connection.recv(link.ANSWER - len(stranger.answer))
            stranger.answer += data
            if data and len(stranger.answer) < link.ANSWER:
                return
            if not data:
                self._turn_away(stranger)
                return
            connected, number = link.accept(
                stranger.connection, stranger.greeting, stranger.answer, self._secret
            )
        except (OSError, link.Refused):
            self._turn_away(stranger)
            return
        self._strangers.remove(stranger)
        if number in self.members or not 1 <= number < self.nodes:
            connected.close()  # started twice: the first is meant
            return
        self.members[number] = Member(number, connected)

    def _hear(self, member: Member, joined: "list[Member]") -> None:
        try:
            for kind, payload in member.link.take():
                if kind == link.HELLO:
                    member.host = str(member.parsed(payload)["host"])
                    joined.append(member)
                elif kind == link.READY:
                    member.ready = True
                elif kind == link.FAILED:
                    self._failed = self._failed or member.problem(payload)
        except (OSError, EOFError, link.Refused) as error:
            member.gone = True
            said_last = str(error) or "it has hung up"
            detail = "%s: the connection to it was lost (%s)." % (member, said_last)
            self._failed = self._failed or JobFailed(NODE_LOST, detail)

    def _turn_away(self, stranger: Stranger) -> None:
        self._strangers.remove(stranger)
        stranger.connection.close()

    def close(self) -> None:
        """Nobody joins any more."""
        for stranger in self._strangers[:]:
            self._turn_away(stranger)
        self._socket.close()


def _listening() -> socket.socket:
    """On a free port of every address, of both families where the node has them."""
    try:
        found = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        found.bind(("::", 0))
    except OSError:
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        found.bind(("", 0))
    found.listen(1024)
    found.settimeout(1.0)
    return found
