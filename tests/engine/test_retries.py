"""``maximumRetries``: the scheduler itself starts a failed job again, and what is told of each attempt."""

import pytest

from tests.engine.policies import job, submitted
from tests.engine.prominence import Prominence

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
