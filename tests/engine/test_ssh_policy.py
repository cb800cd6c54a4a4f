"""Whom we believe on the way to a node, and what happens where a node does not let us in.

The user is bob, whose ssh configuration these tests alone write: one test at a time, on any process.
"""

import fcntl
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.engine.inside import until
from tests.engine.prominence import Prominence
from tests.site import paths
from tests.site.handle import Site

SSH, HOME = "/home/bob/.ssh", "/home/bob/ssh-tests"
# sshd with a configuration of the test's own, until it is ended by its process id.
START_SSHD = """
port=$1; folder=/run/ssh-test-$port; rm -rf $folder; mkdir -p $folder; cat > $folder/config
printf 'Port %s\\nPidFile %s/pid\\nHostKey /etc/ssh/ssh_host_ed25519_key\\n' $port $folder >> $folder/config
/usr/sbin/sshd -f $folder/config -E $folder/log
for i in $(seq 50); do [ -e $folder/pid ] && exit; sleep 0.1; done; cat $folder/log; exit 1
"""
END_SSHD = 'kill "$(cat /run/ssh-test-$1/pid)"; rm -rf /run/ssh-test-$1'
DENY = "Access denied by pam_slurm_adopt: you have no active jobs on this node"
MAKE_CA = """
cd /run; rm -f test-ca test-ca.pub; ssh-keygen -q -t ed25519 -N '' -f test-ca -C 'test CA'
cp /etc/ssh/ssh_host_ed25519_key.pub host.pub
ssh-keygen -q -s test-ca -I node -h -n "$1" host.pub
mv host-cert.pub /etc/ssh/test-host-cert.pub; rm host.pub; cat test-ca.pub
"""


@dataclass
class Visitor:
    """bob, with a job that runs on node1."""

    site: Site
    prominence: Prominence
    job: str

    def ssh_config(self, text: str) -> None:
        self.site.write(f"{SSH}/config", text, mode=0o600, user="bob")

    def configure(self, *lines: str) -> None:
        text = "[sites.slurm]\n" + "".join(f"{line}\n" for line in lines)
        self.site.write(f"{HOME}/config.toml", text, user="bob")

    def works(self, *more: str) -> str:
        """What is said on standard error while the command is run as it should be."""
        done = self.prominence("exec", *more, self.job, "echo", "here")
        assert done.stdout == "here\n"
        return done.stderr

    def refused(self) -> str:
        done = self.prominence("exec", self.job, "echo", "here", check=False)
        assert (done.returncode, done.stdout) == (9, ""), done.stdout + done.stderr
        assert done.stderr.count("\n") == 1
        return done.stderr


@pytest.fixture(scope="module")
def running(site: Site, image: str) -> Iterator[str]:
    """The id of bob's job on node1; every test process takes it as its own, one at a time."""
    with (paths.WORK / "bobs-ssh.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        site.run(["rm", "-rf", HOME], user="bob")
        site.run(["mkdir", "-p", HOME], user="bob")
        config = '[sites.slurm]\ndirectives = ["--nodelist=node1"]\n'
        site.write(f"{HOME}/config.toml", config, user="bob")
        found = bob(site)
        # bob's own image: uploads are each user's own.
        site.run(["cp", f"/home/alice/engine-tests/{image}", f"{HOME}/{image}"], user="root")
        site.run(["chown", "bob", f"{HOME}/{image}"], user="root")
        found("upload", "--name", image, "--filename", image)
        job_id = found.create(image, "sleep 900")
        until(lambda: found.describe(job_id)["status"] == "running")
        until(lambda: found("exec", str(job_id), "true", check=False).returncode == 0)
        yield str(job_id)
        found("delete", str(job_id))
        site.run(["rm", "-rf", HOME], user="bob")


def bob(site: Site) -> Prominence:
    environment = {"PROMINENCE_CONFIG": f"{HOME}/config.toml"}
    return Prominence(site, HOME, user="bob", environment=environment)


@pytest.fixture
def visitor(site: Site, running: str) -> Iterator[Visitor]:
    """Nothing but the defaults, and ssh alone, unless the test says otherwise."""
    found = Visitor(site, bob(site), running)
    found.configure('shell = ["ssh"]')
    forget = ["sh", "-c", f"rm -f {SSH}/config {SSH}/known_hosts {SSH}/other*"]
    site.run(forget, user="bob")
    # What worked last in another test is no memory of this one's.
    site.run(["sh", "-c", FORGET_WAYS], user="bob")
    yield found
    site.run(forget, user="bob")


FORGET_WAYS = f'python3 -c \'import sqlite3; c = sqlite3.connect("{HOME}/.prominence/state.db"); c.execute("DELETE FROM ways"); c.commit()\''


def sshd(site: Site, port: int, config: str, host: str = "node1") -> Iterator[int]:
    start = ["bash", "-c", START_SSHD, "sh", str(port)]
    site.run(start, input=config, user="root", host=host)
    yield port
    site.run(["bash", "-c", END_SSHD, "sh", str(port)], user="root", host=host)


@pytest.fixture
def denying(site: Site) -> Iterator[int]:
    """A node that lets nobody in who has no job there, as it believes."""
    yield from sshd(site, 2301, f'UsePAM no\nForceCommand echo "{DENY}" >&2; exit 1\n')


@pytest.fixture
def closed(site: Site) -> Iterator[int]:
    """A node that knows no key of bob's."""
    yield from sshd(site, 2302, "UsePAM no\nDenyUsers bob\n")


@pytest.fixture
def certified(site: Site) -> Iterator[tuple[int, str]]:
    """A node whose key is signed by an authority; and the authority's public key."""
    made = site.run(["bash", "-ec", MAKE_CA, "sh", "node1,[node1]:2303"], user="root", host="node1")
    config = "UsePAM no\nHostCertificate /etc/ssh/test-host-cert.pub\n"
    for port in sshd(site, 2303, config):
        yield port, made.stdout.strip()


def test_by_the_systems_known_hosts(visitor: Visitor) -> None:
    assert visitor.works() == ""


def other_key(visitor: Visitor) -> str:
    visitor.site.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{SSH}/other"], user="bob"
    )
    return visitor.site.read(f"{SSH}/other.pub", user="bob")


