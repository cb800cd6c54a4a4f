"""How long a job of a workflow has waited in the queue since what it depends on had ended.

Slurm's --deadline counts from submission, and a workflow's jobs are submitted all at once: of those that wait for
others it would say nothing about the queue. https://slurm.schedmd.com/squeue.html, "EligibleTime".
DAGMan submits a job when its turn has come, but would take the removal of one of a sweep for the end of all.
"""

import os
import subprocess
import time

from .errors import QUEUE_TIME, JobFailed
from .metrics import read_ad
from .requeue import ANSWER_SECONDS, job_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .log import Log

CLOCK_SECONDS = 5  # what the clocks of node and controller may differ by


def check_wait(most_seconds: int, log: "Log") -> None:
    """Raise JobFailed where the job has waited for longer than this; where nobody says, it goes on."""
    if "SLURM_JOB_ID" in os.environ:
        eligible = eligible_time(job_id(os.environ), log)
    else:
        # The launcher of local jobs sees to it by itself.
        eligible = read_ad(os.environ.get("_CONDOR_JOB_AD", "")).get("QDate")
    if eligible is None:
        return
    late = time.time() - eligible - most_seconds - CLOCK_SECONDS
    if late > 0:
        raise JobFailed(QUEUE_TIME, "The job began %d s too late." % late)


def eligible_time(number: str, log: "Log") -> "float | None":
    """Since when nothing but the queue has kept the job from starting, in seconds since the epoch."""
    argv = ["squeue", "--noheader", "--jobs=%s" % number, "--Format=EligibleTime"]
    try:
        done = subprocess.run(
            argv,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=ANSWER_SECONDS,
            env=dict(os.environ, SLURM_TIME_FORMAT="%s"),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log("how long the job has waited is not known: %s" % error)
        return None
    said = done.stdout.decode("ascii", "replace").strip()
    if not said.isdigit():
        log("how long the job has waited is not known: squeue said %r" % said)
        return None
    return float(said)
