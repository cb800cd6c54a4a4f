"""How long a sweep of 10,000 jobs takes to submit, to list and to delete, beside the scheduler's own commands.

All jobs are submitted on hold. The store with 100,000 finished jobs is made by hand.
"""

import json
import re
from pathlib import Path

from prominence_hpc.adapter.store.new_workflow import NewPart
from prominence_hpc.adapter.store.store import Store
from tests.benchmarks.budgets import Budget
from tests.benchmarks.measure import Sample, shell, timed
from tests.benchmarks.rows_create import NAME, SCRIPT, bare_removal, file
from tests.benchmarks.workbench import HOME, Workbench

JOBS = 10_000
FINISHED = 100_000
ARRAY = 1000  # as many as the site's Slurm takes in one array (MaxArraySize)
# The same cluster as ours: made as there is room.
DESCRIPTION = f"""\
executable = /bin/true
requirements = false
batch_name = {NAME}
max_idle = 1000
queue {JOBS}
"""
DOCUMENT = {
    "name": NAME,
    "jobs": [
        {
            "name": "point",
            "tasks": [{"image": "/images/x.sif", "cmd": "run --value $x"}],
            "resources": {"memory": 0.1, "disk": 1, "walltime": 5},
            "outputFiles": ["out-$x.txt"],
        }
    ],
    "factories": [
        {
            "type": "parameterSweep",
            "name": "points",
            "jobs": ["point"],
            "parameters": [{"name": "x", "start": 0, "end": (JOBS - 1) / 4, "step": 0.25}],
        }
    ],
}


def slurm(bench: Workbench) -> None:
    sweep(bench, "slurm")


def htcondor(bench: Workbench) -> None:
    sweep(bench, "htcondor")


def sweep(bench: Workbench, backend: str) -> None:
    """Three rows: the submission, a list of all that wait, and the end of all of it."""
    runs = Runs(bench, backend)
    try:
        runs.warm_up()
        bench.compare(
            f"`run` of {JOBS:,} jobs on {backend}",
            Budget(kind="seconds", limit=2, resident_mib=200),
            runs.submit,
            lambda _: timed(bare_sweep(backend), folder=HOME),
            beside="`sbatch --array`" if backend == "slurm" else "`condor_submit`",
            runs=1,
        )
        bench.compare(
            f"`list --all` of {JOBS:,} jobs that wait on {backend}",
            Budget(kind="seconds", limit=1),
            runs.list_all,
            lambda _: timed(bare_list(backend)),
            beside=f"`{bare_list(backend)[0]}`",
            runs=bench.short_runs,
        )
        bench.compare(
            f"`delete` of {JOBS:,} jobs on {backend}",
            Budget(kind="seconds", limit=2),
            runs.delete,
            lambda _: timed(bare_removal(backend)),
            beside=f"`{'scancel' if backend == 'slurm' else 'condor_rm'}`",
            runs=1,
        )
    finally:
        runs.end()


class Runs:
    """Workflows of the state folder that are not deleted yet."""

    def __init__(self, bench: Workbench, backend: str) -> None:
        self.environment = bench.environment | {"PROMINENCE_HOME": str(HOME / f"sweep-{backend}")}
        description = file("sweep.json", json.dumps(DOCUMENT))
        self.argv = ["prominence", "run", "--site", f"held-{backend}", description]
        self.ids: list[str] = []
        self.backend = backend

    def warm_up(self) -> None:
        """In a state folder of its own: lists are to show one sweep."""
        home = self.environment["PROMINENCE_HOME"]
        self.environment["PROMINENCE_HOME"] = f"{home}-warm"
        self.submit(0)
        self.delete(0)
        self.environment["PROMINENCE_HOME"] = home

    def submit(self, _: int) -> Sample:
        said = HOME / "workflow"
        sample = timed(self.argv, environment=self.environment, stdout=said)
        self.ids += re.findall(r"id (\d+)", said.read_text())
        return sample

    def delete(self, _: int) -> Sample:
        return timed(["prominence", "delete", self.ids.pop()], environment=self.environment)

    def list_all(self, _: int) -> Sample:
        return timed(["prominence", "list", "--all"], environment=self.environment)

    def end(self) -> None:
        while self.ids:
            self.delete(0)
        timed(bare_removal(self.backend))


def bare_sweep(backend: str) -> list[str]:
    """The whole of it: Slurm takes several arrays."""
    if backend == "htcondor":
        return ["condor_submit", file("sweep.sub", DESCRIPTION)]
    line = f"sbatch --hold -t 10 -J {NAME} --array=0-{ARRAY - 1} -o /dev/null $1"
    return shell(f"for n in {{1..{JOBS // ARRAY}}}; do {line}; done", file("true.sh", SCRIPT))


def bare_list(backend: str) -> list[str]:
    return ["squeue", "--me"] if backend == "slurm" else ["condor_q", "-nobatch"]


def last_of_many(bench: Workbench) -> None:
    """Of 100,000 finished jobs the last twenty."""
    state = HOME / "history"
    if not (state / "state.db").exists():
        fill(state)
    environment = bench.environment | {"PROMINENCE_HOME": str(state)}
    bench.compare(
        f"`list --completed`, the last 20 of {FINISHED:,}",
        Budget(kind="seconds", limit=0.3),
        lambda _: timed(["prominence", "list", "--completed"], environment=environment),
        runs=bench.short_runs,
    )


def fill(state: Path) -> None:
    """A store of finished jobs, as ten workflows have left them."""
    state.mkdir(parents=True, exist_ok=True)
    with Store(state) as store:
        for _ in range(FINISHED // JOBS):
            part = NewPart(
                name="point",
                size=JOBS,
                swept=True,
                parents=(),
                slices=((0, JOBS),),
                labels={},
                leave_in_queue=False,
                jobs=lambda: ((f"{NAME}/point/{n}", "/images/x.sif", "run") for n in range(JOBS)),
            )
            record = store.workflows.create_intent([part], site="slurm", backend="slurm", name=NAME)
            (batch,) = store.workflows.batches(record.id)
            store.workflows.record_batches(record.id, {batch.id: "1"}, lambda h, n: f"{h}_{n}")
            store.workflows.record_submitted(record.id)
            with store._database.writing() as connection:
                connection.execute(
                    "UPDATE jobs SET status = 'completed', final = 1, started = created,"
                    " ended = created + 60 WHERE workflow = ?",
                    (record.id,),
                )
