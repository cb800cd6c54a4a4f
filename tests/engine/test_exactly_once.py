"""The command killed at every step of a submission, and schedulers that answer too late.

Whatever happened, later commands end with exactly one job for each that had become ready, and none
for one that had not. The settling time is the real one, so all killed commands wait it out together.
"""

import json
import textwrap
import time
from dataclasses import dataclass

import pytest

from prominence_hpc.adapter.submission import SETTLE_SECONDS
from tests.engine.prominence import Prominence
from tests.site.handle import Site

PYTHON = "/opt/prominence/bin/python"

# Stands before the real sbatch on PATH: SIGKILLs the command that called it, before or after.
SBATCH = """\
#!/bin/sh
{before}
/usr/bin/sbatch "$@"
code=$?
{after}
exit $code
"""
KILL = "kill -KILL $PPID"

# The command in a process that dies at one step of a submission.
DYING = """\
import os, signal, sys
from prominence_hpc.adapter import create, submission
from prominence_hpc.adapter.store import store

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def after(function):
    def wrapped(*arguments, **options):
        result = function(*arguments, **options)
        die()
        return result
    return wrapped

step = sys.argv.pop(1)
if step == "intent":
    store.Store.create_intent = after(store.Store.create_intent)
elif step == "plan":
    create.write_submission = die
elif step == "ready":
    create.submit_job = die
elif step == "submitted":
    store.Store.record_handle = die
elif step == "recorded":
    store.Store.record_handle = after(store.Store.record_handle)
from prominence_hpc.cli.main import main
main()
"""
STEPS = {"intent": 0, "plan": 0, "ready": 1, "submitted": 1, "recorded": 1}


@dataclass(frozen=True)
class Tag:
    """A job that must be in a scheduler exactly once."""

    backend: str
    tag: str


def tags(prominence: Prominence) -> list[str]:
    """The tags of all jobs in the store, by the file itself."""
    query = "import sqlite3,sys; print(*(r[0] for r in sqlite3.connect(sys.argv[1]).execute('select tag from jobs')))"
    database = f"{prominence.folder}/.prominence/state.db"
    return prominence.site.run(["python3", "-c", query, database]).stdout.split()


def submissions(site: Site, backend: str) -> str:
    """What the scheduler's queue and history hold, with comments or attributes that bear tags."""
    if backend == "slurm":
        return site.run(
            ["sacct", "-X", "-n", "-P", "-o", "jobid,comment", "-S", "now-2hours"]
        ).stdout
    ask = "-af ProminenceTag"
    return site.run(["sh", "-c", f"condor_q -all {ask}; condor_history -limit 2000 {ask}"]).stdout


def times_submitted(site: Site, backend: str, tag: str) -> int:
    return sum(tag in line for line in submissions(site, backend).splitlines())


def kill_sbatch_caller(prominence: Prominence, *, after: bool) -> None:
    text = SBATCH.format(before="" if after else KILL + "; exit 1", after=KILL if after else "")
    prominence.write("bin/sbatch", text, mode=0o755)
    prominence.environment = {"PATH": f"{prominence.folder}/bin:/usr/local/bin:/usr/bin:/bin"}


@pytest.mark.parametrize("backend", ["slurm", "htcondor"])
def test_killed_at_every_step(site: Site, folder: str, image: str, backend: str) -> None:
    users: dict[str, Prominence] = {}
    for step in STEPS:
        users[step] = Prominence(site, f"{folder}/{step}", backend=backend)
        users[step].write("dying.py", DYING)
        done = site.run(
            [PYTHON, "dying.py", step, "create", image, "true"],
            cwd=users[step].folder,
            env={
                "PROMINENCE_HOME": f"{users[step].folder}/.prominence",
                "PROMINENCE_SITE": backend,
            },
            check=False,
        )
        assert done.returncode == 137, done.stderr
    before = {step: tags(user) for step, user in users.items()}
    if backend == "slurm":
        for name, after in (("before-sbatch", False), ("after-sbatch", True)):
            users[name] = Prominence(site, f"{folder}/{name}", backend=backend)
            kill_sbatch_caller(users[name], after=after)
            assert users[name]("create", image, "true", check=False).returncode == 137
            before[name] = tags(users[name])
            users[name].environment = {}
    for user in users.values():
        user("list")
    time.sleep(SETTLE_SECONDS + 1)  # what the promise itself takes
    for step, user in users.items():
        (tag,) = before[step]
        expected = STEPS.get(step, 1)
        records = json.loads(user("list", "--all", "--json").stdout)
        assert len(records) == expected, step
        for record in records:
            assert user.ended(record["id"])["status"] == "completed", step
        user("list")
        assert times_submitted(site, backend, tag) == expected, step


@pytest.mark.alone
def test_a_controller_that_answers_too_late(site: Site, folder: str, image: str) -> None:
    """slurmctld stops while sbatch waits, and goes on when sbatch has given up."""
    prominence = Prominence(site, folder)
    prominence.write(
        "config.toml",
        textwrap.dedent("""\
            [sites.slurm]
            backend = "slurm"
            command_timeout_seconds = 2
            """),
    )
    prominence.environment = {"PROMINENCE_CONFIG": f"{folder}/config.toml"}
    site.run(["pkill", "-STOP", "slurmctld"], user="root")
    try:
        late = prominence("create", image, "true", check=False)
        assert late.returncode == 7, late.stderr
        assert late.stdout == ""
        unknown = prominence("list")
        assert "idle" in unknown.stdout
    finally:
        site.run(["pkill", "-CONT", "slurmctld"], user="root")
    (tag,) = tags(prominence)
    deadline = "for i in $(seq 60); do squeue --me -h >/dev/null 2>&1 && break; sleep 0.5; done"
    prominence.shell(deadline)
    for _ in range(40):
        (record,) = json.loads(prominence("list", "--all", "--json").stdout)
        if record["backendId"]:
            break
        prominence.shell("sleep 5")
    assert prominence.ended(record["id"])["status"] == "completed"
    assert times_submitted(site, "slurm", tag) == 1
