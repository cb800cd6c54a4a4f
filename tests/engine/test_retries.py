"""``maximumRetries``: the scheduler itself starts a failed job again, and what is told of each attempt."""

import secrets
from typing import Any

import pytest

from tests.engine.policies import configure, job, submitted, until
from tests.engine.prominence import Prominence
from tests.site.handle import Site

# Which attempt it is in a task cannot know: its output is made to differ.
FAILS = "echo out of $(cat /proc/sys/kernel/random/uuid); echo complained >&2; echo mine > result; exit 3"


@pytest.mark.honours("policies.maximumRetries")
def test_a_failing_job_is_run_again_and_every_attempt_is_told(
    prominence: Prominence, image: str
) -> None:
    """Twice, at its own id; the last attempt's outputs and exit code are the job's."""
    description = job(image, FAILS, policies={"maximumRetries": 1}, outputFiles=["result"])
    job_id = submitted(prominence, description)
    before = prominence.describe(job_id)["execution"]["backendId"]
    described = prominence.ended(job_id)
    execution = described["execution"]
    assert described["status"] == "completed", prominence.told(job_id, described)
    assert described.get("statusReason", "") == ""
    assert execution["retries"] == 1
    assert [task["exitCode"] for task in execution["tasks"]] == [3]
    assert execution["backendId"] == before
    first, last = execution["attempts"]
    for number, attempt in ((1, first), (2, last)):
        assert attempt["attempt"] == number
        assert attempt["cause"] == "task"
        assert attempt["reason"] == "exit code 3 of task 0"
        assert attempt["exitCodes"] == [3]
        assert attempt["host"]
    assert first["endTime"] <= last["startTime"]
    assert prominence("wait", str(job_id), check=False).returncode == 11
    # The streams of each: nobody's output is lost, nor mixed with another's.
    earlier = prominence("stdout", str(job_id), "--attempt", "1").stdout
    final = prominence.stdout(job_id)
    assert earlier.startswith("out of ")
    assert earlier.count("\n") == final.count("\n") == 1
    assert earlier != final
    assert prominence("stdout", str(job_id), "--attempt", "2").stdout == final
    complained = prominence("stderr", str(job_id), "--attempt", "1").stdout
    assert complained.splitlines()[0] == "complained"
    absent = prominence("stdout", str(job_id), "--attempt", "3", check=False)
    assert (absent.returncode, absent.stdout) == (4, "")
    assert "there are: 1, 2" in absent.stderr
    prominence("download", str(job_id))
    assert prominence.read("result") == "mine\n"


@pytest.mark.honours("policies.maximumRetries")
def test_what_failed_around_the_tasks_is_run_again_until_it_goes_well(
    prominence: Prominence, image: str
) -> None:
    """An output that is missing the first time: a mark on the node tells the attempts apart.

    HTCondor has two nodes, so that it may be missing twice.
    """
    mark = f"/marks/.prominence-{secrets.token_hex(8)}"
    configure(prominence, 'binds = ["/home/alice:/marks"]')
    script = f"echo tried; [ ! -e {mark} ] || echo there > result; touch {mark}"
    description = job(image, script, outputFiles=["result"], policies={"maximumRetries": 2})
    job_id = submitted(prominence, description)
    described = prominence.ended(job_id)
    assert described["status"] == "completed", prominence.told(job_id, described)
    assert described.get("statusReason", "") == ""
    attempts = described["execution"]["attempts"]
    assert [attempt.get("cause") for attempt in attempts] == [
        *["infrastructure"] * (len(attempts) - 1),
        None,
    ]
    assert len(attempts) >= 2
    missing = "Stageout failed due to no such file or directory"
    assert attempts[0]["reason"].startswith(missing)
    assert attempts[0]["exitCodes"] == [0]
    assert prominence("wait", str(job_id)).returncode == 0
    prominence("download", str(job_id))
    assert prominence.read("result") == "there\n"
    for host in ("login", "exec1", "exec2"):
        prominence.site.run(
            ["rm", "-f", mark.replace("/marks", "/home/alice")], host=host, check=False
        )


@pytest.mark.honours("policies.maximumRetries")
def test_a_job_that_fails_for_good_says_why_and_is_followed_through_its_attempts(
    prominence: Prominence, image: str
) -> None:
    """The last attempt's failure is the job's; ``--tail`` shows every attempt once, and whole."""
    description = job(
        image, "echo tried $((20 + 22))", outputFiles=["absent"], policies={"maximumRetries": 1}
    )
    job_id = submitted(prominence, description)
    followed = prominence("stdout", "--tail", str(job_id))
    assert followed.stdout == "tried 42\n" * 2
    assert "anew" in followed.stderr
    described = prominence.ended(job_id)
    assert (described["status"], described["statusReason"]) == (
        "failed",
        "Stageout failed due to no such file or directory",
    )
    assert [attempt["cause"] for attempt in described["execution"]["attempts"]] == [
        "infrastructure"
    ] * 2
    assert prominence("wait", str(job_id), check=False).returncode == 10


