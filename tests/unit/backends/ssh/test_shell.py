"""Programs on the other side: their streams, ends and ends of the connection."""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from prominence_hpc.backends.base import Channel, JobShell
from prominence_hpc.backends.ssh.connect import connect_over
from prominence_hpc.backends.ssh.shell import SSHPolicy, SSHShell, open_ssh_shell
from prominence_hpc.errors import RemoteError
from tests.unit.backends.ssh.conftest import Configuration
from tests.unit.backends.ssh.keys import PrivateKey, private_key, public_line, write_key
from tests.unit.backends.ssh.server import Server

Serve = Callable[..., Server]
MEBIBYTE = 1 << 20


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve()


@pytest.fixture
def shell(server: Server, host_key: PrivateKey, tmp_path: Path) -> Iterator[SSHShell]:
    ours, theirs = socket.socketpair()
    server.serve(theirs)
    known_hosts = tmp_path / "known"
    known_hosts.write_text(f"* {public_line(host_key)}\n")
    key = write_key(tmp_path / "key", private_key("ed25519", "user"))
    client = connect_over(
        ours,
        host="node1",
        user="alice",
        key_file=key,
        known_hosts_file=known_hosts,
        timeout_seconds=10,
    )
    shell = SSHShell(client, way="ssh to node1", folder="/f")
    yield shell
    shell.close()


def read_all(channel: Channel, size: int = MEBIBYTE) -> bytes:
    return b"".join(iter(lambda: channel.read(size, timeout_seconds=20), b""))


def test_it_is_what_backends_promise(shell: JobShell) -> None:
    assert (shell.way, shell.folder) == ("ssh to node1", "/f")
    channel: Channel = shell.open(["true"])
    assert read_all(channel) == b""


def test_words_arrive_as_they_are(shell: SSHShell) -> None:
    words = ["a b", "$HOME", "`id`", "'", '"', "", "\\", "*", "é\n", ";", "-n", "~"]
    channel = shell.open(["printf", "[%s]", *words])
    assert read_all(channel).decode() == "".join(f"[{word}]" for word in words)