def test_a_changed_host_key_is_refused_with_the_line_to_mend(visitor: Visitor) -> None:
    key = " ".join(other_key(visitor).split()[:2])
    visitor.site.write(f"{SSH}/known_hosts", f"# mine\nnode1 {key}\n", mode=0o600, user="bob")
    visitor.ssh_config("Host node1\n  GlobalKnownHostsFile /dev/null\n")
    said = visitor.refused()
    assert "host key of node1 has changed" in said
    assert f"line 2 of {SSH}/known_hosts" in said
    mend = f"ssh-keygen -R node1 -f {SSH}/known_hosts"
    assert mend in said
    # The advice is good: with the line gone and the true key there, it works.
    visitor.site.run(["sh", "-c", mend], user="bob")
    visitor.ssh_config("")
    visitor.works()


def test_an_unknown_host_is_never_accepted_silently(visitor: Visitor) -> None:
    """Not even where the user's own configuration would have ssh do so."""
    visitor.ssh_config("Host node1\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking no\n")
    said = visitor.refused()
    assert "nothing is accepted unseen" in said
    assert "ssh-keyscan -t" in said
    listed = visitor.site.run(
        ["sh", "-c", f"cat {SSH}/known_hosts 2>/dev/null || true"], user="bob"
    )
    assert listed.stdout == ""


def test_a_known_hosts_file_of_the_sites_configuration(visitor: Visitor) -> None:
    visitor.ssh_config("Host node1\n  GlobalKnownHostsFile /dev/null\n")
    visitor.site.run(
        ["sh", "-c", f"grep node1 /etc/ssh/ssh_known_hosts > {HOME}/known"], user="bob"
    )
    visitor.configure('shell = ["ssh"]', f'ssh_known_hosts = "{HOME}/known"')
    assert visitor.works() == ""


def test_a_host_authority_of_the_sites_configuration(
    visitor: Visitor, certified: tuple[int, str]
) -> None:
    """With a port of the user's ssh configuration; another authority is not believed."""
    port, authority = certified
    visitor.ssh_config(f"Host node1\n  Port {port}\n  GlobalKnownHostsFile /dev/null\n")
    assert "nothing is accepted unseen" in visitor.refused()
    visitor.site.write(f"{HOME}/ca.pub", f"{authority}\n", user="bob")
    visitor.configure('shell = ["ssh"]', f'ssh_host_ca = "{HOME}/ca.pub"')
    assert visitor.works() == ""
    visitor.site.write(f"{HOME}/ca.pub", other_key(visitor), user="bob")
    assert "nothing is accepted unseen" in visitor.refused()
    visitor.configure('shell = ["ssh"]')
    line = f"@cert-authority node1,[node1]:{port} {authority}\n"
    visitor.site.write(f"{SSH}/known_hosts", line, mode=0o600, user="bob")
    assert visitor.works() == ""


