"""The file ``state.db``: opened when first used, migrated, locked, and its errors put into words.

One SQLite file with a rollback journal, as homes are on NFS and a write-ahead log needs shared
memory. A write takes the lock at its beginning (BEGIN IMMEDIATE): two commands at once wait for
each other, where a lock taken later would fail at once. Nothing slow may happen inside one.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prominence_hpc.adapter.store import schema
from prominence_hpc.errors import ConflictError, ProminenceError

if TYPE_CHECKING:
    import sqlite3

__all__ = ["BUSY_SECONDS", "Database"]

BUSY_SECONDS = 10.0


class Database:
    """One SQLite file. Usable by one thread; a forked child must open its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file; a later use opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def reading(self) -> Iterator["sqlite3.Connection"]:
        """A connection; each statement sees what is committed when it begins."""
        import sqlite3  # 7 ms that --version and --dry-run need not spend

        try:
            yield self._open()
        except sqlite3.Error as error:
            raise self._explain(error) from error

    @contextmanager
    def writing(self) -> Iterator["sqlite3.Connection"]:
        """A transaction: committed at the end, rolled back where anything is raised."""
        with self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _open(self) -> "sqlite3.Connection":
        if self._connection is None:
            import sqlite3

            self._make_file()
            # isolation_level=None: transactions begin where we say, not where the module guesses.
            connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                # The journal is emptied, not removed: no change of the folder, which costs a
                # second flush on a disk and round trips on NFS. It stays beside the file.
                connection.execute("PRAGMA journal_mode = TRUNCATE")
                self._migrate(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _make_file(self) -> None:
        """SQLite would leave the mode to the umask; the journal takes it over from the file."""
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            msg = f"The job store {self.path} cannot be opened: {error.strerror}."
            raise ProminenceError(msg) from error

    def _migrate(self, connection: "sqlite3.Connection") -> None:
        if schema.version(connection) == len(schema.MIGRATIONS):
            return
        connection.execute("BEGIN IMMEDIATE")
        done = schema.version(connection)  # another command may have been faster
        if done > len(schema.MIGRATIONS):
            msg = (
                f"The job store {self.path} was written by a newer version of prominence-hpc "
                f"(schema {done}, this version knows {len(schema.MIGRATIONS)}); use that version."
            )
            raise ConflictError(msg)
        for migration in schema.MIGRATIONS[done:]:
            for statement in migration:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS)}")
        connection.execute("COMMIT")

    def _explain(self, error: "sqlite3.Error") -> ProminenceError:
        if "locked" in str(error):
            return ConflictError(
                f"The job store {self.path} was in use by other commands for {BUSY_SECONDS:.0f} s; "
                f"try again, and if it lasts, see whether the file system supports locks."
            )
        return ProminenceError(f"The job store {self.path} cannot be used: {error}.")
