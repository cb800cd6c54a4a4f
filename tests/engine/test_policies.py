"""The policies of a job on the real schedulers; ``maximumRetries`` has test_retries.py."""

import json
import secrets
from typing import Any

import pytest

from tests.engine.policies import configure, job, submitted, until
from tests.engine.prominence import Prominence, backend_and_transport
from tests.site.handle import Site


@pytest.mark.honours("policies.maximumTaskRetries", "policies.ignoreTaskFailures")
def test_tasks_are_run_again_and_their_failures_ignored(prominence: Prominence, image: str) -> None:
    """Within one attempt and one working directory; what fails for good does not stop the rest."""
    second_time = "test -e mark || { touch mark; exit 1; }"
    tasks = [
        job(image, script)["tasks"][0] for script in (second_time, "echo no; exit 3", "echo on")
    ]
    policies = {"maximumTaskRetries": 2, "ignoreTaskFailures": True}
    job_id = submitted(prominence, job(image, "", tasks=tasks, policies=policies))
    described = prominence.ended(job_id)
    ran = [(task["exitCode"], task["retries"]) for task in described["execution"].get("tasks", [])]
    assert ran == [(0, 1), (3, 2), (0, 0)], prominence.told(job_id, described)
    assert prominence.stdout(job_id) == "no\n" * 3 + "on\n"
    assert described["status"] == "completed"
    assert described["execution"]["retries"] == 0
    assert "attempts" not in described["execution"]


@pytest.mark.honours(
    "policies.leaveInQueue",
    "policies.reportJobSuccessOnTaskFailure",
    "policies.autoScalingType",
    "policies.maximumIdleTimePerResource",
)
def test_a_failing_task_that_is_no_failure_and_a_job_that_stays_in_the_list(
    prominence: Prominence, image: str
) -> None:
    policies: dict[str, Any] = {
        "reportJobSuccessOnTaskFailure": True,
        "maximumRetries": 2,
        "leaveInQueue": True,
        "autoScalingType": "shared",
        "maximumIdleTimePerResource": 30,
    }
    left = submitted(prominence, job(image, "exit 3", policies=policies))
    described = prominence.ended(left)
    assert prominence("wait", str(left)).returncode == 0
    assert [task["exitCode"] for task in described["execution"]["tasks"]] == [3]
    assert described["execution"]["retries"] == 0
    assert described["policies"] == policies
    policies = {key: value for key, value in policies.items() if key != "leaveInQueue"}
    gone = submitted(prominence, job(image, "true", policies=policies))
    prominence.ended(gone)
    assert listed(prominence) == [left]
    removed = prominence("remove", str(left))
    assert removed.stdout == "Job removed from queue\n"
    assert listed(prominence) == []
    assert prominence.describe(left)["status"] == "completed"


def listed(prominence: Prominence) -> list[int]:
    return [row["id"] for row in json.loads(prominence("list", "--json").stdout)]


# What two jobs of a test cannot have at the same time, whatever else runs on the site: Slurm's
# node has 8000 MB for them, HTCondor takes one of a name that is this test's own.
HALF = {"slurm": 4.5, "htcondor": 0.2, "local": 0.2}


def one_at_a_time(prominence: Prominence, node: str) -> dict[str, Any]:
    """Makes the jobs of this test wait for one another; the resources that they are to ask for."""
    keys = {
        "slurm": f'staging_minutes = 1\ndirectives = ["--nodelist={node}"]',
        "htcondor": f'directives = ["concurrency_limits = t{secrets.token_hex(4)}:2000000"]',
        "local": "slots = 1",
    }
    configure(prominence, keys[prominence.backend])
    return {"cpus": 1, "memory": HALF[prominence.backend], "disk": 1, "walltime": 2}


@pytest.fixture(params=("slurm", "htcondor", "local"))
def by_directives(site: Site, folder: str, request: pytest.FixtureRequest) -> Prominence:
    """Where a test needs directives of the site, sbatch submits, whatever the transport."""
    return Prominence(site, folder, backend=request.param)


