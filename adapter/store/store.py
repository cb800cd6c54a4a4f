"""The record of every job: questions and changes, each one short transaction.

Any method may raise ConflictError (another command holds the file for too long, or a newer version
wrote it) or ProminenceError (disk full, file damaged). What a method wrote is on disk when it
returns; where it raises, nothing of it is. The file itself is :mod:`.database`'s.
"""

import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from prominence_hpc.adapter.store import schema
from prominence_hpc.adapter.store.claims import Claim, claim_of_this_process, is_abandoned
from prominence_hpc.adapter.store.conditions import where
from prominence_hpc.adapter.store.database import Database
from prominence_hpc.adapter.store.records import COLUMNS, JobRecord, decode
from prominence_hpc.errors import NotFoundError

if TYPE_CHECKING:
    import sqlite3

    from prominence_hpc.adapter.store.workflows import Workflows
    from prominence_hpc.adapter.verdict import Verdict

__all__ = ["Store", "Which"]

# SQLite before 3.32 takes at most 999 values in one statement.
_VALUES_AT_ONCE = 900
# SQLite's integers have 64 bits, sign included.
_IDS = 1 << 63

# A job that was left in the queue is listed for so long after its end: PROMINENCE's own limit.
LEFT_IN_QUEUE_SECONDS = 90 * 86400

# "listed": what a plain ``list`` shows: not ended, or left in the queue and not yet removed.
Which = Literal["listed", "completed", "all"]
_TERMS: dict[Which, tuple[str, ...]] = {
    "listed": (schema.LISTED,),
    "completed": ("final = 1",),
    "all": ("1",),
}


