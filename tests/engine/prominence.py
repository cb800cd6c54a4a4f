"""The `prominence` command on the site's login node, as a test types it."""

import json
import re
import shlex
from dataclasses import dataclass, field
from subprocess import CompletedProcess
from typing import Any

from tests.site.handle import CommandFailed, Site

__all__ = ["BACKENDS", "SCHEDULERS", "Prominence", "backend_and_transport"]

# Parameters of tests: Slurm is one backend, and is spoken to in two ways.
SCHEDULERS = ("slurm", "slurm-pyslurm", "htcondor")
BACKENDS = (*SCHEDULERS, "local")
WAIT_SECONDS = 120


def backend_and_transport(parameter: str) -> tuple[str, str]:
    """What one of BACKENDS stands for."""
    backend, _, transport = parameter.partition("-")
    return backend, transport or "commands"


@dataclass
class Prominence:
    """One user with a state folder of their own; ``backend`` is the site that jobs go to."""

    site: Site
    folder: str  # on the login node; the current folder of every command
    backend: str = "slurm"
    transport: str = "commands"  # to Slurm
    user: str = "alice"
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(
        self, *arguments: str, check: bool = True, timeout: float = WAIT_SECONDS
    ) -> CompletedProcess[str]:
        """Run ``prominence ARGUMENTS``; CommandFailed where it fails, unless ``check`` is False."""
        return self.site.run(
            ["prominence", *arguments],
            user=self.user,
            cwd=self.folder,
            env=self.variables(),
            check=check,
            timeout=timeout,
        )

    def variables(self) -> dict[str, str]:
        """The environment in which the command is this user's, going to this backend."""
        return {
            "PROMINENCE_HOME": f"{self.folder}/.prominence",
            "PROMINENCE_SITE": self.backend,
            "PROMINENCE_SLURM_TRANSPORT": self.transport,
            **self.environment,
        }

    @property
    def engine(self) -> str:
        """The backend and the transport: what makes names of things that tests share their own."""
        return self.backend if self.transport == "commands" else f"{self.backend}-{self.transport}"

    def line(self, text: str) -> CompletedProcess[str]:
        """Type a line as a document shows it."""
        command, *arguments = shlex.split(text)
        assert command == "prominence"
        return self(*arguments)

    def create(self, *arguments: str) -> int:
        return self.created(self("create", *arguments))

    @staticmethod
    def created(done: CompletedProcess[str]) -> int:
        found = re.fullmatch(r"Job created with id (\d+)\n", done.stdout)
        assert found, done.stdout + done.stderr
        return int(found[1])

    def run(self, *arguments: str) -> dict[str, Any]:
        """Create a job, wait for its end, and describe it."""
        return self.ended(self.create(*arguments))

    def ended(self, job_id: int) -> dict[str, Any]:
        self("wait", "--timeout", str(WAIT_SECONDS - 10), str(job_id), check=False)
        described = self.describe(job_id)
        if described["status"] in ("idle", "running"):
            raise AssertionError(self.told(job_id, described))
        return described

    def describe(self, job_id: int) -> dict[str, Any]:
        (described,) = json.loads(self("describe", str(job_id)).stdout)
        assert isinstance(described, dict)
        return described

    def completed(self, *arguments: str) -> dict[str, Any]:
        """As :meth:`run`, for a job whose tasks must all end with 0."""
        described = self.run(*arguments)
        exits = [task["exitCode"] for task in described["execution"].get("tasks", [])]
        assert described["status"] == "completed", self.told(described["id"], described)
        assert set(exits) == {0}, self.told(described["id"], described)
        return described

    def stdout(self, job_id: int) -> str:
        return self("stdout", str(job_id)).stdout

    def told(self, job_id: int, described: dict[str, Any]) -> str:
        """Everything there is to know about a job that did not do as it should."""
        streams = [
            f"--- {stream}\n" + self(stream, str(job_id), check=False).stdout
            for stream in ("stdout", "stderr")
        ]
        logs = self.site.run(
            ["sh", "-c", f"tail -n 40 {self.folder}/.prominence/jobs/*/{job_id}/wrapper.log"],
            user=self.user,
            check=False,
        )
        return "\n".join(
            [json.dumps(described, indent=1), *streams, "--- wrapper.log", logs.stdout]
        )

    def write(self, name: str, content: str | bytes, mode: int = 0o644) -> None:
        self.site.write(f"{self.folder}/{name}", content, mode=mode, user=self.user)

    def read(self, name: str) -> str:
        return self.site.read(f"{self.folder}/{name}", user=self.user)

    def shell(self, text: str) -> str:
        """A shell line on the login node, in the folder; its standard output."""
        done = self.site.run(["bash", "-ec", text], user=self.user, cwd=self.folder)
        return done.stdout


__all__ += ["CommandFailed"]
