"""Whom we connect to, as whom, and what a user reads where that fails."""

import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat, SSHCertificateType

from prominence_hpc.backends.ssh.connect import SSHPolicy, connect, connect_over
from prominence_hpc.backends.ssh.shell import SSHShell, open_ssh_shell
from prominence_hpc.backends.ssh.transport import VerifiedTransport
from prominence_hpc.errors import RemoteError
from tests.unit.backends.ssh.conftest import Configuration
from tests.unit.backends.ssh.keys import (
    CertifiedKey,
    PrivateKey,
    certificate,
    certificate_blob,
    private_key,
    public_blob,
    public_line,
    ssh_key,
    write_key,
)
from tests.unit.backends.ssh.server import Agent, Server
from tests.unit.backends.ssh.test_known_hosts import hashed

Serve = Callable[..., Server]
StartAgent = Callable[..., tuple[Path, Agent]]

POLICY = SSHPolicy(timeout_seconds=10)
USER = private_key("ed25519", "user")


def output_of(host: str, policy: SSHPolicy = POLICY) -> bytes:
    """What a program says that is run on ``host``."""
    shell = open_ssh_shell(host, "", policy)
    with closing(shell):
        channel = shell.open(["echo", "here"])
        with closing(channel):
            return channel.read(100)


def refusal(host: str, policy: SSHPolicy = POLICY) -> str:
    with pytest.raises(RemoteError) as raised:
        connect(host, policy)
    assert not any(isinstance(thread, VerifiedTransport) for thread in threading.enumerate())
    return str(raised.value)


# Hosts


@pytest.mark.parametrize("names", ["[127.0.0.1]:{port}", "127.0.0.1", "10.*,[127.*]:*", "hashed"])
def test_a_host_that_the_user_knows(
    configuration: Configuration, serve: Serve, host_key: PrivateKey, names: str
) -> None:
    port = serve().port
    configuration.add("node1", port)
    name = hashed(f"[127.0.0.1]:{port}") if names == "hashed" else names.format(port=port)
    configuration.know("# mine", f"{name} {public_line(host_key)}")
    assert output_of("node1") == b"here\n"


def test_a_host_that_the_system_or_the_site_knows(
    configuration: Configuration, serve: Serve, host_key: PrivateKey, tmp_path: Path
) -> None:
    port = serve().port
    configuration.add("node1", port)
    line = f"[127.0.0.1]:{port} {public_line(host_key)}\n"
    configuration.system_known_hosts.write_text(line)
    assert output_of("node1") == b"here\n"
    configuration.system_known_hosts.unlink()
    site = tmp_path / "site_known_hosts"
    site.write_text(line)
    policy = SSHPolicy(known_hosts_files=(site,), timeout_seconds=10)
    assert output_of("node1", policy) == b"here\n"
    assert "is in none of" in refusal("node1")


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_host_with_a_certificate(
    configuration: Configuration, serve: Serve, tmp_path: Path, kind: str
) -> None:
    key, authority = private_key(kind, "host"), private_key("ed25519", "authority")
    server = serve(
        ssh_key(key), CertifiedKey(key, certificate(key, authority, principals=["127.0.0.1"]))
    )
    configuration.add("node1", server.port)
    file = tmp_path / "ca.pub"
    file.write_text(public_line(authority))
    assert output_of("node1", SSHPolicy(host_ca_files=(file,), timeout_seconds=10)) == b"here\n"
    assert "is in none of" in refusal("node1")
    configuration.know(f"@cert-authority 127.0.0.* {public_line(authority)}")
    assert output_of("node1") == b"here\n"


def test_the_certificate_of_another_host(
    configuration: Configuration, serve: Serve, host_key: PrivateKey
) -> None:
    authority = private_key("ed25519", "authority")
    line = certificate(host_key, authority, principals=["node2"])
    configuration.add("node1", serve(CertifiedKey(host_key, line)).port)
    configuration.know(f"@cert-authority * {public_line(authority)}")
    assert "its certificate does not hold: it is for node2, not for 127.0.0.1" in refusal("node1")