class Store:
    """The jobs of one state folder. The file is opened, and made, at the first use.

    Usable by one thread; forked children open their own.
    """

    def __init__(self, state: Path) -> None:
        self.state = state
        self._database = Database(state / "state.db")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        self._database.close()

    @cached_property
    def workflows(self) -> "Workflows":
        """The workflows, whose jobs are among this store's."""
        from prominence_hpc.adapter.store.workflows import Workflows  # most commands need none

        return Workflows(self._database)

    def has_open_workflows(self) -> bool:
        """Whether there are workflows that are not known to be with the scheduler as wholes."""
        with self._database.reading() as connection:
            query = f"SELECT EXISTS (SELECT 1 FROM workflows WHERE {schema.OPEN})"
            return bool(connection.execute(query).fetchone()[0])

    # Jobs come and go

    def create_intent(
        self,
        *,
        site: str,
        backend: str,
        name: str = "",
        image: str = "",
        command: str = "",
        labels: Mapping[str, str] | None = None,
        leave_in_queue: bool = False,
        now: float | None = None,
    ) -> JobRecord:
        """A new job that this process is about to submit, with its id, uid and tag."""
        labels = dict(labels or {})
        now = time.time() if now is None else now
        claim = claim_of_this_process(now)
        values = {
            "uid": os.urandom(16).hex(),  # the module secrets takes 4 ms to import
            "tag": os.urandom(16).hex(),
            "site": site,
            "backend": backend,
            "name": name,
            "image": image,
            "command": command,
            "labels": _json(labels),
            "created": now,
            "leave_in_queue": int(leave_in_queue),
            **_claim_values(claim),
        }
        insert = f"INSERT INTO jobs ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"
        with self._database.writing() as connection:
            job_id = connection.execute(insert, tuple(values.values())).lastrowid
            connection.executemany(
                "INSERT INTO labels (key, value, job) VALUES (?, ?, ?)",
                [(key, value, job_id) for key, value in labels.items()],
            )
            return _one(connection, job_id)

    def forget(self, job_id: int) -> None:
        """Remove the row of a job that was never submitted; its id is not used again."""
        with self._database.writing() as connection:
            deleted = connection.execute(
                "DELETE FROM jobs WHERE id = ? AND state = 'intent'", (job_id,)
            )
            if deleted.rowcount:
                connection.execute("DELETE FROM labels WHERE job = ?", (job_id,))

    # Submission

    def claim_abandoned(self, now: float) -> list[JobRecord]:
        """Take over, in one transaction, every unconfirmed job that nobody is submitting.

        The records show our claim. Two processes that ask at once get different jobs.
        """
        if not any(is_abandoned(record.claim, now) for record in self.unconfirmed()):
            return []  # the ordinary case, without a lock
        ours = _claim_values(claim_of_this_process(now))
        with self._database.writing() as connection:
            ids = [
                record.id
                for record in _records(connection, f"WHERE {schema.UNCONFIRMED}")
                if is_abandoned(record.claim, now)
            ]
            connection.executemany(
                f"UPDATE jobs SET {_assign(ours)} WHERE id = ?",
                [(*ours.values(), job_id) for job_id in ids],
            )
            return _by_id(connection, ids)

    def begin_attempt(self, job_id: int) -> bool:
        """Confirm that this process may still submit the job; False where another took it over.

        What was known of its absence is cleared: after this the scheduler may have it at any time.
        """
        ours = claim_of_this_process(time.time())
        with self._database.writing() as connection:
            updated = connection.execute(
                "UPDATE jobs SET claim_time = ?, absent_since = NULL WHERE id = ? AND final = 0"
                " AND state = 'intent' AND claim_host = ? AND claim_pid = ? AND claim_start = ?",
                (ours.time, job_id, ours.host, ours.pid, ours.process_start),
            )
            return updated.rowcount == 1

    def release(self, job_ids: Iterable[int], *, absent_since: float | None = None) -> None:
        """Give up our claims: these jobs may be looked up by any later command.

        ``absent_since``: the scheduler answered then that it does not have them; an earlier time
        that is stored already stays.
        """
        with self._database.writing() as connection:
            connection.executemany(
                "UPDATE jobs SET claim_host = NULL, claim_pid = NULL, claim_start = NULL,"
                " claim_time = NULL, absent_since = COALESCE(absent_since, ?)"
                " WHERE id = ? AND state = 'intent'",
                [(absent_since, job_id) for job_id in job_ids],
            )

    def record_handle(self, job_id: int, handle: str | None) -> JobRecord:
        """The scheduler has the job. The first handle wins: compare that of the answer with yours.

        None: it ran, but the scheduler has forgotten under which id.
        """
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE jobs SET state = 'submitted', handle = ?, absent_since = NULL,"
                " claim_host = NULL, claim_pid = NULL, claim_start = NULL, claim_time = NULL"
                " WHERE id = ? AND state = 'intent'",
                (handle, job_id),
            )
            return _one(connection, job_id)

    def record_failure_to_submit(self, job_id: int, reason: str, now: float) -> None:
        """Nothing was submitted and nothing will be: final, ``failed``, or ``deleted`` if asked."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE jobs SET final = 1, ended = ?, status_reason = ?,"
                " status = CASE deleted WHEN 1 THEN 'deleted' ELSE 'failed' END"
                " WHERE id = ? AND state = 'intent' AND final = 0",
                (now, reason, job_id),
            )

    # What became of jobs

    def record_verdicts(self, verdicts: Sequence[tuple[int, "Verdict"]]) -> None:
        """Store verdicts in one transaction; a final one that is there already stays."""
        if not verdicts:
            return
        with self._database.writing() as connection:
            connection.executemany(
                "UPDATE jobs SET status = ?, status_reason = ?, final = ?, started = ?, ended = ?,"
                " absent_since = ?, task_failed = ? WHERE id = ? AND final = 0",
                [
                    (
                        v.status,
                        v.reason,
                        int(v.final),
                        v.started,
                        v.ended,
                        v.absent_since,
                        int(v.task_failed),
                        job_id,
                    )
                    for job_id, v in verdicts
                ],
            )

    def record_answer(self, site: str, now: float) -> None:
        """The site's scheduler answered just now about all of its active jobs."""
        with self._database.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (site, now))

    def remember_way(self, site: str, way: str) -> None:
        """The nodes of the site were reached by this way."""
        with self._database.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO ways VALUES (?, ?)", (site, way))

    def mark_deleted(self, job_ids: Iterable[int]) -> None:
        """The user wants these jobs ended; the ones that have ended already stay as they are."""
        self._mark("deleted = 1", job_ids, "final = 0")

    def mark_cancelled(self, job_ids: Iterable[int]) -> None:
        """The scheduler has been told to end these deleted jobs."""
        self._mark("cancelled = 1", job_ids, "deleted = 1")

    def mark_removed(self, job_ids: Iterable[int]) -> None:
        """Take these jobs off the list of those left in the queue."""
        self._mark("removed = 1", job_ids, "1")

    def _mark(self, assignment: str, job_ids: Iterable[int], condition: str) -> None:
        with self._database.writing() as connection:
            connection.executemany(
                f"UPDATE jobs SET {assignment} WHERE id = ? AND {condition}",
                [(job_id,) for job_id in job_ids],
            )

    # Questions

    def get(self, job_id: int) -> JobRecord:
        """One job; NotFoundError where there is none."""
        if not 0 < job_id < _IDS:
            raise _no_job(job_id)
        with self._database.reading() as connection:
            return _one(connection, job_id)

    def get_many(self, job_ids: Collection[int]) -> list[JobRecord]:
        """Several jobs in order of id; those that do not exist are left out."""
        with self._database.reading() as connection:
            return _by_id(connection, job_ids)

    def active(self, *, site: str | None = None, workflow: int | None = None) -> list[JobRecord]:
        """Jobs without a final verdict, in order of id; of one site, or of one workflow."""
        clause, values = where([schema.LISTED, "final = 0"], site=site, workflow=workflow)
        with self._database.reading() as connection:
            return _records(connection, f"{clause} ORDER BY id", values)

    def remembered_way(self, site: str) -> str | None:
        """The way by which the site's nodes were last reached; None where none is known."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT way FROM ways WHERE site = ?", (site,)).fetchone()
        return None if row is None else str(row[0])

    def unconfirmed(self) -> list[JobRecord]:
        """Jobs of which it is not known whether the scheduler has them, in order of id."""
        with self._database.reading() as connection:
            return _records(connection, f"WHERE {schema.UNCONFIRMED} ORDER BY id")

    def select(
        self,
        *,
        which: Which = "all",
        statuses: Collection[str] | None = None,
        last: int | None = None,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> list[JobRecord]:
        """The jobs whose ids are those of :meth:`select_ids`."""
        return self.get_many(
            self.select_ids(which=which, statuses=statuses, last=last, name=name, labels=labels)
        )

    def select_ids(
        self,
        *,
        which: Which = "all",
        statuses: Collection[str] | None = None,
        last: int | None = None,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        site: str | None = None,
        workflow: int | None = None,
    ) -> list[int]:
        """Ids of the jobs that meet every condition, in order; ``last`` keeps the newest of them.

        ``name`` may be a pattern: see :func:`.where`. ``statuses`` are those stored at the last refresh.
        """
        clause, values = where(
            _TERMS[which],
            statuses=statuses,
            name=name,
            labels=labels,
            site=site,
            workflow=workflow,
        )
        if which == "listed":
            clause += " AND (final = 0 OR COALESCE(ended, created) > ?)"
            values.append(time.time() - LEFT_IN_QUEUE_SECONDS)
        clause += " ORDER BY id DESC"
        if last is not None:
            clause += " LIMIT ?"
            values.append(max(0, last))
        with self._database.reading() as connection:
            found = [row[0] for row in connection.execute(f"SELECT id FROM jobs {clause}", values)]
        found.reverse()
        return found


def _records(
    connection: "sqlite3.Connection", clause: str, values: Sequence[Any] = ()
) -> list[JobRecord]:
    return [
        decode(row) for row in connection.execute(f"SELECT {COLUMNS} FROM jobs {clause}", values)
    ]


def _no_job(job_id: int | None) -> NotFoundError:
    return NotFoundError(f"There is no job {job_id}.")


def _one(connection: "sqlite3.Connection", job_id: int | None) -> JobRecord:
    found = _records(connection, "WHERE id = ?", (job_id,))
    if not found:
        raise _no_job(job_id)
    return found[0]


def _by_id(connection: "sqlite3.Connection", job_ids: Collection[int]) -> list[JobRecord]:
    wanted = sorted({job_id for job_id in job_ids if 0 < job_id < _IDS})
    found: list[JobRecord] = []
    for start in range(0, len(wanted), _VALUES_AT_ONCE):
        some = wanted[start : start + _VALUES_AT_ONCE]
        found += _records(
            connection, f"WHERE id IN ({', '.join('?' * len(some))}) ORDER BY id", some
        )
    return found


def _claim_values(claim: Claim) -> dict[str, Any]:
    return {
        "claim_host": claim.host,
        "claim_pid": claim.pid,
        "claim_start": claim.process_start,
        "claim_time": claim.time,
    }


def _assign(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{column} = ?" for column in values)


def _json(labels: Mapping[str, str]) -> str:
    if not labels:
        return "{}"
    import json  # not needed for the jobs of those who use no labels

    return json.dumps(labels)
