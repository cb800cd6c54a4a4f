"""Remote storage as a folder in the containers: a WebDAV server on the login node, with TLS and a password."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.engine.prominence import Prominence
from tests.site.handle import Site

CONFIGURATION = """
[sites.slurm]
backend = "slurm"
webdav = "rclone"
b2drop_url = "{url}"
[sites.htcondor]
backend = "htcondor"
webdav = "rclone"
b2drop_url = "{url}"
[sites.local]
backend = "local"
b2drop_url = "{url}"
"""
HOSTS = ("login", "node1", "node2", "exec1", "exec2")
# serve FOLDER PASSWORD: prints the port.
SERVE = """
mkdir -p "$1" && cd "$1"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')
export RCLONE_USER=tester RCLONE_PASS="$2"
setsid rclone serve webdav . --addr :$port \
  --cert /etc/ssl/login/server.crt --key /etc/ssl/login/server.key > ../server.log 2>&1 &
echo $! > ../server.pid
for i in $(seq 200); do
  curl -s -o /dev/null https://login:$port/ && echo $port && exit
  sleep 0.1
done
cat ../server.log; exit 1
"""


@dataclass
class Server:
    """A folder that a WebDAV server shows to who knows the password."""

    site: Site
    folder: str
    password: str
    url: str

    def storage(self, **changes: Any) -> dict[str, Any]:
        webdav = {"url": self.url, "username": "tester", "password": self.password}
        return {"type": "webdav", "mountpoint": "/mnt/remote", "webdav": webdav} | changes

    def read(self, name: str) -> str:
        return self.site.read(f"{self.folder}/{name}", user="alice")

    def comes(self, name: str) -> str:
        """As :meth:`read`, of a file that may be on its way still: a deleted job is shown as such at once."""
        there = 'for i in $(seq 200); do [ -s "$1" ] && exit; sleep 0.1; done; exit 1'
        self.site.run(["sh", "-c", there, "sh", f"{self.folder}/{name}"], user="alice")
        return self.read(name)


@pytest.fixture
def server(site: Site, folder: str) -> Iterator[Server]:
    password = f"pass {secrets.token_hex(8)} 'wörd'"
    done = site.run(["bash", "-ec", SERVE, "serve", f"{folder}/served", password])
    try:
        yield Server(site, f"{folder}/served", password, f"https://login:{int(done.stdout)}/")
    finally:
        site.run(["sh", "-c", f"kill $(cat {folder}/server.pid)"], check=False)


@pytest.fixture
def mounting(prominence: Prominence, server: Server) -> Prominence:
    """The command, with sites whose nodes can mount what ``server`` shows."""
    prominence.write("site.toml", CONFIGURATION.format(url=server.url))
    prominence.environment["PROMINENCE_CONFIG"] = f"{prominence.folder}/site.toml"
    return prominence


def submitted(prominence: Prominence, image: str, script: str, storage: dict[str, Any]) -> int:
    line = "; ".join(script.strip().splitlines())
    tasks = [{"image": image, "cmd": f"sh -ec '{line}'"}]
    resources = {"memory": 0.3, "disk": 1}
    description = {"tasks": tasks, "resources": resources, "storage": storage}
    prominence.write("job.json", json.dumps(description), mode=0o600)
    return prominence.created(prominence("run", "job.json"))


WORK = """
cat /mnt/remote/given
echo made > /mnt/remote/made
mkdir /mnt/remote/folder
head -c 300000 /dev/zero > /mnt/remote/folder/large
printf in > /mnt/remote/folder/large.part
printf side | dd of=/mnt/remote/folder/large bs=1 seek=1000 conv=notrunc 2> /dev/null
mv /mnt/remote/folder/large.part /mnt/remote/folder/moved
ls /mnt/remote
"""


@pytest.mark.honours("storage b2drop/webdav")
def test_a_job_reads_and_writes(mounting: Prominence, image: str, server: Server) -> None:
    """All that tasks wrote is on the server when the job has ended, and its node is left clean."""
    mounting.site.write(f"{server.folder}/given", "from the server\n", user="alice")
    job_id = submitted(mounting, image, WORK, server.storage())
    found = mounting.ended(job_id)
    assert found["status"] == "completed", mounting.told(job_id, found)
    assert mounting.stdout(job_id) == "from the server\nfolder\ngiven\nmade\n"
    assert server.read("made") == "made\n"
    assert server.read("folder/moved") == "in"
    large = server.read("folder/large")
    assert (len(large), large[1000:1004]) == (300000, "side")
    assert server.read("given") == "from the server\n"
    unmounted(mounting, job_id)
    nothing_tells(mounting, job_id, server)


def unmounted(prominence: Prominence, job_id: int) -> None:
    """Nothing of the job is mounted anywhere; a job of another test may have the same id for a while."""
    gone = f"for i in $(seq 300); do grep -q '/prominence-{job_id}-.*fuse.rclone' /proc/mounts || exit 0; sleep 0.1; done; exit 1"
    for host in HOSTS:
        prominence.site.run(["sh", "-c", gone], host=host)


def nothing_tells(prominence: Prominence, job_id: int, server: Server) -> None:
    """The password is in no log, no answer and no scheduler's record."""
    folder = f"{prominence.folder}/.prominence/jobs/0000/{job_id}"
    shown = prominence("describe", str(job_id)).stdout
    assert json.loads(shown)[0]["storage"]["mountpoint"] == "/mnt/remote"
    shown += prominence("describe", "--input", str(job_id)).stdout
    shown += prominence.shell(f"cat {folder}/wrapper.log {folder}/job.sh {folder}/report.json")
    shown += prominence.shell(
        "scontrol show job; sacct -l -P; condor_q -long; condor_history -long"
    )
    assert server.password.split()[1] not in shown
    modes = prominence.shell(f"stat -c %a {folder}/job.json {folder}/plan.json").split()
    assert modes == ["600", "600"]


