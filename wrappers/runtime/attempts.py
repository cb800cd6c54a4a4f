"""Attempts: what is kept of each start of a job, and the start that follows a failure.

Nothing of ours waits for a job that failed: its scheduler starts it again, under the id that it has.
HTCondor (``on_exit_remove``) and the launcher of local jobs do so where the wrapper ends with
``RETRY_EXIT_CODE``; Slurm is asked by ``scontrol requeue``.

``attempts/N`` beside the plan holds the streams, the log and the report of attempt N, counted from
1, once another one has begun. Where starts share a folder (Slurm, local) the next start
moves them there, whatever ended the one before; on HTCondor, where each start has a folder of its own
and only the last one's files keep their names, the attempt that fails leaves them there itself.
"""

import json
import os
import shutil

from .errors import MEMORY, OUTPUT_MISSING, QUEUE_TIME, RUNTIME_REFUSED, WALLTIME
from .metrics import attempt, completions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

FOLDER = b"attempts"
STREAMS = ((1, b"stdout"), (2, b"stderr"))
RECORDS = (b"report.json", b"wrapper.log")

TASK, INFRASTRUCTURE, LIMIT, SCHEDULER = "task", "infrastructure", "limit", "scheduler"
# A job that was larger than its walltime or memory would be so again.
_LIMITS = (WALLTIME, MEMORY, QUEUE_TIME)
_IN_VAIN = (RUNTIME_REFUSED,)


class Attempts:
    """The attempts of one job, as seen from the one that runs. Made before anything is written."""

    def __init__(self, plan: "dict[str, Any]", folder: bytes) -> None:
        self.plan = plan
        self.folder = folder
        self.number = attempt()
        self.apart = "_CONDOR_JOB_AD" in os.environ  # every start has a folder of its own
        if self.number > 0 and not self.apart:
            put_aside(folder, self.number)

    def left(self) -> int:
        """How often the job may still be run again, if this attempt fails."""
        most: int = self.plan.get("maximum_retries", 0)
        if not most or not ("SLURM_JOB_ID" in os.environ or self.apart or launched()):
            return 0  # or run by hand: nobody would start it again
        used = completions() if self.apart else failures(self.folder)
        return max(0, most - used)

    def may_follow(self, document: "dict[str, Any]") -> bool:
        """Whether another attempt is to follow the one of which this is the report."""
        retried = document["cause"] in (TASK, INFRASTRUCTURE) and document["reason"] not in _IN_VAIN
        return retried and self.left() > 0

    def keep(self) -> None:
        """Put this attempt's files where the next one's will not take their place. Raises OSError."""
        if not self.apart:
            return  # the next one does it
        kept, final = _new_folder(self.folder, self.number)
        if os.path.isdir(final):
            return  # the wrapper failed after that
        for descriptor, name in STREAMS:
            _link(os.readlink(b"/proc/self/fd/%d" % descriptor), os.path.join(kept, name))
        for name in RECORDS:
            _link(os.path.join(self.folder, name), os.path.join(kept, name))
        os.rename(kept, final)

    def ask(self) -> "Optional[str]":
        """Have the job started again; None, or the sentence that says why it will not be."""
        if "SLURM_JOB_ID" not in os.environ:
            return None  # the exit code says it
        from .requeue import job_id, requeue

        return requeue(job_id(os.environ))


def launched() -> bool:
    """Whether the launcher of local jobs has started us."""
    return "PROMINENCE_RESTART_COUNT" in os.environ


def cause_of(plan: "dict[str, Any]", outcome: str, reason: str, document: "dict[str, Any]") -> str:
    """Whose fault an end is; empty where all went well, or as the job's description puts up with."""
    tolerant = plan.get("ignore_task_failures") or plan.get("report_job_success_on_task_failure")
    failed = any(
        entry["exit_code"] != 0 for entry in document["tasks"] if entry["type"] != "sidecar"
    )
    if outcome == "killed":
        return LIMIT if reason in _LIMITS else SCHEDULER
    if outcome == "failed":
        if reason == QUEUE_TIME:
            return LIMIT
        return TASK if failed and reason == OUTPUT_MISSING else INFRASTRUCTURE
    return TASK if failed and not tolerant else ""


def failures(folder: bytes) -> int:
    """How many of the attempts that were put aside had failed, rather than been put back."""
    try:
        names = [name for name in os.listdir(os.path.join(folder, FOLDER)) if name.isdigit()]
    except OSError:
        return 0
    reports = [_report(os.path.join(folder, FOLDER, name)) for name in names]
    return sum(report is None or report.get("cause") != SCHEDULER for report in reports)


def put_aside(folder: bytes, number: int) -> None:
    """Move the files of the start before start ``number`` into its own folder.

    The streams are open already, to be appended to: their content is moved. What cannot be moved
    stays where it is.
    """
    report = _report(folder)
    before = number - 1 if report is None else report["attempt"]
    if before >= number:
        return  # a report of ours
    try:
        kept, final = _new_folder(folder, before)
        for descriptor, name in STREAMS:
            _move_content(descriptor, os.path.join(folder, name), os.path.join(kept, name))
        for name in RECORDS:
            if os.path.exists(os.path.join(folder, name)):
                os.rename(os.path.join(folder, name), os.path.join(kept, name))
        os.rename(kept, final)
    except OSError:
        pass  # a full disk; the job goes on, with its streams one after the other


def _report(folder: bytes) -> "Optional[dict[str, Any]]":
    try:
        with open(os.path.join(folder, b"report.json"), "rb") as stream:
            document = json.loads(stream.read().decode("utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and "attempt" in document else None


def _new_folder(folder: bytes, number: int) -> "tuple[bytes, bytes]":
    """The folder of an attempt while it is being filled, and its name when all is there."""
    path = os.path.join(folder, FOLDER, b"%d" % (number + 1))
    for part in (os.path.dirname(path), path + b".part"):
        try:
            os.mkdir(part, 0o700)
        except FileExistsError:
            pass
    return path + b".part", path


def _move_content(descriptor: int, source: bytes, target: bytes) -> None:
    try:
        ours = os.path.samestat(os.fstat(descriptor), os.stat(source))
    except OSError:
        return  # the site keeps the streams elsewhere
    if ours:
        shutil.copyfile(source, target)
        os.chmod(target, 0o600)
        os.truncate(source, 0)


def _link(source: bytes, target: bytes) -> None:
    """A second name, which costs nothing; a copy where there is no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        os.chmod(target, 0o600)
