"""What became of a job: a verdict from evidence, the stronger first.

1. The wrapper's report. One that says it finished and completed settles the matter whatever the
   scheduler says. One that finished otherwise counts once the queue does not hold the job any more:
   until then the scheduler may start it anew.
2. The scheduler's queue.
3. Its history, for a job that the queue does not know or does not explain.
4. Age: silence is never success, and neither is it failure before its time.

A scheduler that does not answer changes nothing: the job is as last known. Pure: no clock, no files.
"""

import time
from dataclasses import dataclass, replace
from typing import TypeGuard

from prominence_hpc.adapter.attempts import what_went_wrong
from prominence_hpc.adapter.store.records import JobStatus
from prominence_hpc.backends.base import Cause, Condition, SchedulerState
from prominence_hpc.wrappers.report import Report

__all__ = [
    "REPORT_GRACE_SECONDS",
    "UNCONFIRMED_REASON",
    "YOUNG_SECONDS",
    "Evidence",
    "Verdict",
    "judge",
]

# NFS clients keep a folder's attributes for up to 60 s (nfs(5), acdirmax): a report written on the
# node may be seen here that much later than the scheduler's word.
REPORT_GRACE_SECONDS = 60.0
# A job just submitted may be missing from an answer: schedulers answer from copies of their state.
YOUNG_SECONDS = 120.0
# Clocks of nodes and scheduler differ by this at most, where times of both are compared.
_SKEW_SECONDS = 5.0
# A time this far in the future is a wrong clock, which must not make a wait endless.
_WRONG_CLOCK_SECONDS = 3600.0

UNCONFIRMED_REASON = "Submission not confirmed by the scheduler yet"

_PHASE_REASONS = {"stage-in": "Fetching images and artifacts", "stage-out": "Storing outputs"}

# Causes that explain an end by themselves. The words are the contract's where it has them.
_EXPLAINED: dict[Cause, tuple[JobStatus, str]] = {
    Cause.WALLTIME: ("killed", "Walltime limit exceeded"),
    Cause.MEMORY: ("killed", "Memory limit exceeded"),
    Cause.CANCELLED: ("killed", "Cancelled outside PROMINENCE"),
    Cause.PREEMPTED: ("killed", "Preempted by the scheduler"),
    Cause.NODE_FAILURE: ("failed", "Compute node failed"),
    Cause.REFUSED: ("failed", "The scheduler could not start the job"),
    Cause.QUEUE_TIME: ("failed", "Maximum time in queue exceeded"),
    Cause.DEPENDENCY: ("failed", "Not run: a job that it depends on has failed"),
}
# Holds that nobody will lift; any other may be.
_TERMINAL_HOLDS = frozenset({Cause.WALLTIME, Cause.MEMORY, Cause.REFUSED})


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that is known of one job. Times are seconds since the epoch (UTC)."""

    job_id: int
    now: float
    created: float
    submitted: bool = True  # False: it is not known whether the scheduler has it
    deleted: bool = False  # the user asked for it
    # As last stored
    status: JobStatus = "idle"
    reason: str = ""
    started: float | None = None
    absent_since: float | None = None
    seen: float | None = None
    report: Report | None = None
    queue: SchedulerState | None = None  # None: the scheduler does not answer
    # None: not asked, or no answer; ABSENT: asked, and it knows nothing or there is none
    history: SchedulerState | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """``final``: to be stored, and never asked again.

    ``absent_since``: since when there is no sign of the job and no explanation; kept from one
    verdict to the next.
    """

    status: JobStatus
    reason: str = ""
    final: bool = False
    started: float | None = None
    ended: float | None = None
    absent_since: float | None = None
    not_run: bool = False  # what it was to wait for has not ended well
    task_failed: bool = False  # the job is "completed", and a workflow takes it for failed


def judge(evidence: Evidence) -> Verdict:
    """The verdict. ``completed`` only where a finished report says so."""
    if _finished(evidence.report) and evidence.report["outcome"] == "completed":
        return _as_reported(evidence, evidence.report)
    verdict = _by_scheduler(evidence)
    return _deleted(evidence, verdict) if evidence.deleted else verdict


def _deleted(evidence: Evidence, verdict: Verdict) -> Verdict:
    """Shown at once; final when the scheduler no longer has the job, whatever it ended of."""
    if verdict.final or not _is_gone(evidence):
        return replace(verdict, status="deleted", reason="")
    ended = _last_sign(evidence) or evidence.now
    return replace(verdict, status="deleted", reason="", final=True, ended=ended)


def _by_scheduler(evidence: Evidence) -> Verdict:
    if not evidence.submitted:
        return Verdict(status="idle", reason=UNCONFIRMED_REASON, absent_since=evidence.absent_since)
    if evidence.queue is None:
        return _as_last_known(evidence, _silence(evidence))
    match evidence.queue.condition:
        case Condition.QUEUED:
            return Verdict(status="idle", reason=_why_it_waits(evidence.report, evidence.queue))
        case Condition.HELD:
            return _held(evidence, evidence.queue)
        case Condition.RUNNING:
            return _running(evidence, evidence.queue)
        case Condition.UNKNOWN:
            words = f"The scheduler says {evidence.queue.raw!r}, which is not known here"
            return _as_last_known(evidence, words)
        case Condition.ENDED | Condition.ABSENT:
            return _gone(evidence, evidence.queue)


def _why_it_waits(report: Report | None, queue: SchedulerState) -> str:
    """The scheduler's reason, after what has become of the attempt before, where there was one."""
    if report is None or not queue.restarts:
        return queue.reason
    before = report["attempt"] + 1
    if report["phase"] == "retrying":
        most = before + report.get("retries_left", 1)
        words = f"Attempt {before + 1} of {most} is waiting; attempt {before} failed: "
    else:
        words = f"Attempt {queue.restarts + 1} is waiting; attempt {before} "
        words += "ended: " if report["outcome"] else ""
    return ". ".join(filter(None, [words + what_went_wrong(report), queue.reason]))


