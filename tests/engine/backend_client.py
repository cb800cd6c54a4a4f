"""A backend on the site's login node, as a test calls it."""

import itertools
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from tests.site.handle import Site

__all__ = ["Raised", "RemoteBackend"]

PYTHON = "/opt/prominence/bin/python"
DRIVER = "/opt/prominence-source/tests/engine/backend_driver.py"
WAIT_SECONDS = 90.0

_numbers = itertools.count(1)


class Raised(Exception):
    """The backend raised one of our errors."""

    def __init__(self, error: str, message: str) -> None:
        self.error, self.message = error, message
        super().__init__(f"{error}: {message}")


@dataclass
class Job:
    """What was submitted, and what came of it."""

    tag: str
    folder: str
    handle: str


@dataclass
class RemoteBackend:
    """One backend with a state folder of its own below ``root``.

    Slurm is spoken to by its commands unless ``transport`` says otherwise.
    """

    site: Site
    name: str
    root: str
    settings: dict[str, Any] = field(default_factory=dict)
    transport: str = "commands"
    environment: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0  # that the last call took over there
    handles: list[str] = field(default_factory=list)  # of all that was submitted

    def call(self, verb: str, argument: Any) -> Any:
        request = {
            "backend": self.name,
            "settings": self._transport() | self.settings,
            "state": f"{self.root}/state",
            "calls": [[verb, argument]],
        }
        environment = {"PYTHONPATH": "/opt/prominence-source/src", "PYTHONDONTWRITEBYTECODE": "1"}
        done = self.site.run(
            [PYTHON, DRIVER], input=json.dumps(request), env=environment | self.environment
        )
        (result,) = json.loads(done.stdout)
        self.seconds = result["seconds"]
        if "error" in result:
            raise Raised(result["error"], result["message"])
        return result["answer"]

    def _transport(self) -> dict[str, str]:
        return {"slurm_transport": self.transport} if self.name == "slurm" else {}

    def submit(self, code: str, **fields: Any) -> Job:
        """Submit a job that runs the Python text ``code`` in place of the wrapper."""
        document = self.submission(code, **fields)
        handle = self.call("submit", document)
        self.handles.append(handle)
        return Job(document["tag"], document["folder"], handle)

    def submission(self, code: str, **fields: Any) -> dict[str, Any]:
        """What the driver makes a submission of."""
        number = next(_numbers)
        return {
            "tag": secrets.token_hex(16),
            "job_id": number,
            "name": "",
            "labels": {},
            "folder": f"{self.root}/job {number}",
            "cpus": 1,
            "memory_mib": 100,
            "disk_mib": 50,
            "limit_seconds": 600,
            "code": code,
            **fields,
        }

    def copies(self, job: Job, count: int) -> list[str]:
        """The handles of a submission's copies."""
        return [self.call("copy_handle", [job.handle, number]) for number in range(count)]

    def state(self, handle: str) -> dict[str, Any]:
        """The queue's word, or where it has none any more the history's."""
        state: dict[str, Any] = self.call("poll", [handle])[handle]
        if state["condition"] == "absent":
            state = self.call("history", [handle]).get(handle, state)
        return state

    def wait(self, job: Job, condition: str = "ended") -> dict[str, Any]:
        """The job's state once its condition is as named."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            state = self.state(job.handle)
            if state["condition"] == condition:
                return state
            assert state["condition"] != "ended", state
            assert time.monotonic() < deadline, state
            time.sleep(0.3)

    def output(self, job: Job, stream: str = "stdout") -> str:
        text: str = self.call("output", [job.handle, job.folder, stream])
        return text

    def wait_for_output(self, job: Job, text: str) -> str:
        deadline = time.monotonic() + WAIT_SECONDS
        while text not in (shown := self.output(job)):
            assert time.monotonic() < deadline, shown
            time.sleep(0.3)
        return shown

    def read(self, job: Job, name: str) -> str:
        return self.site.run(["cat", f"{job.folder}/{name}"]).stdout

    def record(self, job: Job) -> dict[str, Any]:
        """What the scheduler's record holds of a job in the queue, by the scheduler's own tools."""
        reader = {"slurm": self._slurm, "htcondor": self._htcondor, "local": self._local}[self.name]
        return reader(job)

    def _slurm(self, job: Job) -> dict[str, Any]:
        fields = "Name", "Comment", "NumCPUs", "MinMemory", "TimeLimit", "Nice", "WorkDir"
        wanted = ",".join(f"{name}:" + "\x1f" for name in fields[:-1]) + f",{fields[-1]}:"
        show = ["squeue", "--noheader", "--states=all", f"--jobs={job.handle}"]
        said = self.site.run([*show, f"--Format={wanted}"]).stdout.removesuffix("\n")
        values = dict(zip(fields, said.split("\x1f"), strict=True))
        tag, _, labels = values["Comment"].partition(" labels=")
        minutes, _, seconds = values["TimeLimit"].partition(":")
        return {
            "name": values["Name"],
            "tag": tag.partition(" ")[0].removeprefix("prominence:"),
            "labels": json.loads(labels) if labels else {},
            "cpus": int(values["NumCPUs"]),
            "memory_mib": int(values["MinMemory"].removesuffix("M")),
            "seconds": int(minutes) * 60 + int(seconds),
            "nice": int(values["Nice"]),
            "folder": values["WorkDir"],
        }

    def _htcondor(self, job: Job) -> dict[str, Any]:
        said = self.site.run(["condor_q", job.handle, "-json"]).stdout.strip()
        said = said or self.site.run(["condor_history", job.handle, "-json"]).stdout
        (ad,) = json.loads(said)
        labels = (json.loads(f'"{item}"').partition("=") for item in ad["ProminenceLabels"])
        return {
            "name": json.loads(f'"{ad["JobBatchName"]}"'),
            "tag": ad["ProminenceTag"],
            "labels": {key: value for key, _, value in labels},
            "cpus": ad["RequestCpus"],
            "memory_mib": ad["RequestMemory"],
            "disk_kib": ad["RequestDisk"],
            "seconds": ad["AllowedExecuteDuration"],
            "priority": ad.get("JobPrio", 0),
            "folder": ad["Iwd"],
        }

    def _local(self, job: Job) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(self.read(job, "local.json"))
        return {**record, "seconds": record["limit_seconds"]}
