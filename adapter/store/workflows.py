"""The record of every workflow: questions and changes, each one short transaction.

What is raised is as :mod:`.store` says. A workflow's jobs are ordinary jobs there; what is told here
of many jobs at once is told in a statement or two, however many they are.
"""

import json
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prominence_hpc.adapter.store import schema
from prominence_hpc.adapter.store.claims import claim_of_this_process, is_abandoned
from prominence_hpc.adapter.store.conditions import where
from prominence_hpc.adapter.store.database import Database
from prominence_hpc.adapter.store.new_workflow import NewPart, add_part, insert, label, take_ids
from prominence_hpc.adapter.store.records import COLUMNS, JobRecord, decode
from prominence_hpc.adapter.store.workflow_records import (
    BATCH_COLUMNS,
    PART_COLUMNS,
    TALLY_COLUMNS,
    WORKFLOW_COLUMNS,
    BatchRecord,
    PartRecord,
    Tally,
    WorkflowRecord,
    decode_batch,
    decode_part,
    decode_tally,
    decode_workflow,
)
from prominence_hpc.errors import NotFoundError

if TYPE_CHECKING:
    import sqlite3

    from prominence_hpc.adapter.store.store import Which

__all__ = ["Workflows"]

_CLAIM = ("claim_host", "claim_pid", "claim_start", "claim_time")
_NO_CLAIM = ", ".join(f"{column} = NULL" for column in _CLAIM)

# SQLite's integers have 64 bits, sign included.
_IDS = 1 << 63

_ACTIVE = (
    "id IN (SELECT workflow FROM jobs"
    f" WHERE {schema.LISTED} AND final = 0 AND workflow IS NOT NULL)"
)
# Conditions for each of :data:`.Which`.
_TERMS: "dict[Which, tuple[str, ...]]" = {
    "listed": (f"({_ACTIVE} OR (leave_in_queue = 1 AND removed = 0))",),
    "completed": (f"NOT {_ACTIVE}",),
    "all": ("1",),
}