def _is_gone(evidence: Evidence) -> bool:
    if not evidence.submitted or evidence.queue is None:
        return False
    ended = evidence.queue.condition is Condition.ENDED
    return ended or (evidence.queue.condition is Condition.ABSENT and not _is_young(evidence))


def _is_young(evidence: Evidence) -> bool:
    return evidence.now - evidence.created < YOUNG_SECONDS


def _held(evidence: Evidence, queue: SchedulerState) -> Verdict:
    if _finished(evidence.report) and not _outdated(evidence.report, queue):
        return _as_reported(evidence, evidence.report)
    if queue.cause in _TERMINAL_HOLDS:
        return _explained(evidence, queue)
    reason = f"Held by the scheduler: {queue.reason}" if queue.reason else "Held by the scheduler"
    return Verdict(status="idle", reason=reason)


def _running(evidence: Evidence, queue: SchedulerState) -> Verdict:
    report = evidence.report
    if report is None or _outdated(report, queue):
        return Verdict(status="running", started=queue.start_time or evidence.started)
    return Verdict(
        status="running",
        reason=_PHASE_REASONS.get(report["phase"], ""),
        started=queue.start_time or report["start_time"],
    )


def _gone(evidence: Evidence, queue: SchedulerState) -> Verdict:
    """The queue does not hold the job any more: the report, else the scheduler's word, else age."""
    last = _last_word(queue, evidence.history)
    report = evidence.report
    if _finished(report) and not _outdated(report, last):
        verdict = _as_reported(evidence, report)
        if not verdict.reason and last.cause in _EXPLAINED:
            verdict = replace(verdict, reason=_EXPLAINED[last.cause][1])
        return verdict
    if last.condition is Condition.ENDED and last.cause in _EXPLAINED:
        return _explained(evidence, last)
    return _unexplained(evidence, last)


def _last_word(queue: SchedulerState, history: SchedulerState | None) -> SchedulerState:
    """The answer that explains most. History that has not noticed the end explains nothing."""
    explains = queue.condition is Condition.ENDED and queue.cause is not Cause.NONE
    if explains or history is None or history.condition is not Condition.ENDED:
        return queue
    return history


def _unexplained(evidence: Evidence, last: SchedulerState) -> Verdict:
    """No finished report, and no cause that says it all: patience first, then failure."""
    vanished = last.condition is Condition.ABSENT
    if vanished and _is_young(evidence):
        return _as_last_known(evidence, evidence.reason)
    if vanished and evidence.history is None:
        words = "The job has left the queue; the scheduler's history does not answer"
        return _as_last_known(evidence, words)
    since = last.end_time or evidence.absent_since or evidence.now
    if -_WRONG_CLOCK_SECONDS < evidence.now - since < REPORT_GRACE_SECONDS:
        return _waiting_for_report(evidence, last, since)
    if _retrying(evidence.report) and not _outdated(evidence.report, last):
        return _not_run_again(evidence, evidence.report)
    status, words = _without_report(evidence, last)
    return Verdict(
        status=status,
        reason=words,
        final=True,
        started=_start(evidence, last),
        ended=last.end_time or _last_sign(evidence) or since,
    )


