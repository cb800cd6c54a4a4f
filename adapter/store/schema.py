"""The tables of ``state.db``, and how an older one becomes a newer one.

``PRAGMA user_version`` counts the migrations that a file has seen. A migration is never changed
once released; the next one is added below it. The SQL keeps to SQLite 3.22 (RHEL 8's is 3.26).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

__all__ = ["LISTED", "MIGRATIONS", "OPEN", "UNCONFIRMED", "version"]

# Conditions of partial indexes: a query uses the index only where it repeats the very same words.
LISTED = "(final = 0 OR (leave_in_queue = 1 AND removed = 0))"
# Those of a workflow are submitted with it, and are not looked for one by one.
UNCONFIRMED = "(state = 'intent' AND final = 0 AND workflow IS NULL)"
OPEN = "(state = 'intent')"  # of workflows

_FIRST = (
    # AUTOINCREMENT: the id of a job that was refused and forgotten must never come again.
    """CREATE TABLE jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        uid TEXT NOT NULL,
        tag TEXT NOT NULL,
        site TEXT NOT NULL,
        backend TEXT NOT NULL,
        name TEXT NOT NULL,
        image TEXT NOT NULL,
        command TEXT NOT NULL,
        labels TEXT NOT NULL DEFAULT '{}',
        created REAL NOT NULL,
        state TEXT NOT NULL DEFAULT 'intent' CHECK (state IN ('intent', 'submitted')),
        handle TEXT,
        absent_since REAL,
        deleted INTEGER NOT NULL DEFAULT 0,
        cancelled INTEGER NOT NULL DEFAULT 0,
        removed INTEGER NOT NULL DEFAULT 0,
        leave_in_queue INTEGER NOT NULL DEFAULT 0,
        status TEXT NOT NULL DEFAULT 'idle',
        status_reason TEXT NOT NULL DEFAULT '',
        final INTEGER NOT NULL DEFAULT 0,
        started REAL,
        ended REAL,
        claim_host TEXT,
        claim_pid INTEGER,
        claim_start INTEGER,
        claim_time REAL
    )""",
    f"CREATE INDEX jobs_listed ON jobs (id) WHERE {LISTED}",
    "CREATE INDEX jobs_unconfirmed ON jobs (id) WHERE (state = 'intent' AND final = 0)",
    # The JSON functions are an option of older SQLite: labels are searched here, shown from jobs.
    """CREATE TABLE labels (
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        job INTEGER NOT NULL,
        PRIMARY KEY (key, value, job)
    ) WITHOUT ROWID""",
    "CREATE INDEX labels_of_job ON labels (job)",
    # When each site's scheduler last answered: one row for however many jobs it has.
    "CREATE TABLE answers (site TEXT PRIMARY KEY, time REAL NOT NULL) WITHOUT ROWID",
)

_SECOND = (
    # By which of a site's ways the nodes of running jobs were last reached.
    "CREATE TABLE ways (site TEXT PRIMARY KEY, way TEXT NOT NULL) WITHOUT ROWID",
)

_CLAIM = "claim_host TEXT, claim_pid INTEGER, claim_start INTEGER, claim_time REAL"

_THIRD = (
    # Ids are of the same sequence as those of jobs: a number means one thing.
    f"""CREATE TABLE workflows (
        id INTEGER PRIMARY KEY,
        tag TEXT NOT NULL,
        site TEXT NOT NULL,
        backend TEXT NOT NULL,
        name TEXT NOT NULL,
        labels TEXT NOT NULL DEFAULT '{{}}',
        created REAL NOT NULL,
        total INTEGER NOT NULL,
        rerun_of INTEGER,
        leave_in_queue INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL DEFAULT 'intent' CHECK (state IN ('intent', 'submitted')),
        handle TEXT,
        absent_since REAL,
        deleted INTEGER NOT NULL DEFAULT 0,
        removed INTEGER NOT NULL DEFAULT 0,
        {_CLAIM}
    )""",
    f"CREATE INDEX workflows_open ON workflows (id) WHERE {OPEN}",
    # One entry of a description's jobs: one job, or the many that a factory makes of it.
    """CREATE TABLE parts (
        workflow INTEGER NOT NULL,
        number INTEGER NOT NULL,
        name TEXT NOT NULL,
        uid TEXT NOT NULL,
        first_job INTEGER NOT NULL,
        size INTEGER NOT NULL,
        swept INTEGER NOT NULL,
        parents TEXT NOT NULL,
        PRIMARY KEY (workflow, number)
    ) WITHOUT ROWID""",
    # What one call hands to the scheduler: a part, or a slice of one that is too large.
    """CREATE TABLE batches (
        id INTEGER PRIMARY KEY,
        workflow INTEGER NOT NULL,
        part INTEGER NOT NULL,
        first INTEGER NOT NULL,
        count INTEGER NOT NULL,
        tag TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'intent' CHECK (state IN ('intent', 'submitted', 'skipped')),
        handle TEXT
    )""",
    "CREATE INDEX batches_of_workflow ON batches (workflow)",
    "ALTER TABLE jobs ADD COLUMN workflow INTEGER",
    "ALTER TABLE jobs ADD COLUMN part INTEGER",
    "ALTER TABLE jobs ADD COLUMN copy INTEGER",
    "ALTER TABLE jobs ADD COLUMN task_failed INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX jobs_of_workflow ON jobs (workflow, part, copy) WHERE workflow IS NOT NULL",
    "DROP INDEX jobs_unconfirmed",
    f"CREATE INDEX jobs_unconfirmed ON jobs (id) WHERE {UNCONFIRMED}",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _SECOND, _THIRD)


def version(connection: "sqlite3.Connection") -> int:
    """How many migrations the file has seen; 0 for an empty one."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)