@pytest.mark.honours("policies.priority")
def test_a_job_of_higher_priority_starts_earlier(by_directives: Prominence, image: str) -> None:
    prominence = by_directives
    resources = one_at_a_time(prominence, "node1")
    first = submitted(prominence, job(image, "sleep 8", resources=resources))
    until(prominence, first, "running")
    low, high = (
        submitted(prominence, job(image, "true", resources=resources, policies={"priority": n}))
        for n in (-3, 7)
    )
    assert prominence.describe(first)["status"] == "running"
    for job_id in (first, high, low):
        prominence.ended(job_id)
    listed = json.loads(prominence("list", "--all", "--json").stdout)
    starts = {item["id"]: item["startTime"] for item in listed}  # to fractions of a second
    assert starts[first] < starts[high] < starts[low]


@pytest.mark.honours("policies.maximumTimeInQueue")
def test_a_job_that_waits_too_long_fails_and_says_so(by_directives: Prominence, image: str) -> None:
    prominence = by_directives
    resources = one_at_a_time(prominence, "node2")
    first = submitted(prominence, job(image, "sleep 100", resources=resources))
    until(prominence, first, "running")
    waits = submitted(
        prominence, job(image, "true", resources=resources, policies={"maximumTimeInQueue": 1})
    )
    assert prominence.describe(waits)["status"] == "idle"
    described = until(prominence, waits, "failed", "completed", "killed", seconds=110)
    assert (described["status"], described["statusReason"]) == (
        "failed",
        "Maximum time in queue exceeded",
    )
    assert "startTime" not in described["events"]
    assert prominence.describe(first)["status"] == "running"
    prominence("delete", str(first))
    # No limit, whatever stands for it; and a limit does no harm to what starts in time.
    others = [
        submitted(prominence, job(image, "true", policies={"maximumTimeInQueue": minutes}))
        for minutes in (0, -1, 5)
    ]
    assert {prominence.ended(job_id)["status"] for job_id in others} == {"completed"}


@pytest.fixture(params=("slurm", "slurm-pyslurm"))
def on_slurm(site: Site, folder: str, request: pytest.FixtureRequest) -> Prominence:
    backend, transport = backend_and_transport(request.param)
    return Prominence(site, folder, backend=backend, transport=transport)


@pytest.mark.honours("policies.maximumTimeInQueue", "policies.priority")
def test_what_slurm_is_told_is_the_same_by_either_way(on_slurm: Prominence, image: str) -> None:
    policies = {"maximumTimeInQueue": 30, "maximumRetries": 1, "priority": 60}
    job_id = submitted(on_slurm, job(image, "sleep 5", policies=policies))
    handle = until(on_slurm, job_id, "running")["execution"]["backendId"]
    shown = on_slurm.shell(f"scontrol show job {handle}")
    told = dict(word.split("=", 1) for word in shown.split() if "=" in word)
    assert (told["Requeue"], told["Nice"]) == ("1", "40")
    minutes = on_slurm.shell(
        f"echo $(( ($(date -d {told['Deadline']} +%s) - $(date -d {told['SubmitTime']} +%s)) / 60 ))"
    )
    # The wait, two attempts of 2 + 10 minutes, and the time between them.
    assert int(minutes) == 30 + 12 + 12 + 3
    assert on_slurm.ended(job_id)["status"] == "completed"


PLACES = """\
default_site = "{default}"
[sites.first]
backend = "slurm"
region = "north"
[sites.second]
backend = "htcondor"
region = "south"
[sites.here]
backend = "local"
region = "here"
"""
SITE_OF = {"slurm": "first", "htcondor": "second", "local": "here"}
REGION_OF = {"slurm": "north", "htcondor": "south", "local": "here"}


