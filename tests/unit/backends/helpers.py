"""What the backends' tests share: a submission, and schedulers' commands that are ours."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from prominence_hpc.backends.base import Submission

__all__ = ["TAG", "FakePrograms", "submission"]

TAG = "0123456789abcdef0123456789abcdef"

# Keeps what it was called with, and plays the part that a test has written for it.
PROGRAM = """\
#!{python} -IS
import json, os, sys, time
here = {here!r}
name = os.path.basename(sys.argv[0])
call = {{"argv": [name] + sys.argv[1:], "environment": dict(os.environ), "umask": os.umask(0)}}
with open(os.path.join(here, "calls"), "a") as file:
    file.write(json.dumps(call) + "\\n")
part = json.load(open(os.path.join(here, name + ".json")))
time.sleep(part["seconds"])
sys.stdout.write(part["stdout"])
sys.stderr.write(part["stderr"])
sys.exit(part["returncode"])
"""


class FakePrograms:
    """Programs in a folder that is first on PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def add(
        self,
        name: str,
        *,
        stdout: str = "",
        stderr: str = "",
        returncode: int = 0,
        seconds: float = 0,
    ) -> None:
        part = {"stdout": stdout, "stderr": stderr, "returncode": returncode, "seconds": seconds}
        (self.folder / f"{name}.json").write_text(json.dumps(part))
        program = self.folder / name
        program.write_text(
            PROGRAM.format(python=os.path.realpath(sys.executable), here=str(self.folder))
        )
        program.chmod(0o755)

    def calls(self) -> list[dict[str, Any]]:
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]


def submission(folder: Path, **fields: Any) -> Submission:
    """A submission with every field set."""
    labels = {"app": "tokamak", "run": "7"}
    values: dict[str, Any] = {
        "tag": TAG,
        "job_id": 12,
        "name": "a/name of-it 1",
        "labels": labels,
        "folder": folder,
        "runner": Path("/opt/prominence/runner.pyz"),
        "cpus": 4,
        "memory_mib": 2048,
        "disk_mib": 10240,
        "limit_seconds": 2690,
        "priority": 3,
    }
    return Submission(**{**values, **fields})