class Workflows:
    """The workflows of one state folder."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Workflows come and go

    def create_intent(
        self,
        parts: Sequence[NewPart],
        *,
        site: str,
        backend: str,
        name: str = "",
        labels: Mapping[str, str] | None = None,
        leave_in_queue: bool = False,
        rerun_of: int | None = None,
        now: float | None = None,
    ) -> WorkflowRecord:
        """A new workflow that this process is about to submit, with all of its jobs, in one transaction."""
        now = time.time() if now is None else now
        claim = claim_of_this_process(now)
        total = sum(part.size for part in parts)
        with self._database.writing() as connection:
            workflow_id = take_ids(connection, 1 + total)
            values = {
                "id": workflow_id,
                "tag": os.urandom(16).hex(),
                "site": site,
                "backend": backend,
                "name": name,
                "labels": json.dumps(dict(labels or {})),
                "created": now,
                "total": total,
                "rerun_of": rerun_of,
                "leave_in_queue": int(leave_in_queue),
                **dict(zip(_CLAIM, (claim.host, claim.pid, claim.process_start, now), strict=True)),
            }
            insert(connection, "workflows", [values])
            label(connection, labels or {}, [workflow_id])
            first_job = workflow_id + 1
            for number, part in enumerate(parts):
                add_part(connection, values, number, part, first_job)
                first_job += part.size
            return _one(connection, workflow_id)

    def forget(self, workflow_id: int) -> None:
        """Remove all rows of a workflow of which nothing was submitted, or all is taken back."""
        with self._database.writing() as connection:
            ours = "(SELECT id FROM jobs WHERE workflow = ?)"
            connection.execute(f"DELETE FROM labels WHERE job IN {ours}", (workflow_id,))
            connection.execute("DELETE FROM labels WHERE job = ?", (workflow_id,))
            for table, column in (
                ("jobs", "workflow"),
                ("batches", "workflow"),
                ("parts", "workflow"),
                ("workflows", "id"),
            ):
                connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (workflow_id,))

    # Submission

    def claim_abandoned(self, now: float) -> list[WorkflowRecord]:
        """Take over, in one transaction, every unfinished submission that nobody is at."""
        if not any(is_abandoned(record.claim, now) for record in self.unconfirmed()):
            return []  # the ordinary case, without a lock
        claim = claim_of_this_process(now)
        with self._database.writing() as connection:
            found = _workflows(connection, f"WHERE {schema.OPEN} ORDER BY id")
            ids = [record.id for record in found if is_abandoned(record.claim, now)]
            connection.executemany(
                f"UPDATE workflows SET {' = ?, '.join(_CLAIM)} = ? WHERE id = ?",
                [(claim.host, claim.pid, claim.process_start, now, number) for number in ids],
            )
            return [_one(connection, number) for number in ids]

    def unconfirmed(self) -> list[WorkflowRecord]:
        """Workflows that are not known to be with the scheduler as wholes, in order of id."""
        with self._database.reading() as connection:
            return _workflows(connection, f"WHERE {schema.OPEN} ORDER BY id")

    def begin_attempt(self, workflow_id: int) -> bool:
        """Confirm that this process may go on submitting; False where another took it over."""
        ours = claim_of_this_process(time.time())
        with self._database.writing() as connection:
            updated = connection.execute(
                "UPDATE workflows SET claim_time = ?, absent_since = NULL WHERE id = ?"
                " AND state = 'intent' AND claim_host = ? AND claim_pid = ? AND claim_start = ?",
                (ours.time, workflow_id, ours.host, ours.pid, ours.process_start),
            )
            return updated.rowcount == 1

    def release(self, workflow_id: int, *, absent_since: float | None = None) -> None:
        """Give up our claim; ``absent_since`` is as :meth:`.Store.release` has it."""
        with self._database.writing() as connection:
            connection.execute(
                f"UPDATE workflows SET {_NO_CLAIM}, absent_since = COALESCE(absent_since, ?)"
                " WHERE id = ? AND state = 'intent'",
                (absent_since, workflow_id),
            )

    def record_batches(
        self,
        workflow_id: int,
        handles: Mapping[int, str],
        copy_handle: Callable[[str, int], str],
    ) -> list[str]:
        """The scheduler has these batches, by id; the first handle that is recorded of one stays.

        Returns those that came too late: somebody else has submitted the same.
        """
        late = []
        batches = [item for item in self.batches(workflow_id) if item.id in handles]
        with self._database.writing() as connection:
            for batch in batches:
                handle = handles[batch.id]
                recorded = connection.execute(
                    "UPDATE batches SET state = 'submitted', handle = ?"
                    " WHERE id = ? AND handle IS NULL",
                    (handle, batch.id),
                )
                if recorded.rowcount:
                    _hand_over(connection, batch, handle, copy_handle)
                elif batch.handle != handle:
                    late.append(handle)
        return late

    def record_submitted(self, workflow_id: int, handle: str | None = None) -> None:
        """All of it is with the scheduler: every batch, or the whole at once under ``handle``."""
        with self._database.writing() as connection:
            connection.execute(
                f"UPDATE workflows SET state = 'submitted', handle = ?, absent_since = NULL,"
                f" {_NO_CLAIM} WHERE id = ? AND state = 'intent'",
                (handle, workflow_id),
            )
            if handle is not None:
                for table in ("batches", "jobs"):
                    connection.execute(
                        f"UPDATE {table} SET state = 'submitted' WHERE workflow = ?"
                        " AND state = 'intent'",
                        (workflow_id,),
                    )

    def skip(self, batch: BatchRecord, reason: str, now: float) -> None:
        """This batch is never handed over: its jobs have failed, for this reason."""
        with self._database.writing() as connection:
            connection.execute("UPDATE batches SET state = 'skipped' WHERE id = ?", (batch.id,))
            where, values = _jobs_of(batch)
            connection.execute(
                "UPDATE jobs SET state = 'submitted', final = 1, ended = ?, status_reason = ?,"
                f" status = CASE deleted WHEN 1 THEN 'deleted' ELSE 'failed' END {where}"
                " AND final = 0",
                (now, reason, *values),
            )

    def record_forgotten(self, batch: BatchRecord) -> None:
        """This batch has run, but the scheduler has forgotten under which id."""
        with self._database.writing() as connection:
            connection.execute("UPDATE batches SET state = 'submitted' WHERE id = ?", (batch.id,))
            where, values = _jobs_of(batch)
            connection.execute(f"UPDATE jobs SET state = 'submitted' {where}", values)

    # What the user wants

    def mark_deleted(self, workflow_id: int) -> None:
        """The user wants all of it ended; jobs that have ended stay as they are."""
        with self._database.writing() as connection:
            connection.execute("UPDATE workflows SET deleted = 1 WHERE id = ?", (workflow_id,))
            connection.execute(
                "UPDATE jobs SET deleted = 1 WHERE workflow = ? AND final = 0", (workflow_id,)
            )

    def mark_cancelled(self, workflow_id: int) -> None:
        """The scheduler has been told to end all of it."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE jobs SET cancelled = 1 WHERE workflow = ? AND deleted = 1", (workflow_id,)
            )

    def mark_removed(self, workflow_id: int) -> None:
        """Take it, and its jobs, off the list of what was left in the queue."""
        with self._database.writing() as connection:
            connection.execute("UPDATE workflows SET removed = 1 WHERE id = ?", (workflow_id,))
            connection.execute("UPDATE jobs SET removed = 1 WHERE workflow = ?", (workflow_id,))

    # Questions

    def exists(self, workflow_id: int) -> bool:
        """Whether this is the number of a workflow."""
        if not 0 < workflow_id < _IDS:
            return False
        with self._database.reading() as connection:
            return bool(_workflows(connection, "WHERE id = ?", (workflow_id,)))

    def get(self, workflow_id: int) -> WorkflowRecord:
        """One workflow; NotFoundError where there is none."""
        if not 0 < workflow_id < _IDS:
            raise _none(workflow_id)
        with self._database.reading() as connection:
            return _one(connection, workflow_id)

    def select(
        self,
        *,
        which: "Which" = "all",
        last: int | None = None,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        site: str | None = None,
    ) -> list[WorkflowRecord]:
        """Workflows that meet every condition, in order of id; ``last``, ``name`` as :meth:`.Store.select_ids`.

        "listed": with jobs that have not ended, or left in the queue, for however long.
        """
        clause, values = where(_TERMS[which], name=name, labels=labels, site=site)
        clause += " ORDER BY id DESC"
        if last is not None:
            clause += " LIMIT ?"
            values.append(max(0, last))
        with self._database.reading() as connection:
            found = _workflows(connection, clause, values)
        found.reverse()
        return found

    def reruns_of(self, workflow_id: int) -> list[int]:
        """Ids of the workflows that did what this one had left, in order."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT id FROM workflows WHERE rerun_of = ? ORDER BY id", (workflow_id,)
            )
            return [number for (number,) in rows]

    def parts(self, workflow_id: int) -> list[PartRecord]:
        """Its parts, in the order of the description."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {PART_COLUMNS} FROM parts WHERE workflow = ? ORDER BY number",
                (workflow_id,),
            )
            return [decode_part(row) for row in rows]

    def batches(self, workflow_id: int) -> list[BatchRecord]:
        """What was, or is to be, handed to the scheduler, in that order."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {BATCH_COLUMNS} FROM batches WHERE workflow = ? ORDER BY id",
                (workflow_id,),
            )
            return [decode_batch(row) for row in rows]

    def jobs(self, workflow_id: int) -> list[JobRecord]:
        """Its jobs, in order of id."""
        query = f"SELECT {COLUMNS} FROM jobs WHERE workflow = ? ORDER BY id"
        with self._database.reading() as connection:
            return [decode(row) for row in connection.execute(query, (workflow_id,))]

    def unsuccessful(
        self, workflow_id: int, *, last_reason: str, most: int | None = None
    ) -> list[JobRecord]:
        """Jobs that have ended and have not succeeded, in order of id; ``most``: no more than so many.

        Those whose reason begins with ``last_reason`` come after all others.
        """
        clause = (
            "WHERE workflow = ? AND final = 1 AND (status <> 'completed' OR task_failed = 1)"
            " ORDER BY substr(status_reason, 1, ?) = ?, id LIMIT ?"
        )
        limit = -1 if most is None else most
        values = (workflow_id, len(last_reason), last_reason, limit)
        with self._database.reading() as connection:
            rows = connection.execute(f"SELECT {COLUMNS} FROM jobs {clause}", values)
            return [decode(row) for row in rows]

    def tallies(self, workflow_ids: Collection[int]) -> list[Tally]:
        """How many jobs of each part of these workflows have which status."""
        if not workflow_ids:
            return []
        # One after the other, by the index: their number is that of a screen's lines.
        with self._database.reading() as connection:
            return [
                decode_tally(row)
                for number in workflow_ids
                for row in connection.execute(
                    f"SELECT {TALLY_COLUMNS} FROM jobs WHERE workflow = ?"
                    " GROUP BY part, status, task_failed, final",
                    (number,),
                )
            ]


def _hand_over(
    connection: "sqlite3.Connection",
    batch: BatchRecord,
    handle: str,
    copy_handle: Callable[[str, int], str],
) -> None:
    where, values = _jobs_of(batch)
    rows = connection.execute(f"SELECT id, copy FROM jobs {where}", values).fetchall()
    connection.executemany(
        "UPDATE jobs SET state = 'submitted', handle = ? WHERE id = ?",
        [
            (handle if copy is None else copy_handle(handle, copy - batch.first), number)
            for number, copy in rows
        ],
    )


def _jobs_of(batch: BatchRecord) -> tuple[str, tuple[int, ...]]:
    """A condition for the jobs of a batch, and its values."""
    last = batch.first + batch.count - 1
    return (
        "WHERE workflow = ? AND part = ? AND (copy IS NULL OR copy BETWEEN ? AND ?)",
        (batch.workflow, batch.part, batch.first, last),
    )


def _workflows(
    connection: "sqlite3.Connection", clause: str, values: Sequence[Any] = ()
) -> list[WorkflowRecord]:
    rows = connection.execute(f"SELECT {WORKFLOW_COLUMNS} FROM workflows {clause}", values)
    return [decode_workflow(row) for row in rows]


def _one(connection: "sqlite3.Connection", workflow_id: int) -> WorkflowRecord:
    found = _workflows(connection, "WHERE id = ?", (workflow_id,))
    if not found:
        raise _none(workflow_id)
    return found[0]


def _none(workflow_id: int) -> NotFoundError:
    return NotFoundError(f"There is no workflow {workflow_id}.")
