"""Jobs of a sweep from end to end: each as an ordinary job in a folder of its own, below the one plan."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers import report as reports
from tests.unit.remote.jobs import run, running, work_of
from tests.unit.wrappers.nodes import MPIRUN, WITH_TMP, Nodes
from tests.unit.wrappers.pythons import PYTHONS
from tests.unit.wrappers.runs import Runs, artifact, ended, output, until
from tests.unit.wrappers.servers import Handler, serving

NUMBER = 4
X = plans.SweepParameter(name="x", values=tuple(f"v{number}" for number in range(10)))
SWEEP = plans.Sweep(first_job_id=100, parameters=(X,))


def line(text: str, **fields: Any) -> plans.Task:
    """A shell line of a sweep's job."""
    return plans.Task(image=0, command_line=f"sh -c {shlex.quote(text)}", **fields)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path, number=NUMBER)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("python", PYTHONS)
def test_all_of_a_job_is_in_its_own_folder(runs: Runs, python: str) -> None:
    runs.python = python
    (runs.folder / "job/all").write_text("for all\n")
    (runs.folder / "job/object-4").write_text("for 4\n")
    tell = "echo $x $APPTAINERENV_PROMINENCE_PARAMETER_x $APPTAINERENV_PROMINENCE_JOB_ID"
    report = runs.run_into_files(
        line(f"{tell} > out-$x; cat all in-$x"),
        line("echo $APPTAINERENV_E; echo e >&2", environment={"E": "${x}"}, stdout="log-$x"),
        sweep=plans.Sweep(
            first_job_id=100,
            parameters=(X,),
            objects={"in-v4": plans.SweptObject(source="object-4", size_bytes=6)},
        ),
        artifacts=(artifact("all"), artifact("in-$x", source="")),
        outputs=(output("out-$x"), output("log-${x}")),
    )
    assert (ended(report), report["job_id"], runs.code) == (("completed", ""), 104, 0)
    shared = runs.folder / "job"
    results = shared / "results" / str(NUMBER)
    assert (results / "out-v4").read_text() == "v4 v4 104\n"
    assert (results / "log-v4").read_text() == "v4\n"
    assert [item["objects"][0]["name"] for item in report["outputs"]] == ["out-v4", "log-v4"]
    assert (runs.job / "stdout").read_text() == "for all\nfor 4\n"
    assert (runs.job / "stderr").read_text() == "e\n"
    assert "job 104 begins" in runs.log()
    assert names(runs.job) == {"report.json", "stderr", "stdout", "wrapper.log"}
    assert names(shared) == {"4", "all", "image.sif", "object-4", "plan.json", "results"}
    assert runs.left_over() == []


def test_a_job_without_a_folder_makes_it(runs: Runs) -> None:
    runs.run(line("echo $x"), sweep=SWEEP)
    assert runs.stdout == "v4\n"
    assert runs.job.stat().st_mode & 0o777 == 0o700


def test_a_number_that_the_sweep_has_not(runs: Runs) -> None:
    runs.number = 10
    with runs.start(line("true"), sweep=SWEEP) as process:
        runs.finish(process)
    assert runs.code == 1
    assert "PlanError: plan cannot be followed: the sweep has no job 10" in runs.stderr
    runs.number = None
    with runs.start(line("true"), sweep=SWEEP) as process:
        runs.finish(process)
    assert runs.code == 1
    assert "the number of one of its jobs must follow it" in runs.stderr


def test_the_way_in_is_in_the_jobs_folder(runs: Runs) -> None:
    with running(runs, line("while [ ! -e go ]; do sleep 0.02; done"), sweep=SWEEP) as folder:
        assert json.loads((folder / "plan.json").read_text())["job_id"] == 104
        assert (folder / "plan.json").stat().st_mode & 0o777 == 0o600
        assert not (runs.folder / "job/enter").exists()
        until(lambda: json.loads((folder / "running.json").read_text())["task"])
        work = work_of(folder)
        told = run(folder, "sh", "-c", "pwd; touch go", beside=True)
        assert told.stdout.decode().strip() == str(work)
        until(lambda: not (folder / "enter").exists())
    assert ended(runs.report()) == ("completed", "")
    assert not {"enter", "running.json", "plan.json"} & names(runs.job)


