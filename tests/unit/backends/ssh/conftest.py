"""Fixtures of the tests of SSH: a server, and an ``ssh`` that knows the configuration that a test has written."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.backends.ssh.keys import PrivateKey, private_key, public_blob, ssh_key, write_key
from tests.unit.backends.ssh.server import Agent, Server

# "ssh -G" of a configuration that is a folder of files, one a host.
SSH = """\
#!/bin/sh
echo "$*" >> {calls}
for host; do :; done
[ -f {folder}/"$host" ] || {{ echo "no hosts but our own" >&2; exit 255; }}
exec cat {folder}/"$host"
"""


class Configuration:
    """The ssh configuration of a user who has a key and a known_hosts file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts = folder / "hosts"
        self.hosts.mkdir(parents=True)
        self.calls = folder / "calls"
        self.calls.touch()
        self.known_hosts = folder / "known_hosts"
        self.system_known_hosts = folder / "ssh_known_hosts"
        self.identity = folder / "id_ed25519"
        (folder / "bin").mkdir()
        program = folder / "bin" / "ssh"
        program.write_text(SSH.format(calls=self.calls, folder=self.hosts))
        program.chmod(0o755)

    def add(self, host: str, port: int, *lines: str, identities: bool = True) -> None:
        """What ``ssh -G host`` prints."""
        (self.hosts / host).write_text(
            "\n".join([
                f"host {host}", "user alice", "hostname 127.0.0.1", f"port {port}", "connecttimeout none",
                *([f"identityfile {self.identity}"] if identities else []),
                "identityagent none",
                f"userknownhostsfile {self.known_hosts} {self.folder}/known_hosts2",
                f"globalknownhostsfile {self.system_known_hosts}",
                *lines, "",
            ])
        )  # fmt: skip

    def know(self, *lines: str) -> None:
        self.known_hosts.write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configuration:
    configuration = Configuration(tmp_path / "ssh")
    write_key(configuration.identity, private_key("ed25519", "user"), with_public=True)
    monkeypatch.setenv("PATH", f"{configuration.folder / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return configuration


@pytest.fixture
def host_key() -> PrivateKey:
    return private_key("ed25519", "host")


@pytest.fixture
def serve(host_key: PrivateKey) -> Iterator[Callable[..., Server]]:
    """Start servers that let in the user of :func:`configuration`."""
    servers: list[Server] = []

    def start(*host_keys: Any, **options: Any) -> Server:
        options = {"accepted": [public_blob(private_key("ed25519", "user"))], **options}
        servers.append(Server(host_keys or [ssh_key(host_key)], **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Callable[..., tuple[Path, Agent]]]:
    """Start ssh-agents that hold keys."""
    agents: list[Agent] = []

    def start(*keys: PrivateKey) -> tuple[Path, Agent]:
        path = tmp_path / f"agent{len(agents)}"
        agents.append(Agent(path, [ssh_key(key) for key in keys]))
        return path, agents[-1]

    yield start
    for each in agents:
        each.close()
