"""A running job on each backend, and by each way into it, for tests of what is done inside."""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.engine.prominence import WAIT_SECONDS, Prominence
from tests.site.handle import Site

__all__ = ["WAYS", "RunningJob", "running_job", "until"]

# How the test is called: the backend, and the site's order of ways where there are several. How Slurm
# is asked about the job has nothing to do with the way to its node: one transport for each.
WAYS = {
    "slurm-ssh": ("slurm", 'slurm_transport = "commands"\nshell = ["ssh"]'),
    "slurm-srun": ("slurm", 'slurm_transport = "pyslurm"\nshell = ["srun"]'),
    "htcondor": ("htcondor", ""),
    "local": ("local", ""),
}
# The task leaves a mark where only its own container has one, and then works without an end.
TASK = """
echo shared > file
echo memory > /dev/shm/mark
while :; do busybox sleep 1; done
"""


@dataclass
class RunningJob:
    """One job in which a task runs, and the command that reaches it."""

    prominence: Prominence
    id: int
    way: str  # of WAYS
    hosts: tuple[str, ...]  # where it may run

    def exec(self, *words: str, check: bool = True) -> str:
        """Standard output of ``exec ID WORDS``."""
        return self.prominence("exec", str(self.id), *words, check=check).stdout

    def has_begun(self) -> bool:
        """Whether its task runs. Nothing else may be in the way, be it the first second of the job."""
        done = self.prominence("exec", str(self.id), "cat", "/dev/shm/mark", check=False)
        if done.returncode == 8:
            assert "With --host" in done.stderr, done.stderr
            return False
        assert done.returncode in (0, 1), done.stderr  # 1: the task has yet to make its mark
        return done.stdout == "memory\n"

    def processes(self, text: str) -> list[str]:
        """Command lines with this text, on the login node and where the job may run."""
        found = []
        for host in {"login", *self.hosts}:
            done = self.prominence.site.run(
                ["pgrep", "-af", "--", text], user="root", host=host, check=False
            )
            lines = [line for line in done.stdout.splitlines() if "pgrep" not in line]
            found += [f"{host}: {line}" for line in lines]
        return found


def configured(site: Site, folder: str, way: str, more: str = "") -> Prominence:
    """The command with jobs going to the way's backend, by a user's configuration of its own."""
    backend, line = WAYS[way]
    path = f"{folder}/config.toml"
    site.write(path, f"[sites.{backend}]\n{line}\n{more}\n")
    return Prominence(
        site, folder, backend=backend, transport="", environment={"PROMINENCE_CONFIG": path}
    )


@contextmanager
def running_job(site: Site, image: str, way: str) -> Iterator[RunningJob]:
    """A job of this way, in a folder of its own, until the tests are over."""
    folder = f"/home/alice/engine-tests/inside-{way}-{secrets.token_hex(4)}"
    site.run(["mkdir", "-p", folder])
    prominence = configured(site, folder, way)
    # A mountpoint as well, and an environment and working directory of the task's own.
    prominence.shell("mkdir data && echo inside > data/inner && tar czf data.tgz data")
    name = f"{os.path.basename(folder)}.tgz"  # noqa: PTH119 - a name on the site
    prominence("upload", "--name", name, "--filename", "data.tgz")
    job_id = prominence.create(
        "--artifact", f"{name}:data:/mnt/data", "--env", "MINE=it's \"mine\"", "--workdir", "below",
        image, f"sh -c '{TASK}'",
    )  # fmt: skip
    hosts = {"slurm": ("node1", "node2"), "htcondor": ("exec1", "exec2"), "local": ("login",)}
    job = RunningJob(prominence, job_id, way, hosts[prominence.backend])
    try:
        until(lambda: prominence.describe(job_id)["status"] == "running")
        until(job.has_begun)
        yield job
    finally:
        prominence("delete", str(job_id), check=False)
        prominence("rm", name, check=False)
        prominence("wait", str(job_id), check=False)
        site.run(["rm", "-rf", folder])


def until(condition: object, seconds: float = WAIT_SECONDS) -> None:
    """Wait until a condition holds."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.3)