@pytest.mark.parametrize(
    ("program", "code"),
    [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", 137), ("kill -15 $$", 143)],
)
def test_exit_codes(shell: SSHShell, program: str, code: int) -> None:
    channel = shell.open(["sh", "-c", program])
    assert read_all(channel) == b""
    assert channel.exit_code() == code
    channel.close()
    assert channel.exit_code() == code


def test_the_code_of_a_program_that_runs_is_not_known(shell: SSHShell) -> None:
    channel = shell.open(["cat"])
    assert channel.exit_code() is None
    channel.close_input()
    assert read_all(channel) == b""
    assert channel.exit_code() == 0


def test_streams_are_kept_apart(shell: SSHShell) -> None:
    channel = shell.open(["sh", "-c", "echo out; echo err >&2; cat; printf '\\377' >&2"])
    assert channel.read(100) == b"out\n"
    channel.write(b"in")
    channel.close_input()
    assert read_all(channel) == b"in"
    assert channel.messages() == "err\n\ufffd"


def test_a_read_has_its_limit_and_its_size(shell: SSHShell) -> None:
    channel = shell.open(["cat"])
    begin = time.monotonic()
    with pytest.raises(TimeoutError, match=r"node1 has sent nothing for 0\.2 seconds"):
        channel.read(100, timeout_seconds=0.2)
    assert time.monotonic() - begin < 2
    channel.write(b"0123456789")
    assert [channel.read(4, timeout_seconds=5) for _ in range(3)] == [b"0123", b"4567", b"89"]
    channel.close()


def test_twenty_megabytes_each_way_at_once(shell: SSHShell) -> None:
    data = os.urandom(MEBIBYTE) * 20
    channel = shell.open(["cat"])

    def send() -> None:
        channel.write(data)
        channel.close_input()

    writer = threading.Thread(target=send)
    writer.start()
    received = read_all(channel)
    writer.join()
    assert len(received) == len(data)
    assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()
    assert channel.exit_code() == 0


def test_frames_are_read_as_fast_as_streams(shell: SSHShell) -> None:
    """Small reads of much data, which cost paramiko a move of all of it each."""
    channel = shell.open(["head", "-c", str(8 * MEBIBYTE), "/dev/zero"])
    begin = time.monotonic()
    assert len(read_all(channel, size=100)) == 8 * MEBIBYTE
    assert time.monotonic() - begin < 10


def test_a_writer_waits_for_the_program(shell: SSHShell) -> None:
    channel = shell.open(["sh", "-c", "read go; wc -c"])
    done = threading.Event()

    def send() -> None:
        with pytest.raises(RemoteError):
            channel.write(b"x" * (16 * MEBIBYTE))
        done.set()

    writer = threading.Thread(target=send)
    writer.start()
    assert not done.wait(0.5)  # nothing is read before "go"
    channel.close()
    assert done.wait(5)
    writer.join()


def test_keys_are_exchanged_anew_in_the_middle(shell: SSHShell) -> None:
    packetizer = shell._client.transport.packetizer
    packetizer.REKEY_BYTES = 4 * MEBIBYTE
    first = shell._client.transport.H
    data = os.urandom(MEBIBYTE) * 20
    channel = shell.open(["sha256sum"])
    channel.write(data)
    channel.close_input()
    assert read_all(channel).split()[0].decode() == hashlib.sha256(data).hexdigest()
    assert first != shell._client.transport.H


def test_much_on_standard_error_does_not_stop_standard_output(shell: SSHShell) -> None:
    program = "head -c 20000000 /dev/zero | tr '\\0' e >&2; echo end >&2; echo out"
    channel = shell.open(["sh", "-c", program])
    assert read_all(channel) == b"out\n"
    said = channel.messages()
    assert said.endswith("eeeend\n")
    assert len(said) == 64 << 10


def test_a_connection_that_is_cut_is_an_error(shell: SSHShell, server: Server) -> None:
    channel = shell.open(["sh", "-c", "echo begin; sleep 60"])
    assert channel.read(100, timeout_seconds=10) == b"begin\n"
    threading.Timer(0.3, server.cut).start()
    begin = time.monotonic()
    with pytest.raises(RemoteError, match="The connection to node1 was cut"):
        channel.read(100)
    assert time.monotonic() - begin < 5
    assert channel.exit_code() is None
    with pytest.raises(RemoteError, match="The connection to node1 was cut"):
        channel.write(b"x")
    channel.close()
    with pytest.raises(RemoteError, match="node1 opens no channel"):
        shell.open(["true"])


def test_an_exit_code_does_not_hide_that_output_is_missing(shell: SSHShell) -> None:
    channel = shell.open(["status-first"])
    assert channel.read(100, timeout_seconds=5) == b"half"
    with pytest.raises(RemoteError, match="The connection to node1 was cut"):
        channel.read(100, timeout_seconds=5)


def test_a_writer_learns_of_the_cut(shell: SSHShell, server: Server) -> None:
    channel = shell.open(["sleep", "60"])
    threading.Timer(0.3, server.cut).start()
    with pytest.raises(RemoteError, match="The connection to node1 was cut"):
        channel.write(b"x" * (32 * MEBIBYTE))


def test_an_end_without_a_status(shell: SSHShell) -> None:
    channel = shell.open(["no-status"])
    assert read_all(channel) == b"half"
    assert channel.exit_code() is None


def test_a_program_that_reads_no_more(shell: SSHShell) -> None:
    channel = shell.open(["sh", "-c", "exit 5"])
    assert read_all(channel) == b""
    with pytest.raises(RemoteError, match="on node1 has ended with exit code 5, and reads no more"):
        channel.write(b"x" * (32 * MEBIBYTE))


def test_a_program_that_the_host_does_not_start(shell: SSHShell) -> None:
    with pytest.raises(RemoteError, match="node1 does not start a program"):
        shell.open(["refuse"])
    assert shell.open(["echo", "next"]).read(100) == b"next\n"


def test_close_ends_a_program_that_reads_and_one_that_writes(
    shell: SSHShell, server: Server
) -> None:
    for program in ("echo x; cat", "while echo x; do :; done"):
        channel = shell.open(["sh", "-c", program])
        assert channel.read(1) == b"x"
        begin = time.monotonic()
        channel.close()
        assert time.monotonic() - begin < 3
        assert server.processes[-1].wait(5) is not None
        channel.close()


def test_several_programs_at_once(shell: SSHShell) -> None:
    channels = [shell.open(["cat"]) for _ in range(5)]
    for number, channel in enumerate(channels):
        channel.write(str(number).encode())
        channel.close_input()
    assert [read_all(channel) for channel in channels] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_host_that_keeps_silent_is_given_up(
    shell: SSHShell, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prominence_hpc.backends.ssh.transport._DEAD_AFTER_SECONDS", 0.5)
    transport = shell._client.transport
    transport.packetizer.set_keepalive(0, transport._probe)
    channel = shell.open(["sleep", "60"])
    transport.packetizer.set_keepalive(0.1, transport._probe)
    with pytest.raises(TimeoutError):
        channel.read(1, timeout_seconds=1.5)  # answers to the questions are signs of life
    for each in server.transports:
        monkeypatch.setattr(each, "_send_message", lambda _: None)
    with pytest.raises(RemoteError, match="node1 was cut: the host has been silent for"):
        channel.read(1, timeout_seconds=10)


def test_closing_a_shell_leaves_nothing(shell: SSHShell, server: Server) -> None:
    closed: list[str] = []
    rest = ExitStack()
    rest.callback(closed.append, "rest")
    mine = SSHShell(shell._client, way="", folder="", closing=rest)
    assert mine.open(["sh", "-c", "echo x; cat"]).read(1) == b"x"
    mine.close()
    assert closed == ["rest"]
    assert not shell._client.transport.is_alive()
    assert shell._client.transport.sock.fileno() == -1
    assert server.processes[-1].wait(5) is not None
    mine.close()


def test_twenty_megabytes_through_a_jump_host(
    configuration: Configuration, serve: Serve, host_key: PrivateKey
) -> None:
    configuration.know(f"127.0.0.1 {public_line(host_key)}")
    configuration.add("gate", serve().port)
    configuration.add("node1", serve().port, "proxyjump gate")
    data = os.urandom(MEBIBYTE) * 20
    with closing(open_ssh_shell("node1", "", SSHPolicy(timeout_seconds=10))) as shell:
        channel = shell.open(["cat"])
        writer = threading.Thread(target=channel.write, args=(data,))
        writer.start()
        received = b""
        while len(received) < len(data):
            received += channel.read(MEBIBYTE, timeout_seconds=20)
        writer.join()
        assert received == data
