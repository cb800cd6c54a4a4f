"""The command killed at every step of a submission, and schedulers that answer too late.

Whatever happened, later commands end with exactly one job for each that had become ready, and none
for one that had not. The settling time is the real one, so all killed commands wait it out together.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

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

def at_slurm(before, after):
    # pyslurm submits in a child: we die before or after Slurm takes the job.
    from prominence_hpc.backends.slurm import library
    submit = library._VERBS["submit"]
    def killing(pyslurm, request):
        if before:
            os.kill(os.getppid(), signal.SIGKILL)
            os._exit(0)
        submit(pyslurm, request)
        os.kill(os.getppid(), signal.SIGKILL)
    library._VERBS["submit"] = killing

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
elif step in ("before-slurm", "after-slurm"):
    at_slurm(step == "before-slurm", step == "after-slurm")
from prominence_hpc.cli.main import main
main()
"""
STEPS = {"intent": 0, "plan": 0, "ready": 1, "submitted": 1, "recorded": 1}
STEPS_IN_LIBRARY = {"before-slurm": 1, "after-slurm": 1}


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


def killed_at(step: str, user: Prominence, image: str) -> None:
    user.write("dying.py", DYING)
    done = user.site.run(
        [PYTHON, "dying.py", step, "create", image, "true"],
        cwd=user.folder,
        env=user.variables(),
        check=False,
    )
    assert done.returncode == 137, done.stderr


# The steps that are settled together, with how many jobs each must end with.
CASES = {
    "slurm": [
        *(("commands", step, expected) for step, expected in STEPS.items()),
        *(("pyslurm", step, expected) for step, expected in (STEPS | STEPS_IN_LIBRARY).items()),
        ("commands", "before-sbatch", 1),
        ("commands", "after-sbatch", 1),
    ],
    "htcondor": [("commands", step, expected) for step, expected in STEPS.items()],
}


@pytest.mark.parametrize("backend", CASES)
def test_killed_at_every_step(site: Site, folder: str, image: str, backend: str) -> None:
    killed: list[tuple[Prominence, str, int]] = []
    for transport, step, expected in CASES[backend]:
        user = Prominence(
            site, f"{folder}/{step}-{transport}", backend=backend, transport=transport
        )
        if step.endswith("sbatch"):
            kill_sbatch_caller(user, after=step == "after-sbatch")
            assert user("create", image, "true", check=False).returncode == 137
            user.environment = {}
        else:
            killed_at(step, user, image)
        (tag,) = tags(user)
        killed.append((user, tag, expected))
    for user, *_ in killed:
        user("list")
    time.sleep(SETTLE_SECONDS + 1)  # what the promise itself takes
    for user, tag, expected in killed:
        records = json.loads(user("list", "--all", "--json").stdout)
        assert len(records) == expected, user.folder
        for record in records:
            assert user.ended(record["id"])["status"] == "completed", user.folder
        user("list")
        assert times_submitted(site, backend, tag) == expected, user.folder


# pyslurm, once it has asked what Slurm there is, and before it submits: waits for the test.
WAITING = """\
import os, pathlib, time
from prominence_hpc.backends.slurm.pyslurm_transport import Pyslurm
submit = Pyslurm._submit

def waits(*arguments):
    pathlib.Path("asked").touch()
    while not os.path.exists("go"):
        time.sleep(0.05)
    return submit(*arguments)

Pyslurm._submit = waits
from prominence_hpc.cli.main import main
main()
"""


@contextmanager
def stopped_controller(site: Site) -> Iterator[None]:
    site.run(["pkill", "-STOP", "slurmctld"], user="root")
    try:
        yield
    finally:
        site.run(["pkill", "-CONT", "slurmctld"], user="root")


def impatient(site: Site, folder: str, transport: str) -> Prominence:
    user = Prominence(site, f"{folder}/{transport}", transport=transport)
    user.write("config.toml", "[sites.slurm]\ncommand_timeout_seconds = 2\n")
    user.environment = {"PROMINENCE_CONFIG": f"{user.folder}/config.toml"}
    return user


@pytest.mark.alone
def test_a_controller_that_answers_too_late(site: Site, folder: str, image: str) -> None:
    """slurmctld stops while it is asked to take jobs, and goes on when that was given up."""
    by_commands, through_pyslurm = users = [
        impatient(site, folder, transport) for transport in ("commands", "pyslurm")
    ]
    through_pyslurm.write("waiting.py", WAITING)
    waiting = site.popen(
        [PYTHON, "waiting.py", "create", image, "true"],
        cwd=through_pyslurm.folder,
        env=through_pyslurm.variables(),
    )
    through_pyslurm.shell(
        "for i in $(seq 200); do [ -e asked ] && break; sleep 0.1; done; [ -e asked ]"
    )
    with stopped_controller(site):
        through_pyslurm.write("go", "")
        late = by_commands("create", image, "true", check=False)
        out, err = waiting.communicate(timeout=60)
        assert (late.returncode, late.stdout) == (7, ""), late.stderr
        assert (waiting.returncode, out) == (7, b""), err
        for user in users:
            assert "idle" in user("list").stdout
    by_commands.shell(
        "for i in $(seq 60); do squeue --me -h >/dev/null 2>&1 && break; sleep 0.5; done"
    )
    for user in users:
        record = settled(user)
        assert user.ended(record["id"])["status"] == "completed"
        (tag,) = tags(user)
        assert times_submitted(site, "slurm", tag) == 1


def settled(user: Prominence) -> dict[str, Any]:
    """The one job, once it is known what became of its submission."""
    for _ in range(40):
        (record,) = json.loads(user("list", "--all", "--json").stdout)
        if record["backendId"]:
            break
        user.shell("sleep 5")
    assert isinstance(record, dict)
    return record
