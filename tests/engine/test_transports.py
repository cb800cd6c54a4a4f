"""Slurm by its commands and through pyslurm: the same jobs, and which of the two is used when."""

import json
import re
import time
from typing import Any

import pytest

from tests.engine.backend_client import PYTHON, RemoteBackend
from tests.engine.prominence import Prominence
from tests.site.handle import Site

TRANSPORTS = ("commands", "pyslurm")
# What a job finds when it starts, beside what is different in every job.
LOOKS_AROUND = """
import json, os, resource
umask = os.umask(0)
limits = {n: resource.getrlimit(getattr(resource, n)) for n in dir(resource) if n.startswith("RLIMIT")}
print(json.dumps({"environment": dict(os.environ), "umask": umask, "limits": limits}))
"""
OF_ONE_JOB = (
    "JOBID",
    "JOB_ID",
    "TIME",
    "SLUID",
    "TASK_PID",
    "SUBMIT_DIR",
    "JOB_NAME",
    "NODE",
    "ADDR",
)
# Fields of `scontrol show job` that differ between any two jobs.
OF_ONE_RECORD = (
    "JobId", "SubmitTime", "StartTime", "EndTime", "RunTime", "EligibleTime", "AccrueTime", "Sched", "BatchHost", "Host:Sid", "Node", "Comment", "JobState", "Reason", "ExitCode", "Tag",
)  # fmt: skip
# sbatch alone keeps its command line, and says again what the cpus of a task are.
OF_SBATCH = ("SubmitLine", "TresPerTask", "OOMKillStep")
# Asks eight times in one process.
ASKS = """
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.backends.slurm import SlurmBackend
backend = SlurmBackend(SiteSettings(name="slurm", backend="slurm"))
for _ in range(8):
    print(backend.poll(["1"])["1"].condition.value)
"""
COUNTED = '#!/bin/sh\necho "$0" >> {folder}/calls\nexec /usr/bin/squeue "$@"\n'


def differs(name: str, parts: tuple[str, ...]) -> bool:
    return any(part in name for part in parts)


def differences(left: dict[str, Any], right: dict[str, Any]) -> set[str]:
    return {
        f"{name}: {left.get(name)!r}, {right.get(name)!r}"
        for name in left.keys() | right.keys()
        if left.get(name) != right.get(name)
    }


def shown(site: Site, handle: str) -> dict[str, str]:
    """``scontrol show job``, without what any two jobs differ in."""
    text = site.run(["scontrol", "show", "job", handle]).stdout
    pairs = (
        field.partition("=")[::2]
        for field in re.findall(r"(?:^|(?<= ))[A-Z][\w/:]*=\S*", text, re.MULTILINE)
    )
    return {name: value for name, value in pairs if not differs(name, OF_ONE_RECORD + OF_SBATCH)}


