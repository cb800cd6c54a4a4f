"""The attempts of a job: what an earlier one left, in ``attempts/N`` of the job's folder, from 1.

The wrapper puts it there (:mod:`prominence_hpc.wrappers.runtime.attempts`); the last attempt's files are
where those of a job with a single one are.
"""

from pathlib import Path

from prominence_hpc.adapter.store.state_folder import REPORT_FILE
from prominence_hpc.errors import ConflictError, NotFoundError
from prominence_hpc.wrappers import report as reports
from prominence_hpc.wrappers.report import Report

__all__ = [
    "FOLDER",
    "WITHOUT_A_WORD",
    "earlier_attempts",
    "kept_attempts",
    "stream_of_attempt",
    "what_went_wrong",
]

FOLDER = "attempts"
WITHOUT_A_WORD = "ended without a word: its node failed, or the scheduler took it away"


def earlier_attempts(folder: Path) -> dict[int, Report | None]:
    """Reports of the attempts that were put aside, by number; None where there is none."""
    return {
        number: reports.read(folder / FOLDER / str(number) / REPORT_FILE)
        for number in kept_attempts(folder)
    }


def kept_attempts(folder: Path) -> list[int]:
    try:
        names = [path.name for path in (folder / FOLDER).iterdir()]
    except FileNotFoundError:
        return []
    return sorted(int(name) for name in names if name.isdecimal())


def stream_of_attempt(folder: Path, job_id: int, attempt: int, name: str, *, begun: bool) -> Path:
    """The file with a stream of an attempt; ``begun``: whether the last one has started.

    NotFoundError where there was no such attempt, ConflictError where it is still to come.
    """
    kept = kept_attempts(folder)
    if attempt in kept:
        return folder / FOLDER / str(attempt) / name
    report = reports.read(folder / REPORT_FILE)
    known = max([*kept, 0 if report is None else report["attempt"] + 1])
    # What is not put aside is in its usual place; a report may be that of the attempt before.
    last = known if known and known not in kept else known + 1
    begun = begun or last == known
    if attempt == last and begun:
        return folder / name
    if attempt == last + begun and not finished(report):
        msg = f"Attempt {attempt} of job {job_id} has not begun: it has written nothing yet."
        raise ConflictError(msg)
    there_are = ", ".join(map(str, [*kept, last] if begun else kept)) or "none so far"
    msg = f"Job {job_id} keeps no attempt {attempt}; there are: {there_are}."
    raise NotFoundError(msg)


def finished(report: Report | None) -> bool:
    return report is not None and report["phase"] == "finished"


def what_went_wrong(report: Report) -> str:
    """Why an attempt ended as it did, for the middle of a sentence; empty where all went well."""
    if report["outcome"] is None:
        return WITHOUT_A_WORD
    if report["reason"]:
        detail = f" ({report['detail'].rstrip('.')})" if report["detail"] else ""
        return f"{report['reason']}{detail}"
    failed = reports.failed_tasks(report)
    return ", ".join(f"exit code {task['exit_code']} of task {task['number']}" for task in failed)
