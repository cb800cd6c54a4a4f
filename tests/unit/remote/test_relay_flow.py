"""A reader who is slow, or does not read at all: the node waits, and keeps little."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from prominence_hpc.adapter.remote.execute import Command, Controls, Streams, execute
from prominence_hpc.adapter.remote.visit import begin
from prominence_hpc.backends.base import Channel
from prominence_hpc.errors import RemoteError
from prominence_hpc.wrappers import frames
from tests.unit.remote.jobs import Place, is_gone, marker, shell_of, visit

MIB = 1 << 20


def asked(place: Place, script: str, timeout_seconds: float | None = None) -> Channel:
    """A command beside the container, begun; nobody reads what it writes."""
    channel = shell_of(place.folder).open(frames.enter_argv(str(place.folder)))
    channel.write(request(script, timeout_seconds))
    return channel


def request(script: str, timeout_seconds: float | None = None) -> bytes:
    document = {
        "verb": "exec",
        "command": ["sh", "-c", script],
        "host": True,
        "terminal": None,
        "timeout_seconds": timeout_seconds,
    }
    return frames.pack_json(frames.REQUEST, document)


class Answer:
    """All that the node has said, once somebody reads it."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        whole = b"".join(blocks).partition(frames.MAGIC)[2]
        self.frames = list(frames.FrameReader().feed(whole))

    def bytes_of(self, kind: bytes) -> bytes:
        return b"".join(payload for found, payload in self.frames if found == kind)

    def done(self) -> dict[str, object]:
        kind, payload = self.frames[-1]
        assert kind == frames.DONE
        return dict(json.loads(payload))


def blocks_of(channel: Channel) -> Iterator[bytes]:
    while block := channel.read(1 << 18, timeout_seconds=20):
        yield block


def memory_of(pid: int) -> int:
    """Bytes that a process has in memory."""
    words = Path(f"/proc/{pid}/statm").read_text().split()
    return int(words[1]) * os.sysconf("SC_PAGESIZE")


def seconds_of(pid: int) -> float:
    """That a process has computed."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(path: Path) -> str:
    end = time.monotonic() + 10
    while not path.exists() or not path.read_text().endswith("\n"):
        assert time.monotonic() < end
        time.sleep(0.01)
    return path.read_text()


def test_a_reader_who_does_not_read_costs_the_node_no_memory(place: Place, tmp_path: Path) -> None:
    words = marker()
    script = f"echo $PPID > {tmp_path}/pid; exec yes {words}"
    channel = asked(place, script)
    entrance = int(wait_for(tmp_path / "pid"))
    time.sleep(0.4)
    before = memory_of(entrance)
    time.sleep(0.4)  # "yes" would have written gigabytes
    assert memory_of(entrance) - before < MIB
    assert before < 64 * MIB
    channel.write(frames.pack(frames.SIGNAL, b"INT"))  # heard all the same
    assert is_gone(f"yes {words}")
    answer = Answer(blocks_of(channel))
    channel.close()
    assert answer.done() == {"exit_code": 128 + signal.SIGINT, "ended_by": ""}
    assert 0 < len(answer.bytes_of(frames.OUTPUT)) < 6 * MIB


def test_all_that_was_written_arrives_however_late_and_fast_it_is_read(place: Place) -> None:
    """sshd gives programs a socket, which takes much at once after nothing for long."""
    size = 2_400_000  # the command can write that much and end while nobody reads
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.settimeout(20)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MIB)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB)
    argv = frames.enter_argv(str(place.folder))
    with ours, subprocess.Popen(argv, stdin=theirs.fileno(), stdout=theirs.fileno()) as process:
        theirs.close()
        ours.sendall(request(f"head -c {size} /dev/zero >&2"))
        time.sleep(1.4)  # longer than a command's output is waited for once it has ended
        answer = Answer(iter(lambda: ours.recv(MIB), b""))
        process.wait(10)
    assert answer.done() == {"exit_code": 0, "ended_by": ""}
    assert len(answer.bytes_of(frames.ERROR)) == size


def test_waiting_for_a_reader_costs_no_time(place: Place, tmp_path: Path) -> None:
    """Its command has ended in time; that the time is over meanwhile is nobody's matter any more."""
    script = f"head -c 500000 /dev/zero; echo $PPID > {tmp_path}/pid"
    channel = asked(place, script, timeout_seconds=0.4)
    entrance = int(wait_for(tmp_path / "pid"))
    time.sleep(0.5)
    before = seconds_of(entrance)
    time.sleep(0.4)
    assert seconds_of(entrance) - before < 0.1
    answer = Answer(blocks_of(channel))
    channel.close()
    assert answer.done() == {"exit_code": 0, "ended_by": ""}
    assert len(answer.bytes_of(frames.OUTPUT)) == 500_000