def _waiting_for_report(evidence: Evidence, last: SchedulerState, since: float) -> Verdict:
    return Verdict(
        status=evidence.status if last.condition is Condition.ABSENT else "running",
        reason="The job has ended; waiting for its report",
        started=_start(evidence, last),
        absent_since=evidence.absent_since or since,
    )


def _without_report(evidence: Evidence, last: SchedulerState) -> tuple[JobStatus, str]:
    phase = f" in phase {evidence.report['phase']}" if evidence.report else ""
    left = "without a final report" if evidence.report else "without a report"
    hint = f"see prominence stderr {evidence.job_id}"
    if last.condition is Condition.ABSENT:
        if evidence.report is None:
            return "failed", "The scheduler no longer knows this job and it left no report"
        return "failed", f"The scheduler no longer knows this job, last heard of{phase}; {hint}"
    code = "" if last.exit_code is None else f"; exit code {last.exit_code}"
    if last.cause is Cause.SIGNALED:
        return "killed", f"The job was ended by a signal{phase} {left}{code}; {hint}"
    return "failed", f"The job ended{phase} {left}{code}; {hint}"


def _explained(evidence: Evidence, state: SchedulerState) -> Verdict:
    status, words = _EXPLAINED[state.cause]
    if state.cause is Cause.REFUSED and state.reason:
        words = f"{words}: {state.reason}"
    return Verdict(
        status=status,
        reason=words,
        final=True,
        started=_start(evidence, state),
        ended=state.end_time or _last_sign(evidence) or evidence.now,
        not_run=state.cause is Cause.DEPENDENCY,
    )


def _as_reported(evidence: Evidence, report: Report) -> Verdict:
    return Verdict(
        status=report["outcome"] or "failed",
        reason=report["reason"],
        final=True,
        started=report["start_time"],
        ended=report["end_time"] or report["update_time"] or evidence.now,
        task_failed=report.get("cause") == "task",
    )


def _not_run_again(evidence: Evidence, report: Report) -> Verdict:
    """The attempt was to be followed by another one, and the scheduler does not know of that."""
    words = "not run again: the attempt ended before that could be asked for"
    reason = f"{what_went_wrong(report)}; {words}"
    return replace(_as_reported(evidence, report), reason=reason)


def _as_last_known(evidence: Evidence, reason: str) -> Verdict:
    return Verdict(
        status=evidence.status,
        reason=reason,
        started=evidence.started,
        absent_since=evidence.absent_since,
    )


def _finished(report: Report | None) -> TypeGuard[Report]:
    return report is not None and report["phase"] == "finished"


def _retrying(report: Report | None) -> TypeGuard[Report]:
    return report is not None and report["phase"] == "retrying"


def _outdated(report: Report, state: SchedulerState) -> bool:
    """Whether the report is of an earlier attempt than the one that the scheduler speaks of.

    A job that is started anew keeps its folder, and the old report until the wrapper runs again.
    """
    if state.restarts is not None:
        waits = state.condition in (Condition.QUEUED, Condition.HELD)
        if report["attempt"] < state.restarts - waits:
            return True
    last_sign = report["end_time"] or report["update_time"]
    return state.start_time is not None and last_sign < state.start_time - _SKEW_SECONDS


def _start(evidence: Evidence, state: SchedulerState) -> float | None:
    reported = evidence.report["start_time"] if evidence.report else None
    return state.start_time or reported or evidence.started


def _last_sign(evidence: Evidence) -> float | None:
    return evidence.report["update_time"] if evidence.report else None


def _silence(evidence: Evidence) -> str:
    if evidence.seen is None:
        return "The scheduler has not answered since the job was submitted"
    same_day = time.gmtime(evidence.seen)[:3] == time.gmtime(evidence.now)[:3]
    form = "%H:%M:%S" if same_day else "%Y-%m-%d %H:%M:%S"
    heard = time.strftime(form, time.gmtime(evidence.seen))
    return f"As last known at {heard} UTC: the scheduler does not answer"
