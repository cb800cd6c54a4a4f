"""Runs of the wrapper by hand: a plan of one task, the runner, and the report that it leaves."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers import report
from prominence_hpc.wrappers.bundle import install_runner
from prominence_hpc.wrappers.report import Report
from tests.benchmarks.container import image
from tests.benchmarks.data import DATA
from tests.benchmarks.measure import CommandFailed, Sample, timed
from tests.benchmarks.workbench import WORK

NODE_PYTHON = "/usr/bin/python3"
SECONDS = 600
CACHE_BYTES = 1 << 30
DATA_THERE = "/bench"  # where a task sees the folder of `data`


@dataclass(frozen=True)
class Hand:
    """The folder of one plan, run again and again."""

    folder: Path
    runner: Path

    def run(self, plan: plans.Plan, *, stdout: Path | None = None) -> tuple[Sample, Report]:
        """One run from an empty scratch folder, which is empty again afterwards."""
        (self.folder / "report.json").unlink(missing_ok=True)
        path = self.folder / "plan.json"
        path.touch(mode=0o600)
        path.write_text(plans.render(plan))
        sample = timed(
            [NODE_PYTHON, str(self.runner), str(path)], folder=self.folder, stdout=stdout
        )
        written = report.read(self.folder / "report.json")
        if written is None or written["outcome"] != "completed":
            message = f"the runner's report in {self.folder} does not say completed: {written}"
            raise CommandFailed(message)
        return sample, written


def hand(name: str) -> Hand:
    """An empty folder for plans and the runner as jobs get it."""
    folder = WORK / "plans" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return Hand(folder, install_runner(folder))


def plan(*command: str, **fields: Any) -> plans.Plan:
    """One task in busybox, whose image is fetched once and then found in the cache."""
    DATA.mkdir(exist_ok=True)
    sif = image()
    source = plans.Image(
        name="busybox.sif",
        kind="sif",
        source=str(sif),
        sha256=hashlib.sha256(sif.read_bytes()).hexdigest(),
        size_bytes=sif.stat().st_size,
    )
    return plans.Plan(
        job_id=1,
        job_uid="bench",
        name="bench",
        cpus=1,
        memory_gb=1,
        disk_gb=10,
        walltime_seconds=SECONDS,
        limit_seconds=2 * SECONDS,
        reserve_seconds=SECONDS,
        images=(source,),
        tasks=(plans.Task(image=0, command=command),),
        binds=(f"{DATA}:{DATA_THERE}",),
        scratch=str(scratch()),
        image_cache=str(WORK / "images"),
        image_cache_bytes=CACHE_BYTES,
        **fields,
    )


def seen_by_task(path: Path) -> str:
    """Where a task finds one of the files or folders of `data`."""
    return f"{DATA_THERE}/{path.relative_to(DATA)}"


def scratch() -> Path:
    path = WORK / "scratch"
    path.mkdir(exist_ok=True)
    return path