@pytest.mark.honours("storage b2drop/webdav")
def test_b2drop_where_it_is_when_a_job_is_cancelled(
    mounting: Prominence, image: str, server: Server
) -> None:
    """What a task has written is on the server; meanwhile no process shows the password."""
    b2drop = {"app-username": "tester", "app-password": server.password}
    storage = {"type": "b2drop", "b2drop": b2drop}
    script = (
        'echo one > /data/one; trap "echo last > /data/last; exit" TERM; echo up; sleep 600 & wait'
    )
    job_id = submitted(mounting, image, script, storage)
    started = f"for i in $(seq 300); do prominence stdout {job_id} 2> /dev/null | grep -q up && exit; sleep 0.2; done; exit 1"
    environment = {"PROMINENCE_HOME": f"{mounting.folder}/.prominence", **mounting.environment}
    mounting.site.run(["sh", "-c", started], env=environment, cwd=mounting.folder)
    for host in HOSTS:
        words = mounting.site.run(
            ["sh", "-c", "cat /proc/[0-9]*/cmdline 2> /dev/null | tr '\\0' ' '"],
            host=host,
            user="root",
        ).stdout
        assert server.password.split()[1] not in words
    mounting("delete", str(job_id))
    assert mounting.ended(job_id)["status"] == "deleted"
    unmounted(mounting, job_id)
    assert server.comes("one") == "one\n"
    if mounting.backend != "slurm":  # which signals rclone together with the task
        assert server.comes("last") == "last\n"


def test_a_wrong_password_is_the_reason(mounting: Prominence, image: str, server: Server) -> None:
    wrong = {**server.storage()["webdav"], "password": "not-that-one"}
    job_id = submitted(mounting, image, "echo never", server.storage(webdav=wrong))
    found = mounting.ended(job_id)
    assert (found["status"], found["statusReason"]) == ("failed", "Storage could not be mounted")
    assert "does not take this user name and password" in found["execution"]["detail"]
    assert mounting.stdout(job_id) == ""


def test_a_killed_jobs_mount_is_cleared_and_the_data_stays(
    site: Site, folder: str, image: str, server: Server
) -> None:
    """The wrapper is killed outright; the next job on the machine removes what is left of it."""
    local = Prominence(site, folder, backend="local")
    local.write("data", "x")
    local.shell("cp data served/kept")
    job_id = submitted(local, image, "ls /mnt/remote; sleep 600", server.storage())
    running = f".prominence/jobs/0000/{job_id}/running.json"
    local.shell(
        f"for i in $(seq 300); do grep -q kept .prominence/jobs/0000/{job_id}/stdout && exit; sleep 0.1; done; exit 1"
    )
    here = json.loads(local.read(running))
    local.shell(f"kill -9 {here['pid']}")
    local.completed(image, "true")
    assert local.shell("ls served") == "kept\n"
    left = local.shell("cat /proc/mounts; ls -d /tmp/prominence-* || true; ps axww -o args")
    assert here["scratch"] not in left


@pytest.mark.parametrize("backend", ["slurm", "htcondor"])
def test_refused_where_the_site_says_nothing(
    site: Site, folder: str, image: str, backend: str
) -> None:
    prominence = Prominence(site, folder, backend=backend)
    storage = Server(site, folder, "x", "https://login/").storage()
    description = {"tasks": [{"image": image}], "resources": {"memory": 1}, "storage": storage}
    prominence.write("job.json", json.dumps(description))
    done = prominence("run", "job.json", check=False)
    assert done.returncode == 2
    assert "storage.type: storage of type webdav is mounted by rclone and FUSE" in done.stderr
    assert 'webdav = "rclone"' in done.stderr


@pytest.mark.refuses("storage onedata")
def test_onedata_is_refused(prominence: Prominence, image: str) -> None:
    storage = {"type": "onedata", "onedata": {"provider": "p.example", "token": "s3cr3t"}}
    description = {"tasks": [{"image": image}], "resources": {"memory": 1}, "storage": storage}
    prominence.write("job.json", json.dumps(description))
    done = prominence("run", "job.json", check=False)
    assert done.returncode == 2
    assert "storage.type: Onedata is mounted by oneclient" in done.stderr
    assert "s3cr3t" not in done.stderr