@pytest.mark.honours("policies.maximumRetries")
def test_deletion_while_a_job_waits_to_be_run_again_is_for_good(
    prominence: Prominence, image: str
) -> None:
    """And until then it says what failed, and shows what that attempt wrote."""
    description = job(image, "echo first; exit 3", policies={"maximumRetries": 2})
    job_id = submitted_to_wait_between_attempts(prominence, image, description)
    for _ in range(200):
        described = prominence.describe(job_id)
        if "; attempt 1 failed" in described.get("statusReason", ""):
            break
        prominence.shell("sleep 0.2")
    words = "Attempt 2 of 3 is waiting; attempt 1 failed: exit code 3 of task 0"
    assert described.get("statusReason", "").startswith(words), prominence.told(job_id, described)
    assert described["status"] == "idle"
    assert len(described["execution"]["attempts"]) == 1
    assert prominence.stdout(job_id) == "first\n"
    to_come = prominence("stdout", str(job_id), "--attempt", "2", check=False)
    assert (to_come.returncode, "has not begun" in to_come.stderr) == (8, True)
    prominence("delete", str(job_id))
    assert prominence.ended(job_id)["status"] == "deleted"
    prominence.shell("sleep 8")
    assert prominence.describe(job_id)["status"] == "deleted"
    assert prominence.stdout(job_id) == "first\n"
    if prominence.backend == "slurm":
        handle = described["execution"]["backendId"]
        assert "CANCELLED" in prominence.shell(f"squeue --states=all -h -j {handle} -o %T")


# As the wrapper asks Slurm, but for the length of the pause.
LATER = """\
#!/bin/sh
[ "$1" = update ] && set -- update "$2" StartTime=now+90
exec /usr/bin/scontrol "$@"
"""


def submitted_to_wait_between_attempts(
    prominence: Prominence, image: str, description: dict[str, Any]
) -> int:
    """In Slurm for longer than else; HTCondor finds no second node, and the one slot here is taken."""
    if prominence.backend == "slurm":
        prominence.shell("mkdir bin")
        prominence.write("bin/scontrol", LATER, mode=0o755)
        configure(prominence, f"prologue = ['export PATH={prominence.folder}/bin:$PATH']")
    if prominence.backend == "htcondor":
        configure(prominence, "directives = ['requirements = NumJobStarts == 0']")
    if prominence.backend != "local":
        return submitted(prominence, description)
    configure(prominence, "slots = 1")
    until(prominence, submitted(prominence, job(image, "sleep 6")), "running")
    job_id = submitted(prominence, description)
    submitted(prominence, job(image, "sleep 30"))
    return job_id


def test_where_slurm_may_not_requeue_the_attempt_was_the_last(
    site: Site, folder: str, image: str
) -> None:
    prominence = Prominence(site, folder)
    configure(prominence, 'directives = ["--no-requeue"]')
    job_id = submitted(prominence, job(image, "exit 3", policies={"maximumRetries": 2}))
    described = prominence.ended(job_id)
    assert described["status"] == "completed"
    assert [task["exitCode"] for task in described["execution"]["tasks"]] == [3]
    detail = described["execution"]["detail"]
    assert detail.startswith("Slurm did not take the job back into its queue: ")
    assert "disabled" in detail
    assert described["execution"]["retries"] == 0


# In place of Slurm's own: the wrapper is killed in the moment in which it asks.
SCONTROL = "#!/bin/sh\nsleep 4\nkill -KILL $PPID\n"


def test_a_wrapper_that_is_killed_before_it_can_ask_leaves_no_success_and_no_second_run(
    site: Site, folder: str, image: str
) -> None:
    """Whoever asks in that moment is told that the job still runs; later, how the attempt ended."""
    prominence = Prominence(site, folder)
    prominence.shell("mkdir bin")
    prominence.write("bin/scontrol", SCONTROL, mode=0o755)
    configure(prominence, f"prologue = ['export PATH={folder}/bin:$PATH']")
    job_id = submitted(prominence, job(image, "echo once; exit 3", policies={"maximumRetries": 2}))
    for _ in range(100):
        report = prominence.shell("cat .prominence/jobs/*/*/report.json 2>/dev/null || true")
        if '"retrying"' in report:
            break
        prominence.shell("sleep 0.2")
    assert prominence.describe(job_id)["status"] == "running"
    described = prominence.ended(job_id)  # a last word might still come: a minute
    assert described["status"] == "completed", described
    assert described["statusReason"].startswith("exit code 3 of task 0; not run again: ")
    assert prominence.stdout(job_id) == "once\n"
    assert prominence("wait", str(job_id), check=False).returncode == 11