def looked(site: Site, folder: str, transport: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What a job sees, and what Slurm has on record of it."""
    site.run(["rm", "-rf", f"{folder}/job"])  # of the other
    backend = RemoteBackend(site, "slurm", folder, transport=transport)
    job = backend.submit(LOOKS_AROUND, folder=f"{folder}/job", cpus=2, priority=7, name="same")
    backend.wait(job)
    record = shown(site, job.handle)  # which is there for a minute
    seen = json.loads(backend.output(job))
    names = seen.pop("environment")
    kept = {name: value for name, value in names.items() if not differs(name, OF_ONE_JOB)}
    return {**seen, "environment": kept}, record


def test_a_job_is_the_same_by_both(site: Site, folder: str) -> None:
    """Its environment, umask (its files are nobody else's) and limits, and Slurm's record of it."""
    by_commands, recorded = looked(site, folder, "commands")
    through_pyslurm, recorded_too = looked(site, folder, "pyslurm")
    assert differences(through_pyslurm["environment"], by_commands["environment"]) == set()
    assert differences(through_pyslurm["limits"], by_commands["limits"]) == set()
    assert through_pyslurm["umask"] == by_commands["umask"] == 0o077
    assert differences(recorded, recorded_too) == set()
    assert {"NumCPUs", "Nice", "TimeLimit", "Command", "Requeue"} <= recorded.keys()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_exit_code_is_kept(site: Site, folder: str, transport: str) -> None:
    """pyslurm itself tells 200 as 72."""
    backend = RemoteBackend(site, "slurm", folder, transport=transport)
    job = backend.submit("import sys; sys.exit(200)")
    assert backend.wait(job)["exit_code"] == 200
    assert backend.call("history", [job.handle])[job.handle]["exit_code"] == 200


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_accounting_knows_a_job_by_its_tag(site: Site, folder: str, transport: str) -> None:
    """Once it has left the queue: which is why pyslurm submits only where comments are kept."""
    backend = RemoteBackend(site, "slurm", folder, transport=transport)
    job = backend.submit("pass")
    backend.wait(job)
    site.write(f"{folder}/bin/squeue", "#!/bin/sh\n", mode=0o755)  # an empty queue
    backend.environment = {"PATH": f"{folder}/bin:/usr/local/bin:/usr/bin:/bin"}
    deadline = time.monotonic() + 20  # slurmctld tells accounting every few seconds
    while (found := backend.call("find", [job.tag])) == {} and time.monotonic() < deadline:
        time.sleep(0.5)
    assert found == {job.tag: job.handle}


def squeue_calls(site: Site, folder: str, **environment: str) -> int:
    """How often the command was run for eight questions."""
    site.write(f"{folder}/bin/squeue", COUNTED.format(folder=folder), mode=0o755)
    path = f"{folder}/bin:/usr/local/bin:/usr/bin:/bin"
    done = site.run([PYTHON, "-c", ASKS], env={"PATH": path, **environment})
    assert set(done.stdout.split()) <= {"absent", "ended"}
    return len(site.read(f"{folder}/calls").splitlines())


def test_pyslurm_is_used_where_it_saves_time(site: Site, folder: str) -> None:
    """The first questions are the commands': importing pyslurm takes as long as they do."""
    assert squeue_calls(site, folder) == 5


def test_without_pyslurm_there_are_the_commands(site: Site, folder: str) -> None:
    site.write(f"{folder}/modules/pyslurm.py", "raise ImportError('libslurmfull.so: no such file')")
    assert squeue_calls(site, folder, PYTHONPATH=f"{folder}/modules") == 8


def configured(site: Site, folder: str, transport: str, lines: str = "") -> str:
    """What ``prominence config`` says of the transport."""
    path = f"{folder}/config.toml"
    site.write(path, f"[sites.slurm]\n{lines}\n")
    prominence = Prominence(
        site, folder, transport=transport, environment={"PROMINENCE_CONFIG": path}
    )
    said = prominence("config").stdout.splitlines()
    key = json.loads(prominence("config", "--json").stdout)["sites.slurm.slurm_transport"]
    (line,) = [line for line in said if line.startswith("Site slurm ")]
    assert line == f"Site slurm speaks to Slurm by {key['inUse']}: {key['why']}."
    assert (key["value"], key["origin"]) == (transport, "environment PROMINENCE_SLURM_TRANSPORT")
    return line


def test_config_shows_which_transport_is_used_and_why(site: Site, folder: str) -> None:
    version = site.run(["sinfo", "-V"]).stdout.split()[-1]
    auto = configured(site, folder, "auto")
    assert "by pyslurm: pyslurm " in auto
    assert f"fits the controller's {version}; a command of prominence uses it after 5" in auto
    assert "by commands" in configured(site, folder, "commands")
    directives = configured(site, folder, "pyslurm", 'directives = ["--hold"]')
    assert directives.endswith("submitted by sbatch: the site's directives are options of sbatch.")


def test_a_pyslurm_that_cannot_be_used_is_told_of(site: Site, folder: str, image: str) -> None:
    """With ``auto`` it would not be missed; where the site wants it and no other, nothing is done."""
    prominence = Prominence(site, folder, transport="pyslurm")
    prominence.write("modules/pyslurm.py", "raise ImportError('libslurmfull.so: no such file')")
    prominence.environment = {"PYTHONPATH": f"{folder}/modules"}
    done = prominence("create", image, "true", check=False)
    assert done.returncode == 3, done.stderr
    assert "pyslurm cannot be imported: libslurmfull.so: no such file" in done.stderr
    assert "slurm_transport" in done.stderr
    assert json.loads(prominence("list", "--all", "--json").stdout) == []