def test_attempts_are_kept_in_the_jobs_folder(runs: Runs) -> None:
    for number, code in enumerate((reports.RETRY_EXIT_CODE, 0)):
        runs.environment = {"PROMINENCE_RESTART_COUNT": str(number)}
        runs.run_into_files(line("echo out; exit 3"), sweep=SWEEP, maximum_retries=1)
        assert runs.code == code
        assert ("plan.json" in names(runs.job)) == (code != 0)  # the next attempt's
    assert (runs.job / "stdout").read_text() == "out\n"
    assert names(runs.job / "attempts") == {"1"}
    assert (runs.job / "attempts/1/stdout").read_text() == "out\n"


def test_on_htcondor_an_attempt_leaves_its_files_below_the_jobs_folder(runs: Runs) -> None:
    ad = runs.folder / "ad"
    ad.write_text("NumJobStarts = 4\nNumJobCompletions = 1\n")
    runs.environment = {"_CONDOR_JOB_AD": str(ad)}
    runs.run_into_files(line("echo said; exit 3"), sweep=SWEEP, maximum_retries=2)
    assert runs.code == reports.RETRY_EXIT_CODE
    assert (runs.job / "attempts/5/stdout").read_text() == "said\n"


def test_slurm_is_asked_for_the_job_and_not_for_its_array(runs: Runs) -> None:
    """The last of an array's jobs has the array's own id."""
    calls = runs.folder / "calls"
    program = runs.folder / "bin/scontrol"
    program.write_text(f'#!/bin/sh\necho "$*" >> {calls}\n')
    program.chmod(0o755)
    runs.environment = {
        "SLURM_JOB_ID": "4711",
        "SLURM_ARRAY_JOB_ID": "4711",
        "SLURM_ARRAY_TASK_ID": "2",
    }
    runs.run(line("exit 3"), sweep=SWEEP, maximum_retries=1)
    assert calls.read_text().splitlines() == [
        "requeue 4711_2",
        "update JobId=4711_2 StartTime=now+6",
    ]


def test_an_address_that_was_renewed_in_the_sweeps_plan(runs: Runs) -> None:
    plan = runs.folder / "job/plan.json"

    def answer(handler: Handler) -> None:
        if handler.path == "/new":
            handler.reply(200, b"data")
            return
        document = json.loads(plan.read_text())
        document["sweep"]["objects"]["in-v4"]["source"] = f"{server.url}/new"
        plan.write_text(json.dumps(document))
        handler.reply(403)

    with serving(answer) as server:
        objects = {"in-v4": plans.SweptObject(source=f"{server.url}/old")}
        report = runs.run(
            line("cat in-$x"),
            sweep=plans.Sweep(first_job_id=1, parameters=(X,), objects=objects),
            artifacts=(artifact("in-$x", source=""),),
        )
    assert (ended(report), runs.stdout) == (("completed", ""), "data")


def test_several_nodes_of_htcondor(tmp_path: Path) -> None:
    """Each has the sweep's plan in a folder of its own."""
    nodes = Nodes(tmp_path)
    nodes.number = NUMBER
    report = nodes.run(ON_ALL, sweep=SWEEP)
    assert (ended(report), nodes.codes) == (("completed", ""), [0]), nodes.stderr
    assert nodes.stdout == "v4 on 0\nv4 on 1\n"
    assert "node 1 of job 104 begins" in nodes.log_of(1)
    for folder in ("job/4", "node-1/4"):
        assert not {"plan.json", "enter", "running.json"} & names(tmp_path / folder)
    assert nodes.nothing_is_left()


ON_ALL = plans.Task(
    image=0,
    command_line="-- 'echo $x on $PROMINENCE_NODE_NUM'",
    type="mpich",
    processes_per_node=1,
)
SRUN = """#!/bin/sh
while case "$1" in -*) true ;; *) false ;; esac; do shift; done
SLURM_NODEID=0 exec "$@"
"""


def test_several_nodes_of_slurm(tmp_path: Path) -> None:
    """All see the job's folder, and the others keep theirs in it."""
    runs = Runs(tmp_path, number=NUMBER)
    for name, text in (("apptainer", WITH_TMP), ("mpirun", MPIRUN), ("srun", SRUN)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    runs.environment = {"SLURM_JOB_ID": "9", "SLURM_JOB_NUM_NODES": "2"}
    shared = str(tmp_path / "shared")
    report = runs.run(ON_ALL, sweep=SWEEP, nodes=2, shared_scratch=shared)
    assert ended(report) == ("completed", ""), report["detail"]
    assert runs.stdout == "v4 on 0\nv4 on 1\n"
    assert names(runs.job) == {"node-1", "report.json", "wrapper.log"}
    assert "node 1 of job 104 begins" in (runs.job / "node-1/wrapper.log").read_text()