def test_through_a_jump_host(visitor: Visitor) -> None:
    visitor.ssh_config("Host node1\n  ProxyJump node2\n")
    assert visitor.works() == ""
    visitor.ssh_config(
        "Host node1\n  ProxyJump node2\nHost node2\n  GlobalKnownHostsFile /dev/null\n"
    )
    assert "node2" in visitor.refused()


def test_a_key_that_the_node_does_not_take(visitor: Visitor) -> None:
    other_key(visitor)
    visitor.ssh_config(f"Host node1\n  IdentityFile {SSH}/other\n  IdentitiesOnly yes\n")
    said = visitor.refused()
    assert "node1" in said
    assert f"{SSH}/other" in said


def test_a_node_that_does_not_answer(visitor: Visitor) -> None:
    """It takes the connection and says nothing: a time limit, then a sentence."""
    listening = visitor.site.popen(["python3", "-c", SILENT], host="node1")
    try:
        assert listening.stdout is not None
        port = int(listening.stdout.readline())
        visitor.ssh_config(f"Host node1\n  Port {port}\n")
        visitor.configure('shell = ["ssh"]', "shell_timeout_seconds = 3")
        assert "within 3 s" in visitor.refused()
    finally:
        listening.communicate(b"")
    visitor.ssh_config(f"Host node1\n  Port {port}\n")
    assert "refuses connections" in visitor.refused()


SILENT = """
import socket, sys
server = socket.socket(); server.bind(("0.0.0.0", 0)); server.listen()
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


def test_srun_takes_over_where_ssh_is_refused_and_is_remembered(
    visitor: Visitor, denying: int, closed: int
) -> None:
    """By a node that adopts no session, by one that knows no key, by one without sshd."""
    visitor.configure()
    for port in (denying, closed, 2):
        visitor.site.run(["sh", "-c", FORGET_WAYS], user="bob")
        hosts = f"{HOME}/known"
        visitor.site.run(["sh", "-c", f"ssh-keyscan -p {port} node1 2>/dev/null > {hosts} || true"],
                         user="bob")  # fmt: skip
        visitor.ssh_config(f"Host node1\n  Port {port}\n  UserKnownHostsFile {hosts}\n")
        assert "ssh: " in visitor.works("-v")
        assert "ssh: " not in visitor.works("-v")


def test_a_failure_names_every_way_and_why(visitor: Visitor, denying: int) -> None:
    visitor.site.run(["sh", "-c", f"ssh-keyscan -p {denying} node1 2>/dev/null > {HOME}/known"],
                     user="bob")  # fmt: skip
    visitor.ssh_config(f"Host node1\n  Port {denying}\n  UserKnownHostsFile {HOME}/known\n")
    visitor.configure('shell = ["ssh", "srun"]', "shell_timeout_seconds = 5")
    visitor.site.write(f"{HOME}/bin/srun", BROKEN_SRUN, mode=0o755, user="bob")
    visitor.prominence.environment["PATH"] = f"{HOME}/bin:/usr/local/bin:/usr/bin:/bin"
    said = visitor.refused()
    assert f"Tried ssh: ended with exit code 1: {DENY}" in said
    assert "srun: ended with exit code 1: srun: error: no steps for you" in said


BROKEN_SRUN = "#!/bin/sh\necho 'srun: error: no steps for you' >&2\nexit 1\n"


def test_a_changed_key_is_told_even_where_another_way_led_there(visitor: Visitor) -> None:
    key = " ".join(other_key(visitor).split()[:2])
    visitor.site.write(f"{SSH}/known_hosts", f"node1 {key}\n", mode=0o600, user="bob")
    visitor.ssh_config("Host node1\n  GlobalKnownHostsFile /dev/null\n")
    visitor.configure()
    said = visitor.works()
    assert "host key of node1 has changed" in said
    assert "srun to node1 is used instead" in said


def test_a_way_that_the_backend_has_not(visitor: Visitor) -> None:
    visitor.configure('shell = ["teleport"]')
    done = visitor.prominence("exec", visitor.job, "true", check=False)
    assert done.returncode == 3
    assert "sites.slurm.shell" in done.stderr
    shown = visitor.prominence("config", "--json", check=False)
    assert shown.returncode == 3
    visitor.configure('shell = ["srun", "ssh"]')
    shown = visitor.prominence("config", "--json")
    assert json.loads(shown.stdout)["sites.slurm.shell"]["value"] == ["srun", "ssh"]
