"""``report.json``: written whole by write-and-rename, so that a reader never sees half of one."""

import json
import os
import time

from .stream import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .log import Log

REPORT_VERSION = 1


class ReportFile:
    """What the job has come to; ``document`` is changed in place and written by :meth:`write`."""

    def __init__(self, path: bytes, job_id: int, attempt: int, start: float, log: "Log") -> None:
        self.path = path
        self.log = log
        self.document: "dict[str, Any]" = {
            "version": REPORT_VERSION,
            "job_id": job_id,
            "attempt": attempt,
            "phase": "starting",
            "outcome": None,
            "reason": "",
            "detail": "",
            "cause": "",
            "retries_left": 0,
            "host": os.uname().nodename,
            "start_time": start,
            "update_time": start,
            "end_time": None,
            "stage_in_time": None,
            "stage_out_time": None,
            "cpu": {},
            "runtime_version": "",
            "max_memory_usage_kb": 0,
            "provisioned": {},
            "tasks": [],
            "outputs": [],
        }

    def write(self) -> None:
        """Leaves either the old report or the new one, also through a crash of the node."""
        self.document["update_time"] = time.time()
        text = json.dumps(self.document, indent=1) + "\n"
        temporary = self.path + b".part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600)
        try:
            write_all(descriptor, text.encode("ascii"))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, self.path)

    def note(self) -> None:
        """Write what is known so far; a full disk here must not end a job that goes well elsewhere."""
        try:
            self.write()
        except OSError as error:
            self.log("report.json cannot be written now: %s" % error)

    def phase(self, name: str) -> None:
        self.document["phase"] = name
        self.note()

    def conclude(self, outcome: str, reason: str, detail: str, cause: str) -> None:
        """How the attempt ended; written by what comes next."""
        self.document.update(
            outcome=outcome, reason=reason, detail=detail, cause=cause, end_time=time.time()
        )

    def retry(self, left: int) -> None:
        """Another attempt is to follow, and ``left`` with it. Raises OSError."""
        self.document.update(phase="retrying", retries_left=left)
        self.write()

    def finish(self) -> None:
        """The last word; a scheduler that kills us from here on changes nothing. Raises OSError."""
        self.document.update(phase="finished", retries_left=0)
        self.write()
