"""How long `prominence exec ID true` takes, beside the way's own bare command."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.budgets import Budget
from tests.benchmarks.container import image
from tests.benchmarks.measure import Sample, timed
from tests.benchmarks.workbench import HOME, Workbench

NAME = "bench-exec.sif"
START_SECONDS = 60


def srun(bench: Workbench) -> None:
    with running_job(bench, "slurm", 'shell = ["srun"]') as (job_id, handle, environment):
        bare = ["srun", "--overlap", f"--jobid={handle}", "-N1", "-n1", "true"]
        compare(bench, "`exec … true` by srun", job_id, environment, bare)


def ssh(bench: Workbench) -> None:
    with running_job(bench, "slurm", 'shell = ["ssh"]') as (job_id, handle, environment):
        node = said(["squeue", "--noheader", f"--jobs={handle}", "--Format=NodeList"])
        compare(bench, "`exec … true` by ssh", job_id, environment, ["ssh", node, "true"])


def htcondor(bench: Workbench) -> None:
    with running_job(bench, "htcondor", "") as (job_id, handle, environment):
        bare = ["condor_ssh_to_job", handle, "true"]
        compare(bench, "`exec … true` on htcondor", job_id, environment, bare)


def compare(
    bench: Workbench, row: str, job_id: str, environment: dict[str, str], bare: list[str]
) -> None:
    def ours(_: int) -> Sample:
        return timed(["prominence", "exec", job_id, "true"], environment=environment)

    def others(_: int) -> Sample:
        return timed(bare)

    ours(0)  # the job's status becomes known, and the interpreter's caches are written
    budget = Budget(kind="over", limit=0.25)
    bench.compare(row, budget, ours, others, beside=f"`{bare[0]} … true`", runs=bench.short_runs)


@contextmanager
def running_job(
    bench: Workbench, backend: str, line: str
) -> Iterator[tuple[str, str, dict[str, str]]]:
    """A job that sleeps: its id, its scheduler's id, and the environment of commands about it."""
    config = HOME / f"exec-{backend}.toml"
    config.write_text(f"[sites.{backend}]\n{line}\n")
    environment = {
        **bench.environment,
        "PROMINENCE_CONFIG": str(config),
        "PROMINENCE_SITE": backend,
        "PROMINENCE_HOME": str(HOME / "exec-state"),
    }
    with bench.objects_below(f"uploads/{Path.home().name}/{NAME}") as key:
        bench.put(image(), key)
        words = ["prominence", "create", "--json", NAME, "sleep 600"]
        created = json.loads(said(words, environment))
        job_id = str(created["id"])
        try:
            wait_for(job_id, environment)
            yield job_id, created["backendId"], environment
        finally:
            timed(["prominence", "delete", job_id], environment=environment)


def wait_for(job_id: str, environment: dict[str, str]) -> None:
    """Until commands can be run in the job."""
    end = time.monotonic() + START_SECONDS
    argv = ["prominence", "exec", job_id, "true"]
    while subprocess.run(argv, env=environment, capture_output=True, check=False).returncode:
        if time.monotonic() > end:
            timed(argv, environment=environment)  # raises with what it says
        time.sleep(0.5)
    timed(["prominence", "describe", job_id], environment=environment)


def said(argv: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        argv, env=environment or dict(os.environ), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