@pytest.mark.honours("policies.placement")
def test_a_job_goes_where_its_placement_says(prominence: Prominence, image: str) -> None:
    """Although another site is the default: by region, as must be, and by preference."""
    backend = prominence.backend
    default = "second" if backend == "slurm" else "first"
    prominence.write("config.toml", PLACES.format(default=default))
    prominence.environment = {
        "PROMINENCE_CONFIG": f"{prominence.folder}/config.toml",
        "PROMINENCE_SITE": default,
    }
    placements = [
        {"requirements": {"regions": [REGION_OF[backend]]}},
        {"preferences": {"sites": [SITE_OF[backend], default]}},
    ]
    for placement in placements:
        policies = {"placement": placement}
        described = prominence.ended(submitted(prominence, job(image, "true", policies=policies)))
        assert described["status"] == "completed", described
        assert described["execution"]["site"] == SITE_OF[backend]
        assert described["execution"]["backend"] == backend
    described = prominence.ended(submitted(prominence, job(image, "true")))
    assert described["execution"]["site"] == default


def test_a_placement_that_cannot_be_is_refused(site: Site, folder: str, image: str) -> None:
    prominence = Prominence(site, folder)
    prominence.write("config.toml", PLACES.format(default="first"))
    prominence.environment = {
        "PROMINENCE_CONFIG": f"{folder}/config.toml",
        "PROMINENCE_SITE": "first",
    }
    cases: list[tuple[dict[str, Any], tuple[str, ...], str]] = [
        ({"requirements": {"sites": ["mars"]}}, (), "there is no site 'mars' here; there are"),
        ({"preferences": {"regions": ["west"]}}, (), "there is no region 'west' here"),
        (
            {"requirements": {"sites": ["first"], "regions": ["south"]}},
            (),
            "none of the sites first is in the regions south",
        ),
        ({"requirements": {"regions": ["south"]}}, ("--site", "first"), "excludes the site first"),
    ]
    for placement, arguments, words in cases:
        policies = {"placement": placement}
        prominence.write("job.json", json.dumps(job(image, "true", policies=policies)))
        done = prominence("run", *arguments, "job.json", check=False)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert words in done.stderr
    assert json.loads(prominence("list", "--all", "--json").stdout) == []


@pytest.mark.honours("policies.preemptible")
def test_a_job_that_may_be_preempted_keeps_its_id_when_it_is(
    prominence: Prominence, image: str
) -> None:
    """Taken from its node, as a scheduler does for a more important job; none of its retries."""
    keys = {
        "slurm": 'preemptible_directives = ["--partition=long"]',
        "htcondor": "preemptible_directives = ['My.MayBePreempted = true']",
        "local": "",
    }
    configure(prominence, keys[prominence.backend])
    policies = {"preemptible": True, "maximumRetries": 1}
    job_id = submitted(prominence, job(image, "echo begun; sleep 15", policies=policies))
    handle = until(prominence, job_id, "running")["execution"]["backendId"]
    if prominence.backend == "local":
        prominence("delete", str(job_id))  # nobody preempts a job of this machine
        return
    for _ in range(100):
        if "begun" in prominence("stdout", str(job_id), check=False).stdout:
            break
        prominence.shell("sleep 0.2")
    if prominence.backend == "slurm":
        shown = prominence.shell(f"scontrol show job {handle}")
        assert "Requeue=1" in shown
        assert "Partition=long" in shown
        prominence.shell(f"scontrol requeue {handle}")
        until(prominence, job_id, "idle")
        prominence.shell(f"scontrol update JobId={handle} StartTime=now")
    else:
        assert prominence.shell(f"condor_q {handle} -af MayBePreempted").strip() == "true"
        prominence.shell(f"condor_vacate_job -fast {handle}")
    described = prominence.ended(job_id)
    execution = described["execution"]
    assert described["status"] == "completed", prominence.told(job_id, described)
    assert (execution["backendId"], execution["retries"]) == (handle, 1)
    assert prominence.stdout(job_id) == "begun\n"
    if prominence.backend == "slurm":
        assert execution["attempts"][0]["cause"] == "scheduler"
        assert prominence("stdout", str(job_id), "--attempt", "1").stdout == "begun\n"