def test_input_is_acknowledged_as_it_is_read_and_no_sooner(place: Place, tmp_path: Path) -> None:
    channel = asked(place, f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; wc -c")
    size = 3 * MIB  # more than its pipe holds

    def write_all() -> None:
        for _ in range(size >> 16):
            channel.write(frames.pack(frames.INPUT, bytes(1 << 16)))

    writer = Thread(target=write_all)
    writer.start()
    reader, taken, output = frames.FrameReader(), 0, b""
    data = channel.read(MIB, timeout_seconds=10)
    while frames.MAGIC not in data:
        data += channel.read(MIB, timeout_seconds=10)
    block = data.partition(frames.MAGIC)[2]
    ended = False
    while not ended:
        for kind, payload in reader.feed(block):
            taken += frames.count_of(payload) if kind == frames.ACK else 0
            output += payload if kind == frames.OUTPUT else b""
            ended = ended or kind == frames.DONE
        try:
            block = b"" if ended else channel.read(MIB, timeout_seconds=0.4)
        except TimeoutError:
            assert taken <= MIB  # what the pipe has taken
            writer.join(10)
            channel.write(frames.pack(frames.INPUT_END))
            (tmp_path / "go").touch()
            block = b""
    channel.close()
    assert (taken, output) == (size, f"{size}\n".encode())


class Stuck:
    """A connection over which nothing goes any more, after the first words."""

    def __init__(self) -> None:
        hello = {"protocol": frames.PROTOCOL, "host": "n"}
        output = frames.pack(frames.OUTPUT, b"x")
        self.waiting = [frames.MAGIC + frames.pack_json(frames.HELLO, hello), output]
        self.closed = False

    way = "ssh to n1"
    folder = "/job"

    def open(self, _argv: object) -> "Stuck":
        return self

    def read(self, size: int, *, timeout_seconds: float | None = None) -> bytes:
        assert size
        assert timeout_seconds != 0
        return self.waiting.pop(0)

    def write(self, data: bytes) -> None:
        kind = data[:1]
        while kind == frames.INPUT and not self.closed:
            time.sleep(0.01)
        if self.closed:
            msg = "The connection was cut."
            raise RemoteError(msg)

    def close_input(self) -> None:
        raise AssertionError

    def messages(self) -> str:
        return ""

    def exit_code(self) -> int | None:
        return None

    def close(self) -> None:
        self.closed = True


def test_whoever_gives_up_is_not_kept_by_a_connection_that_takes_nothing() -> None:
    channel = Stuck()

    def give_up(_: bytes) -> None:
        time.sleep(0.2)  # until the input is on its way
        raise KeyboardInterrupt

    descriptor = os.open("/dev/zero", os.O_RDONLY)
    streams = Streams(stdin=descriptor, stdout=give_up, stderr=give_up)
    ended: list[str] = []

    def whole() -> None:
        with pytest.raises(KeyboardInterrupt), begin(channel, 5) as found:
            execute(found, Command(argv=["cat"]), streams, Controls())
        ended.append("yes")

    thread = Thread(target=whole, daemon=True)
    thread.start()
    thread.join(8)
    in_time = list(ended)
    channel.closed = True
    thread.join(8)
    os.close(descriptor)
    assert in_time == ["yes"]


def test_what_is_typed_after_the_end_is_left_for_others(place: Place) -> None:
    """Standard input is read no further than the command's end."""
    ours, theirs = os.pipe()
    streams = Streams(stdin=ours, stdout=lambda _: None, stderr=lambda _: None)
    with visit(place.folder) as found:
        execute(found, Command(argv=["true"], beside=True), streams, Controls())
    os.write(theirs, b"for the shell")
    assert os.read(ours, 100) == b"for the shell"
    os.close(ours)
    os.close(theirs)
