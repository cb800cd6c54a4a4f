"""How long `prominence create` takes, beside the scheduler's own command.

All jobs are submitted on hold, so that none of them runs beside what is timed, and deleted at the
end. The budgets are absolute: what a user waits for.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.budgets import Budget
from tests.benchmarks.measure import Sample, timed
from tests.benchmarks.workbench import HOME, WORK, Workbench

NAME = "prominence-bench"
SCRIPT = "#!/bin/sh\ntrue\n"
DESCRIPTION = f"executable = /bin/true\nhold = true\nbatch_name = {NAME}\nqueue\n"
NOTHING_STORED = ["busybox", "true"]
PREFIX = "bench-create-"
STORED = [
    *("--artifact", f"{PREFIX}data.tgz", "--output", "a.txt", "--output", "b.txt"),
    *("--outputdir", "results", f"{PREFIX}image.sif", "true"),
]


def slurm(bench: Workbench) -> None:
    create(bench, "slurm", "nothing stored", NOTHING_STORED, 0.100)


def htcondor(bench: Workbench) -> None:
    create(bench, "htcondor", "nothing stored", NOTHING_STORED, 0.100)


def slurm_stored(bench: Workbench) -> None:
    with stored_objects(bench):
        create(bench, "slurm", "image, artifact, 3 outputs in S3", STORED, 0.150)


def htcondor_stored(bench: Workbench) -> None:
    with stored_objects(bench):
        create(bench, "htcondor", "image, artifact, 3 outputs in S3", STORED, 0.150)


def create(bench: Workbench, backend: str, what: str, words: list[str], seconds: float) -> None:
    said = HOME / f"created-{backend}"
    argv = ["prominence", "create", "--site", f"held-{backend}", "--name", NAME]
    ids: list[str] = []

    def ours(_: int) -> Sample:
        sample = timed(
            [*argv, "--walltime", "10", *words], environment=bench.environment, stdout=said
        )
        ids.extend(re.findall(r"id (\d+)", said.read_text()))
        return sample

    def bare(_: int) -> Sample:
        return timed(bare_submission(backend), folder=HOME)

    try:
        ours(0)  # makes the state folder, and the interpreter's caches
        bench.compare(
            f"`create` on {backend}, {what}",
            Budget(kind="seconds", limit=seconds, resident_mib=60),
            ours,
            bare,
            beside=f"`{bare_submission(backend)[0]}`",
            runs=bench.short_runs,
        )
    finally:
        if ids:
            timed(["prominence", "delete", *ids], environment=bench.environment)
        timed(bare_removal(backend))


def bare_submission(backend: str) -> list[str]:
    if backend == "slurm":
        return ["sbatch", "--hold", "-t", "10", "-J", NAME, file("true.sh", SCRIPT)]
    return ["condor_submit", file("true.sub", DESCRIPTION)]


def bare_removal(backend: str) -> list[str]:
    if backend == "slurm":
        return ["scancel", "--me", "--name", NAME]
    # it fails where there is nothing to remove
    constraint = f'JobBatchName == "{NAME}"'
    return ["bash", "-c", 'condor_rm -constraint "$1" || true', "bash", constraint]


def file(name: str, text: str) -> str:
    path = HOME / name
    path.write_text(text)
    return str(path)


@contextmanager
def stored_objects(bench: Workbench) -> Iterator[None]:
    """What the jobs name; it is never fetched, so that it need not be what its name says."""
    content = WORK / "object"
    content.write_text("not fetched\n")
    with bench.objects_below(f"uploads/{Path.home().name}/{PREFIX}") as prefix:
        for name in ("image.sif", "data.tgz"):
            bench.put(content, f"{prefix}{name}")
        yield