def test_a_certificate_that_belongs_to_another_key(
    configuration: Configuration, serve: Serve, host_key: PrivateKey
) -> None:
    authority = private_key("ed25519", "authority")
    stolen = certificate(private_key("ed25519", "victim"), authority, principals=["127.0.0.1"])
    configuration.add("node1", serve(CertifiedKey(host_key, stolen)).port)
    configuration.know(f"@cert-authority * {public_line(authority)}")
    assert "Signature verification" in refusal("node1")


def test_a_host_whose_key_has_changed_learns_no_key_of_the_user(
    configuration: Configuration, serve: Serve
) -> None:
    server = serve()
    configuration.add("node1", server.port)
    configuration.know(f"[127.0.0.1]:{server.port} {public_line(private_key('ed25519', 'old'))}")
    said = refusal("node1")
    assert f"has changed: line 1 of {configuration.known_hosts}" in said
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}' -f {configuration.known_hosts}" in said
    assert server.shown == []


def test_strict_host_key_checking_cannot_be_turned_off(
    configuration: Configuration, serve: Serve
) -> None:
    server = serve()
    configuration.add("node1", server.port, "stricthostkeychecking false")
    said = refusal("node1")
    assert f"is in none of {configuration.known_hosts}, " in said
    assert f"ssh-keyscan -t ed25519 -p {server.port} 127.0.0.1 >> ~/.ssh/known_hosts" in said
    assert not configuration.known_hosts.exists()
    assert server.shown == []


def test_a_revoked_host_key(
    configuration: Configuration, serve: Serve, host_key: PrivateKey
) -> None:
    configuration.add("node1", serve().port)
    line = public_line(host_key)
    configuration.know(f"127.0.0.1 {line}", f"@revoked * {line}")
    assert f"is revoked by line 2 of {configuration.known_hosts}" in refusal("node1")


@pytest.mark.parametrize("known", ["ed25519", "ecdsa", "rsa"])
def test_a_host_with_three_keys_of_which_one_is_known(
    configuration: Configuration, serve: Serve, known: str
) -> None:
    server = serve(*[ssh_key(private_key(kind, "host")) for kind in ("ed25519", "ecdsa", "rsa")])
    configuration.add("node1", server.port)
    configuration.know(f"127.0.0.1 {public_line(private_key(known, 'host'))}")
    assert output_of("node1") == b"here\n"


def test_an_alias_stands_for_the_host(
    configuration: Configuration, serve: Serve, host_key: PrivateKey
) -> None:
    configuration.add("node1", serve().port, "hostkeyalias cluster")
    configuration.know(f"127.0.0.1 {public_line(host_key)}")
    assert "The host key of cluster" in refusal("node1")
    configuration.know(f"cluster {public_line(host_key)}")
    assert output_of("node1") == b"here\n"


# Users


@pytest.fixture
def known(configuration: Configuration, host_key: PrivateKey) -> Configuration:
    configuration.know(f"127.0.0.1 {public_line(host_key)}")
    return configuration


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize(
    "format", [PrivateFormat.OpenSSH, PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL]
)
def test_keys_of_every_kind_and_format(
    known: Configuration,
    serve: Serve,
    kind: str,
    format: PrivateFormat,  # noqa: A002
) -> None:
    key = private_key(kind, "user")
    if kind == "ed25519" and format is PrivateFormat.TraditionalOpenSSL:
        format = PrivateFormat.OpenSSH  # noqa: A001 - there is none
    write_key(known.identity, key, kind=format)
    known.add("node1", serve(accepted=[public_blob(key)]).port)
    assert output_of("node1") == b"here\n"


def test_a_key_that_the_host_does_not_accept_is_named(known: Configuration, serve: Serve) -> None:
    known.add("node1", serve(accepted=[]).port)
    said = refusal("node1")
    assert said.startswith(f"node1 accepts none of alice's keys: tried {known.identity}. Add the")
    assert "~/.ssh/authorized_keys there" in said


def test_the_second_key_is_tried_too(known: Configuration, serve: Serve, tmp_path: Path) -> None:
    second = private_key("ecdsa", "user")
    write_key(tmp_path / "second", second)
    server = serve(accepted=[public_blob(second)])
    known.add("node1", server.port, f"identityfile {tmp_path / 'second'}")
    assert output_of("node1") == b"here\n"
    assert server.shown == [public_blob(USER), public_blob(second)]


