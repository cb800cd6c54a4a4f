"""The packed runner run as a job runs it, with a stand-in for Apptainer first on PATH.

The stand-in is what the runner's own argument lists, environments, signals and error handling are
tried against; what a real Apptainer makes of them is the subject of tests/engine/test_wrapper.py.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from prominence_hpc.wrappers import bundle, report
from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers.report import Report
from tests.unit.wrappers.conftest import a_plan

APPTAINER = r"""#!/bin/sh
# Runs commands where the container would, with its environment; knows version, build and pull.
[ "$1" = --version ] && { echo "apptainer version 1.4.5"; exit; }
case "$1" in
build) [ -e "${0%/*}/fail" ] && { echo "INFO: x"; echo "FATAL: no"; exit 255; }
    printf 'built from %s' "${4%%:*}" > "$3"; exit ;;
pull) [ -e "${0%/*}/fail" ] && { echo "FATAL: While pulling \"$4\": no"; exit 255; }
    echo "$*" "$APPTAINER_DOCKER_USERNAME" > "$3"; exit ;;
esac
while :; do
    case "$1" in
    --home) home=${2%:*}; shift 2 ;;
    --pwd) pwd=$2; shift 2 ;;
    --bind | --mount | --app) shift 2 ;;
    -*) shift ;;
    exec | run) shift ;;
    *) image=$1; shift; break ;;
    esac
done
export IMAGE="$image"
case "$pwd" in /home/user*) cd "$home${pwd#/home/user}" || exit 255 ;; esac
exec "$@"
"""


@dataclass
class Runs:
    """A folder with a plan, a runner, and a PATH that begins with the stand-in."""

    folder: Path
    python: str = sys.executable
    environment: dict[str, str] = field(default_factory=dict)
    streams: "tuple[int | IO[str], int | IO[str]]" = (subprocess.PIPE, subprocess.PIPE)
    number: int | None = None  # of the job, where the plan is a sweep's

    def __post_init__(self) -> None:
        (self.folder / "bin").mkdir()
        program = self.folder / "bin/apptainer"
        program.write_text(APPTAINER)
        program.chmod(0o755)
        (self.folder / "job").mkdir()
        (self.folder / "job/image.sif").write_bytes(b"\0" * 32 + b"SIF_MAGIC" + bytes(1000))
        self.runner = bundle.install_runner(self.folder)

    @property
    def job(self) -> Path:
        """The folder of the job: that of the plan, or of a sweep's job."""
        shared = self.folder / "job"
        return shared if self.number is None else shared / str(self.number)

    def argv(self, folder: Path) -> list[str]:
        """The command that runs the plan in this folder."""
        number = [] if self.number is None else [str(self.number)]
        return [self.python, "-IS", str(self.runner), str(folder / "plan.json"), *number]

    def start(self, *tasks: plans.Task, **fields: Any) -> "subprocess.Popen[str]":
        image = plans.Image(name="image.sif", kind="sif", source="image.sif")
        values: dict[str, Any] = {
            "images": (image,),
            "tasks": tasks,
            "scratch": str(self.folder / "scratch"),
        }
        plan = a_plan(**{**values, **fields})
        (self.folder / "job/plan.json").write_text(plans.render(plan))
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return subprocess.Popen(
            self.argv(self.folder / "job"),
            env={**os.environ, "PATH": path, **self.environment},
            stdout=self.streams[0],
            stderr=self.streams[1],
            text=True,
        )

    def run(self, *tasks: plans.Task, **fields: Any) -> Report:
        """Run one job to its end; ``stdout``, ``stderr`` and ``code`` are kept."""
        with self.start(*tasks, **fields) as process:
            self.finish(process)
        return self.report()

    def run_into_files(self, *tasks: plans.Task, **fields: Any) -> Report:
        """The same as a scheduler does it, which appends the streams to files beside the plan."""
        self.job.mkdir(exist_ok=True)
        with (
            (self.job / "stdout").open("a") as stdout,
            (self.job / "stderr").open("a") as stderr,
        ):
            self.streams = stdout, stderr
            return self.run(*tasks, **fields)

    def finish(self, process: "subprocess.Popen[str]") -> None:
        self.stdout, self.stderr = process.communicate(timeout=60)
        self.code = process.returncode

    def report(self) -> Report:
        found = report.read(self.job / "report.json")
        assert found is not None, self.stderr
        return found

    def result(self, name: str) -> bytes:
        return (self.folder / "job/results" / name).read_bytes()

    def log(self) -> str:
        return (self.job / "wrapper.log").read_text()

    def left_over(self) -> list[Path]:
        return list((self.folder / "scratch").iterdir())


def shell(text: str, **fields: Any) -> plans.Task:
    return plans.Task(image=0, command=("sh", "-c", text), **fields)


def output(name: str, **fields: Any) -> plans.Output:
    """An output that goes to the folder ``results`` beside the plan."""
    values: dict[str, Any] = {
        "kind": "file",
        "object_name": name,
        "destination": plans.Destination(method="folder", path="results"),
    }
    return plans.Output(name=name, **{**values, **fields})


def artifact(name: str, **fields: Any) -> plans.Artifact:
    return plans.Artifact(**{"name": name, "filename": name, "source": name, **fields})


def ended(report: Report) -> tuple[str | None, str]:
    return report["outcome"], report["reason"]


def until(condition: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
