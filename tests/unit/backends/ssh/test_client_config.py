"""What is made of ``ssh -G``."""

import os
import shutil
from pathlib import Path

import pytest

from prominence_hpc.backends.ssh.client_config import (
    ClientSettings,
    Hop,
    parse_client_settings,
    parse_hop,
    read_client_settings,
)
from prominence_hpc.errors import RemoteError
from tests.unit.backends.ssh.conftest import Configuration

HOME = Path("/home/alice")

# Printed by OpenSSH 9.2 of Debian 12, for a configuration with these options
RECORDED = """\
host gate
user bob
hostname gate.example.org
port 2222
identitiesonly yes
stricthostkeychecking false
hostkeyalias alias
identityagent /home/alice/agent.sock
identityfile ~/.ssh/key one
identityfile %d/keys/%h-%r-${SITE}
certificatefile ~/c-cert.pub
globalknownhostsfile /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2
userknownhostsfile /home/alice/k1 /tmp/k h /home/alice/k3
connecttimeout 7
proxyjump j1,carol@j2:2200
"""


def parse(text: str, host: str = "gate", **environment: str) -> ClientSettings:
    return parse_client_settings(text, host=host, home=HOME, environment=environment)


def test_all_of_a_recorded_answer() -> None:
    assert parse(RECORDED, SITE="x") == ClientSettings(
        host="gate",
        hostname="gate.example.org",
        port=2222,
        user="bob",
        identity_files=(HOME / ".ssh/key one", HOME / "keys/gate.example.org-bob-x"),
        certificate_files=(HOME / "c-cert.pub",),
        identities_only=True,
        identity_agent=HOME / "agent.sock",
        proxy_jump=(Hop("j1"), Hop("j2", "carol", 2200)),
        known_hosts_files=(
            HOME / "k1", Path("/tmp/k h"), HOME / "k3",
            Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"),
        ),
        host_key_alias="alias",
        connect_timeout_seconds=7,
    )  # fmt: skip


def test_none_is_nothing() -> None:
    settings = parse(
        "host n\nhostname n\nport 22\nuser a\nidentityfile none\nuserknownhostsfile none\n"
        "proxycommand none\nconnecttimeout none\nidentityagent none\n",
        SSH_AUTH_SOCK="/agent",
    )
    assert settings == ClientSettings(host="gate", hostname="n", port=22, user="a")


@pytest.mark.parametrize(
    ("line", "agent"),
    [
        ("", Path("/agent")),
        ("identityagent SSH_AUTH_SOCK", Path("/agent")),
        ("identityagent $MINE", Path("/mine")),
        ("identityagent $ABSENT", None),
        ("identityagent ~/a/%n", HOME / "a/gate"),
        ("identityagent none", None),
    ],
)
def test_agents(line: str, agent: Path | None) -> None:
    assert parse(line, SSH_AUTH_SOCK="/agent", MINE="/mine").identity_agent == agent
    assert parse("").identity_agent is None


def test_a_proxy_command_is_words_not_a_shell_line() -> None:
    text = (
        "user bob\nhostname h;id\nport 2222\nproxycommand exec nc -X 5 '%h' [%n]:%p %r 100%% ~/x\n"
    )
    assert parse(text).proxy_command == (
        "nc", "-X", "5", "h;id", "[gate]:2222", "bob", "100%", "/home/alice/x",
    )  # fmt: skip
    assert parse("proxycommand nc 'a b;c' \"d|e\" f\\ g").proxy_command == (
        "nc", "a b;c", "d|e", "f g",
    )  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        "ssh gate nc %h %p 2>/dev/null",
        "a | b",
        "a && b",
        "a; b",
        "nc $HOST 22",
        "nc `x`",
        "nc 'a",
        "exec",
    ],
)
def test_a_proxy_command_that_needs_a_shell_is_refused(command: str) -> None:
    with pytest.raises(
        RemoteError, match=r"needs a shell .* put it into a script, or use ProxyJump"
    ):
        parse(f"proxycommand {command}")


def test_unknown_tokens_are_named() -> None:
    with pytest.raises(RemoteError, match="%Z, which is not known here"):
        parse("identityfile ~/%Z")


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        ("gate", Hop("gate")),
        ("carol@gate", Hop("gate", "carol")),
        ("carol@realm@gate:22", Hop("gate", "carol@realm", 22)),
        ("ssh://carol@gate:2200", Hop("gate", "carol", 2200)),
        ("ssh://gate/", Hop("gate")),
        ("[fe80::1]:22", Hop("fe80::1", None, 22)),
        ("[::1]", Hop("::1")),
    ],
)
def test_jump_hosts(text: str, hop: Hop) -> None:
    assert parse_hop(text) == hop


@pytest.mark.parametrize("text", ["", "a:b", "a:1:2", "user@"])
def test_what_is_no_jump_host(text: str) -> None:
    with pytest.raises(RemoteError, match="ProxyJump"):
        parse_hop(text)


def test_ssh_is_asked_with_the_host_as_an_argument(configuration: Configuration) -> None:
    configuration.add("-oProxyCommand=id", 22)
    settings = read_client_settings("-oProxyCommand=id", user="carol", port=2200)
    assert settings.hostname == "127.0.0.1"
    assert configuration.calls.read_text() == "-G -l carol -p 2200 -- -oProxyCommand=id\n"


def test_what_ssh_says_against_a_host_is_told(configuration: Configuration) -> None:
    with pytest.raises(RemoteError, match=r"of a b: no hosts but our own; try 'ssh -G"):
        read_client_settings("a b")
    assert configuration.calls.read_text()


def test_without_an_ssh_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RemoteError, match=r"node1 .*ssh is not installed here"):
        read_client_settings("node1")


def test_the_real_ssh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ssh = shutil.which("ssh")
    if ssh is None:
        assert not os.environ.get("CI"), "openssh-client is missing"
        pytest.skip("openssh-client is not installed; RECORDED is what it prints")
    config = tmp_path / "config"
    config.write_text(
        "Host gate\n HostName gate.example.org\n User bob\n ProxyJump j1,carol@j2:2200\n"
        ' IdentityFile "~/.ssh/key one"\n UserKnownHostsFile /k1 "/k 2" %d/k3\n ConnectTimeout 7\n'
        "Host proxied\n ProxyCommand nc '%h' %p %%\n IdentityAgent none\n IdentitiesOnly yes\n"
    )
    program = tmp_path / "ssh"
    program.write_text(f'#!/bin/sh\nexec {ssh} -F {config} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    gate = read_client_settings("gate")
    assert (gate.hostname, gate.port, gate.user) == ("gate.example.org", 22, "bob")
    assert gate.proxy_jump == (Hop("j1"), Hop("j2", "carol", 2200))
    assert gate.identity_files == (Path.home() / ".ssh/key one",)
    assert gate.known_hosts_files[:2] == (Path("/k1"), Path("/k 2"))
    assert gate.connect_timeout_seconds == 7
    proxied = read_client_settings("proxied", port=2222)
    assert proxied.proxy_command == ("nc", "proxied", "2222", "%")
    assert proxied.identities_only
    assert Path.home() / ".ssh/id_ed25519" in proxied.identity_files
