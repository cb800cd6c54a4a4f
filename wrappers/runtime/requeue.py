"""Asking Slurm, from within a job, to put it back into the queue under its own id.

https://slurm.schedmd.com/scontrol.html, "requeue". Slurm ends the job to do so: this must be the
last thing that a wrapper does.
"""

import signal
import subprocess

from .text import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping, Optional

# Slurm lets a requeued job wait for two minutes, unless it is given a later start than the moment at
# which its earlier run is cleaned up. Longer than what clocks may differ by (adapter/verdict.py).
PAUSE_SECONDS = 6
ANSWER_SECONDS = 30


def job_id(environ: "Mapping[str, str]") -> str:
    """What Slurm knows this job by. The id alone may be that of the array, which means all of its jobs.

    >>> job_id({"SLURM_JOB_ID": "70", "SLURM_ARRAY_JOB_ID": "70", "SLURM_ARRAY_TASK_ID": "3"})
    '70_3'
    """
    if "SLURM_ARRAY_TASK_ID" in environ:
        return "%s_%s" % (environ["SLURM_ARRAY_JOB_ID"], environ["SLURM_ARRAY_TASK_ID"])
    return environ["SLURM_JOB_ID"]


def requeue(job_id: str) -> "Optional[str]":
    """None where Slurm will start the job again; else the sentence that says why it will not."""
    # Slurm's SIGTERM, which ends the job, may come before scontrol has its answer; it inherits this.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    problem = _scontrol("requeue", job_id)
    if problem is not None:
        return "Slurm did not take the job back into its queue: %s." % problem
    # Not needed: without it the job starts a bit later.
    _scontrol("update", "JobId=%s" % job_id, "StartTime=now+%d" % PAUSE_SECONDS)
    return None


def _scontrol(*words: str) -> "Optional[str]":
    """None, or what is said against it."""
    try:
        done = subprocess.run(
            ["scontrol", *words],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=ANSWER_SECONDS,
        )
    except OSError as error:
        return "scontrol: %s" % error.strerror
    except subprocess.TimeoutExpired:
        return "scontrol had no answer within %d seconds" % ANSWER_SECONDS
    if done.returncode == 0:
        return None
    said = done.stdout.decode("utf-8", "replace").strip().splitlines()
    return (
        shown(said[0]).rstrip(".")
        if said
        else "scontrol failed with exit code %d" % done.returncode
    )
