"""The rows of a new workflow: its parts, its batches and its jobs, a statement or two for however many they are."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3

__all__ = ["NewPart", "add_part", "insert", "label", "take_ids"]

# A job as a list shows it: its name, image and command.
Shown = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class NewPart:
    """What is recorded of a part; ``jobs`` yields what a list shows of each of its ``size`` jobs."""

    name: str
    size: int
    swept: bool
    parents: tuple[int, ...]
    slices: tuple[tuple[int, int], ...]  # (first, count) of each batch
    labels: Mapping[str, str]
    leave_in_queue: bool
    jobs: Callable[[], Iterator[Shown]]


def take_ids(connection: "sqlite3.Connection", count: int) -> int:
    """The first of ``count`` ids that nothing else has or will have."""
    connection.execute(
        "INSERT INTO sqlite_sequence (name, seq) SELECT 'jobs', 0"
        " WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'jobs')"
    )
    (last,) = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
    connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'jobs'", (last + count,))
    return int(last) + 1


def insert(connection: "sqlite3.Connection", table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns."""
    names = rows[0]
    connection.executemany(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
        [tuple(row.values()) for row in rows],
    )


def label(connection: "sqlite3.Connection", labels: Mapping[str, str], ids: Iterable[int]) -> None:
    """Give each of these ids all of these labels."""
    if labels:
        connection.executemany(
            "INSERT INTO labels (key, value, job) VALUES (?, ?, ?)",
            [(key, value, number) for number in ids for key, value in labels.items()],
        )


def add_part(
    connection: "sqlite3.Connection",
    workflow: Mapping[str, Any],
    number: int,
    part: NewPart,
    first_job: int,
) -> None:
    """A part of a workflow, whose row is given, with its batches and its jobs from ``first_job`` on."""
    uid = os.urandom(16).hex()
    row = {
        "workflow": workflow["id"],
        "number": number,
        "name": part.name,
        "uid": uid,
        "first_job": first_job,
        "size": part.size,
        "swept": int(part.swept),
        "parents": json.dumps(part.parents),
    }
    insert(connection, "parts", [row])
    tags = [os.urandom(16).hex() for _ in part.slices]
    batches = [
        {
            "workflow": workflow["id"],
            "part": number,
            "first": first,
            "count": count,
            "tag": tag,
        }
        for (first, count), tag in zip(part.slices, tags, strict=True)
    ]
    insert(connection, "batches", batches)
    # Their batches' tags: nobody looks for one of them alone.
    job_tags = (
        tag for (_, count), tag in zip(part.slices, tags, strict=True) for _ in range(count)
    )
    labels = json.dumps(dict(part.labels))
    common = (workflow["site"], workflow["backend"], labels, workflow["created"])
    kept = (int(part.leave_in_queue), workflow["id"], number)
    connection.executemany(
        "INSERT INTO jobs (id, uid, tag, name, image, command, site, backend, labels, created,"
        " leave_in_queue, workflow, part, copy) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                first_job + copy,
                f"{uid}/{copy}" if part.swept else uid,
                tag,
                *shown,
                *common,
                *kept,
                copy if part.swept else None,
            )
            for copy, (tag, shown) in enumerate(zip(job_tags, part.jobs(), strict=True))
        ),
    )
    label(connection, part.labels, range(first_job, first_job + part.size))
