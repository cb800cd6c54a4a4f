"""What nodes of a job say to each other: only who knows the secret is believed, and only what was sent."""

import socket
import threading
from collections.abc import Iterator

import pytest

from prominence_hpc.wrappers.runtime import allocation, link, mpi, team
from prominence_hpc.wrappers.runtime.link import Link, Refused

SECRET = b"s" * 32


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    pair = socket.socketpair()
    for one in pair:
        one.settimeout(5)
    yield pair
    for one in pair:
        one.close()


def meet(
    leader: socket.socket, follower: socket.socket, secret: bytes = SECRET, number: int = 3
) -> tuple[Link, int, Link]:
    """Both sides of the greeting; the follower's is raised where it refuses."""
    found: list[Link | Exception] = []

    def follow() -> None:
        try:
            found.append(link.connect(follower, number, secret))
        except Refused as error:
            found.append(error)

    thread = threading.Thread(target=follow)
    thread.start()
    greeting = link.greeting()
    leader.sendall(greeting)
    answer = leader.recv(link.ANSWER, socket.MSG_WAITALL)
    try:
        ours, said = link.accept(leader, greeting, answer, SECRET)
    finally:
        leader.shutdown(socket.SHUT_WR) if secret != SECRET else None
        thread.join(5)
    (theirs,) = found
    assert isinstance(theirs, Link)
    return ours, said, theirs


def test_frames_arrive_as_they_were_sent(sockets: tuple[socket.socket, socket.socket]) -> None:
    leader, number, follower = meet(*sockets)
    assert number == 3
    leader.send_json(link.TASK, {"task": 1})
    leader.send(link.OUTPUT, b"x" * 70000)
    frames: list[link.Frame] = []
    while len(frames) < 2:
        frames += list(follower.take())
    assert frames == [(b"T", b'{"task": 1}'), (b"O", b"x" * 70000)]
    follower.send(link.READY)
    assert list(leader.take()) == [(b"I", b"")]


def test_a_stranger_is_refused_by_the_leader(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    with pytest.raises(Refused, match="does not know the job's secret"):
        meet(*sockets, secret=b"t" * 32)


def test_a_stranger_is_no_leader(sockets: tuple[socket.socket, socket.socket]) -> None:
    sockets[0].sendall(link.greeting() + bytes(link.MAC))
    with pytest.raises(Refused, match="does not know the job's secret"):
        link.connect(sockets[1], 1, SECRET)
    sockets[0].sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n")
    with pytest.raises(Refused, match="is no leader of a job"):
        link.connect(sockets[1], 1, SECRET)


def recorded(sending: Link, kind: bytes, payload: bytes) -> bytes:
    """A frame as it goes over the wire, which it does not."""
    here, there = socket.socketpair()
    with here, there:
        kept, sending.connection = sending.connection, here
        sending.send(kind, payload)
        sending.connection = kept
        return there.recv(1 << 16)


@pytest.mark.parametrize("kind", ["altered", "repeated", "reflected", "left out"])
def test_what_was_not_sent_is_refused(
    sockets: tuple[socket.socket, socket.socket], kind: str
) -> None:
    leader, _, follower = meet(*sockets)
    first = recorded(leader, link.RUN, b"date")
    if kind == "altered":
        data = first.replace(b"date", b"fate")
    elif kind == "repeated":
        data = first + first
    elif kind == "reflected":
        data = recorded(follower, link.RUN, b"date")
    else:
        data = recorded(leader, link.RUN, b"time")
    sockets[0].sendall(data)
    with pytest.raises(Refused, match="not what was sent"):
        list(follower.take())


def test_the_end_of_a_connection_is_told(sockets: tuple[socket.socket, socket.socket]) -> None:
    leader, _, follower = meet(*sockets)
    leader.close()
    with pytest.raises(EOFError):
        list(follower.take())


def test_examples() -> None:
    import doctest

    for module in (allocation, mpi, team):
        found = doctest.testmod(module)
        assert (found.failed, found.attempted > 0) == (0, True), module
