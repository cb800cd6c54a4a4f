"""The one folder in which everything lives that outlasts a command, and the private files in it.

``state.db`` is the store; ``jobs/SHARD/ID`` holds what people and compute nodes read of a job. The
folders are 0700 and the files 0600: plans hold presigned URLs, which are bearer tokens.
"""

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from prominence_hpc.errors import ConfigError, ConflictError

if TYPE_CHECKING:
    from prominence_hpc.adapter.store.records import JobRecord

__all__ = [
    "JOB_FILE",
    "PLAN_FILE",
    "REPORT_FILE",
    "WORKFLOW_FILE",
    "folder_of",
    "job_folder",
    "make_job_folder",
    "make_new_folder",
    "make_private",
    "part_folder",
    "scratch_prefix",
    "state_folder",
    "workflow_folder",
    "write_private",
]

# In a job's folder, beside what its backend writes there.
JOB_FILE = "job.json"  # the description as submitted
PLAN_FILE = "plan.json"
REPORT_FILE = "report.json"
# In a workflow's folder: the description as submitted, written when all else is there.
WORKFLOW_FILE = "workflow.json"

# A folder of 100,000 entries is slow to list and to search on many shared file systems.
JOBS_PER_SHARD = 1000


def state_folder(environ: Mapping[str, str]) -> Path:
    """The state folder, made where it is missing; ConfigError where it cannot be made or used.

    ``PROMINENCE_HOME``, else ``$XDG_STATE_HOME/prominence``, else ``~/.local/state/prominence``.
    An existing folder keeps its mode: what lies below it is private all the same.
    """
    folder = _location(environ)
    try:
        make_private(folder)
    except OSError as error:
        msg = (
            f"The state folder {folder} cannot be made: {error.strerror}; "
            f"set PROMINENCE_HOME to a folder that you can write to."
        )
        raise ConfigError(msg) from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        msg = (
            f"The state folder {folder} is not writable; "
            f"set PROMINENCE_HOME to a folder that you can write to."
        )
        raise ConfigError(msg)
    return folder


def _location(environ: Mapping[str, str]) -> Path:
    home = environ.get("PROMINENCE_HOME")
    if home:
        return Path(home).expanduser().absolute()
    # The XDG base directory specification: a relative path in XDG_STATE_HOME is to be ignored.
    state_home = Path(environ.get("XDG_STATE_HOME") or "")
    if state_home.is_absolute():
        return state_home / "prominence"
    try:
        return Path(environ.get("HOME") or Path.home()) / ".local/state/prominence"
    except RuntimeError as error:
        msg = "There is no home folder to keep jobs in; set PROMINENCE_HOME to a folder."
        raise ConfigError(msg) from error


def job_folder(state: Path, job_id: int) -> Path:
    """Where the files of one job are, whether it exists or not."""
    return state / "jobs" / f"{job_id // JOBS_PER_SHARD:04d}" / str(job_id)


def workflow_folder(state: Path, workflow_id: int) -> Path:
    """Where the files of one workflow are, whether it exists or not."""
    return state / "workflows" / f"{workflow_id // JOBS_PER_SHARD:04d}" / str(workflow_id)


@lru_cache(maxsize=64)  # ten thousand jobs of a part ask one after the other
def part_folder(state: Path, workflow_id: int, number: int) -> Path:
    """Where the plan of a part of a workflow is, and below it what its jobs leave."""
    return workflow_folder(state, workflow_id) / str(number)


def folder_of(state: Path, record: "JobRecord") -> Path:
    """Where the files of a recorded job are; of a copy that has not begun there are none."""
    if record.workflow is None or record.part is None:
        return job_folder(state, record.id)
    folder = part_folder(state, record.workflow, record.part)
    return folder if record.copy is None else folder / str(record.copy)


def scratch_prefix(uid: str) -> str:
    """Where a job's outputs lie in object storage."""
    return f"scratch/{uid}/"


def make_job_folder(state: Path, job_id: int) -> Path:
    """Make the folder of a new job; ConflictError where there is one, as ids are never used twice."""
    folder = job_folder(state, job_id)
    make_new_folder(folder, f"job {job_id}")
    return folder


def make_new_folder(folder: Path, owner: str) -> None:
    """Make the folder of a new job or workflow; ConflictError where there is one already."""
    make_private(folder.parent)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError as error:
        msg = (
            f"The folder {folder} of the new {owner} exists already: the job store is older "
            f"than the folders beside it; move {folder.parent.parent} out of the way."
        )
        raise ConflictError(msg) from error


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone.

    pathlib's ``parents=True`` would give the ones above the ordinary mode.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileNotFoundError:
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        if not folder.is_dir():
            raise


def write_private(path: Path, content: str | bytes) -> None:
    """Write a file of mode 0600 under a temporary name and rename it: all of it is there, or none.

    No fsync: a power cut may lose the file, which recovery treats as one never written.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