def test_a_key_with_a_passphrase_needs_an_agent(
    known: Configuration, serve: Serve, agent: StartAgent
) -> None:
    write_key(known.identity, USER, passphrase="secret")
    server = serve()
    known.add("node1", server.port)
    said = refusal("node1")
    assert f"not tried: {known.identity} (it has a passphrase: let an ssh-agent hold it" in said
    assert f"ssh-add {known.identity}" in said
    path, held = agent(private_key("ecdsa", "unrelated"), USER)
    write_config_agent(known, server.port, path)
    assert output_of("node1") == b"here\n"
    assert held.signed == [public_blob(USER)]  # the one that is configured comes first


def write_config_agent(configuration: Configuration, port: int, path: Path, *lines: str) -> None:
    configuration.add("node1", port, *lines)
    file = configuration.hosts / "node1"
    file.write_text(file.read_text().replace("identityagent none", f"identityagent {path}"))


def test_an_agent_that_the_environment_names(
    known: Configuration, serve: Serve, agent: StartAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, held = agent(USER)
    known.identity.unlink()
    write_config_agent(known, serve().port, Path("SSH_AUTH_SOCK"))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    assert output_of("node1") == b"here\n"
    assert held.signed == [public_blob(USER)]


def test_other_keys_of_the_agent_only_if_the_configuration_allows(
    known: Configuration, serve: Serve, agent: StartAgent
) -> None:
    other = private_key("ecdsa", "agent")
    path, held = agent(other)
    server = serve(accepted=[public_blob(other)])
    write_config_agent(known, server.port, path, "identitiesonly yes")
    assert "accepts none of alice's keys" in refusal("node1")
    assert held.signed == []
    write_config_agent(known, server.port, path)
    assert output_of("node1") == b"here\n"


def test_an_agent_that_is_gone(known: Configuration, serve: Serve, tmp_path: Path) -> None:
    server = serve(accepted=[])
    write_config_agent(known, server.port, tmp_path / "gone")
    assert f"the ssh-agent at {tmp_path / 'gone'} (it does not answer" in refusal("node1")
    server.accepted = [public_blob(USER)]
    assert output_of("node1") == b"here\n"


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_certificate_of_the_user(known: Configuration, serve: Serve, kind: str) -> None:
    key = private_key(kind, "user")
    line = certificate(
        key, private_key("ed25519", "authority"), principals=["alice"], kind=SSHCertificateType.USER
    )
    write_key(known.identity, key)
    known.identity.with_name("id_ed25519-cert.pub").write_text(line)
    known.add("node1", serve(accepted=[certificate_blob(line)]).port)
    assert output_of("node1") == b"here\n"


def test_without_any_key(known: Configuration, serve: Serve) -> None:
    known.add("node1", serve().port, identities=False)
    assert "There is no key to show to node1 for alice; make one by ssh-keygen" in refusal("node1")
    known.identity.write_text("this is no key")
    known.add("node1", serve().port)
    assert "it is no private key that can be read" in refusal("node1")


def test_what_pam_says_is_told(known: Configuration, serve: Serve) -> None:
    server = serve(
        denial="Access denied by pam_slurm_adopt:\r\nyou have no active jobs on this node\x1b[31m\n"
    )
    known.add("node1", server.port)
    said = refusal("node1")
    assert said.startswith(
        "node1 lets nobody in as alice: it closed the connection ('Access denied"
    )
    assert "pam_slurm_adopt: you have no active jobs on this node?[31m')" in said
    assert "check that yours still runs there" in said


def test_a_host_that_wants_a_password(known: Configuration, serve: Serve) -> None:
    known.add("node1", serve(methods="password,keyboard-interactive", accepted=[]).port)
    assert "asks for password or keyboard-interactive, which we do not give" in refusal("node1")
    known.add("node1", serve(methods="keyboard-interactive", wants_more=True).port)
    assert "not let alice in by a key alone, but asks for keyboard-interactive" in refusal("node1")


# Ways


def test_a_name_that_nobody_knows(configuration: Configuration) -> None:
    configuration.add("node1", 22)
    file = configuration.hosts / "node1"
    file.write_text(file.read_text().replace("hostname 127.0.0.1", "hostname no-such-host.invalid"))
    assert refusal("node1").startswith("The host name no-such-host.invalid is not known here")


def test_nobody_listens(configuration: Configuration) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    configuration.add("node1", port)
    said = refusal("node1")
    assert f"127.0.0.1 refuses connections to port {port}: no sshd listens there" in said


def test_nobody_answers(configuration: Configuration) -> None:
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for waiting in (first, second):  # the kernel takes no more than these
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        configuration.add("node1", listener.getsockname()[1], "")
        begin = time.monotonic()
        said = refusal("node1", SSHPolicy(timeout_seconds=0.5))
        assert "has not answered on port" in said
        assert "within 0.5 seconds" in said
        assert time.monotonic() - begin < 3


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_a_host_that_falls_silent_in_the_handshake(
    configuration: Configuration, greeting: bytes
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        configuration.add("node1", listener.getsockname()[1])
        accepted: list[socket.socket] = []

        def accept() -> None:
            accepted.append(listener.accept()[0])
            accepted[0].sendall(greeting)

        thread = threading.Thread(target=accept)
        thread.start()
        begin = time.monotonic()
        said = refusal("node1", SSHPolicy(timeout_seconds=0.5))
        assert "has not ended the handshake within 0.5 seconds" in said
        assert time.monotonic() - begin < 3
        thread.join()
        accepted[0].close()


@pytest.mark.parametrize(
    ("greeting", "said"),
    [
        (b"", "node1 closed the connection during the handshake"),
        (b"SSH-2.0-x\r\n", "node1 closed the connection during the handshake"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "node1 closed the connection during the handshake"),
        (b"SSH-1.5-old\r\n", "There is no common ground with node1: Incompatible version"),
    ],
)
def test_a_host_that_hangs_up(configuration: Configuration, greeting: bytes, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        configuration.add("node1", listener.getsockname()[1])

        def accept() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.sendall(greeting)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass

        thread = threading.Thread(target=accept)
        thread.start()
        assert said in refusal("node1")
        thread.join()


def test_an_ssh_configuration_may_grant_more_time(configuration: Configuration) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        configuration.add("node1", listener.getsockname()[1])
        file = configuration.hosts / "node1"
        file.write_text(file.read_text().replace("connecttimeout none", "connecttimeout 1"))
        assert "within 1 seconds" in refusal("node1", SSHPolicy(timeout_seconds=30))


def test_a_jump_host(known: Configuration, serve: Serve) -> None:
    node, gate = serve(), serve()
    known.add("gate", gate.port)
    known.add("node1", node.port, "proxyjump bob@gate:2022")
    assert output_of("node1") == b"here\n"
    assert gate.forwarded == [("127.0.0.1", node.port)]
    assert "-G -l bob -p 2022 -- gate\n" in known.calls.read_text()


def test_jump_hosts_in_a_row(known: Configuration, serve: Serve) -> None:
    node, outer, inner = serve(), serve(), serve()
    known.add("outer", outer.port)
    known.add("inner", inner.port, "proxyjump not-asked")  # the row goes before
    known.add("node1", node.port, "proxyjump outer,inner")
    assert output_of("node1") == b"here\n"
    assert outer.forwarded == [("127.0.0.1", inner.port)]
    assert inner.forwarded == [("127.0.0.1", node.port)]


def test_jump_hosts_are_verified_as_strictly(configuration: Configuration, serve: Serve) -> None:
    other = private_key("ecdsa", "gate")
    node, gate = serve(), serve(ssh_key(other))
    configuration.add("gate", gate.port)
    configuration.add("node1", node.port, "proxyjump gate")
    configuration.know(f"[127.0.0.1]:{node.port} {public_line(private_key('ed25519', 'host'))}")
    assert f"The host key of [127.0.0.1]:{gate.port} (ecdsa-sha2" in refusal("node1")
    assert gate.shown == []
    configuration.know(f"[127.0.0.1]:{gate.port} {public_line(other)}")
    said = refusal("node1")
    assert f"The host key of [127.0.0.1]:{node.port} (ssh-ed25519" in said
    assert "add the line to ~/.ssh/known_hosts" in said
    assert node.shown == []


def test_a_jump_host_that_reaches_nobody(known: Configuration, serve: Serve) -> None:
    known.add("gate", serve().port)
    known.add("node1", 1, "proxyjump gate")
    said = refusal("node1")
    assert said.startswith("The jump host gate does not connect to 127.0.0.1 port 1: ")


def test_a_loop_of_jump_hosts(known: Configuration) -> None:
    known.add("a", 22, "proxyjump b")
    known.add("b", 22, "proxyjump a")
    assert "loop of ProxyJump" in refusal("a")


PROXY = """\
import os, socket, sys, threading
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def back():
    while block := sock.recv(65536):
        os.write(1, block)
    os._exit(0)
threading.Thread(target=back, daemon=True).start()
try:
    while block := os.read(0, 65536):
        sock.sendall(block)
finally:  # a socket that is closed with something unread resets the connection
    open(sys.argv[3], "w").write("ended")
"""


def test_a_proxy_command(known: Configuration, serve: Serve, tmp_path: Path) -> None:
    script, trace = tmp_path / "a proxy.py", tmp_path / "trace"
    script.write_text(PROXY)
    known.add("node1", serve().port, f"proxycommand {sys.executable} '{script}' %h %p {trace}")
    assert output_of("node1") == b"here\n"
    assert trace.read_text() == "ended"


def test_a_proxy_command_that_fails_is_quoted(known: Configuration, tmp_path: Path) -> None:
    script = tmp_path / "proxy"
    script.write_text("#!/bin/sh\necho 'no route for you' >&2; exit 1\n")
    script.chmod(0o755)
    known.add("node1", 22, f"proxycommand {script}")
    said = refusal("node1")
    assert "node1 closed the connection during the handshake" in said
    assert said.endswith("The ProxyCommand said: no route for you")
    known.add("node1", 22, "proxycommand no-such-program %h")
    assert "The ProxyCommand of node1, no-such-program, is not installed here" in refusal("node1")


def test_a_proxy_command_that_hangs_is_ended(known: Configuration, tmp_path: Path) -> None:
    known.add("node1", 22, f"proxycommand {write_sleeper(tmp_path)}")
    assert "within 0.5 seconds" in refusal("node1", SSHPolicy(timeout_seconds=0.5))
    pid = int((tmp_path / "pid").read_text())
    assert not Path(f"/proc/{pid}").exists()


def write_sleeper(folder: Path) -> Path:
    script = folder / "sleeper"
    script.write_text(f"#!/bin/sh\necho $$ > {folder}/pid\nexec sleep 60\n")
    script.chmod(0o755)
    return script


# A socket of somebody else's


@pytest.fixture
def condor(tmp_path: Path, host_key: PrivateKey) -> tuple[Path, Path]:
    """The files that condor_ssh_to_job leaves: a key, and a known_hosts file for whatever name."""
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(f"* {public_line(host_key)}\n")
    return write_key(tmp_path / "key", USER), known_hosts


def over(server: Server, key: Path, known_hosts: Path) -> SSHShell:
    ours, theirs = socket.socketpair()
    server.serve(theirs)
    client = connect_over(
        ours, host="slot1@exec1", user="alice", key_file=key,
        known_hosts_file=known_hosts, timeout_seconds=10,
    )  # fmt: skip
    return SSHShell(client, way="condor_ssh_to_job", folder="")


def test_over_a_socket(serve: Serve, condor: tuple[Path, Path]) -> None:
    with closing(over(serve(), *condor)) as shell:
        assert shell.open(["echo", "here"]).read(100) == b"here\n"


def test_over_a_socket_to_somebody_else(serve: Serve, condor: tuple[Path, Path]) -> None:
    with pytest.raises(RemoteError, match="The host key of slot1@exec1 has changed"):
        over(serve(ssh_key(private_key("ed25519", "other"))), *condor)
    with pytest.raises(RemoteError, match="accepts none of alice's keys"):
        over(serve(accepted=[]), *condor)
    condor[0].unlink()
    with pytest.raises(RemoteError, match="cannot be used: No such file"):
        over(serve(), *condor)
