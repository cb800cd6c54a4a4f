"""The record of every job: what is kept, found, and refused."""

import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prominence_hpc.adapter.store import schema
from prominence_hpc.adapter.store.database import Database
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.store import Store
from prominence_hpc.adapter.verdict import Verdict
from prominence_hpc.errors import ConflictError, NotFoundError, ProminenceError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as store:
        yield store


def create(store: Store, name: str = "", **labels: str) -> JobRecord:
    return store.create_intent(site="slurm", backend="slurm", name=name, labels=labels)


STARTED = time.time() - 60


def finish(store: Store, *job_ids: int) -> None:
    verdict = Verdict(status="completed", final=True, started=STARTED, ended=STARTED + 1)
    store.record_verdicts([(job_id, verdict) for job_id in job_ids])


def ids(records: list[JobRecord]) -> list[int]:
    return [record.id for record in records]


def test_what_is_recorded_is_read_back(store: Store, tmp_path: Path) -> None:
    made = store.create_intent(
        site="big",
        backend="htcondor",
        name="a name",
        image="docker://python:3",
        command="echo 'ü'",
        labels={"k": "v", "l": "w"},
        leave_in_queue=True,
        now=1000.5,
    )

    with Store(tmp_path) as other:
        assert other.get(made.id) == made
    assert (made.site, made.backend, made.name) == ("big", "htcondor", "a name")
    assert (made.image, made.command) == ("docker://python:3", "echo 'ü'")
    assert made.labels == {"k": "v", "l": "w"}
    assert made.created == 1000.5
    assert made.leave_in_queue
    assert (made.state, made.handle, made.status, made.final) == ("intent", None, "idle", False)
    assert made.claim is not None
    assert made.claim.pid == os.getpid()
    assert len(made.uid) == len(made.tag) == 32
    assert made.uid != made.tag
    assert set(made.uid + made.tag) <= set("0123456789abcdef")


def test_ids_count_from_one_and_are_never_used_again(store: Store) -> None:
    first, second = create(store, k="v"), create(store, k="v")
    store.forget(second.id)
    third = create(store, k="v")

    assert (first.id, second.id, third.id) == (1, 2, 3)
    assert ids(store.select(labels={"k": "v"})) == [1, 3]
    with pytest.raises(NotFoundError, match="There is no job 2"):
        store.get(2)


def test_a_submitted_job_is_not_forgotten(store: Store) -> None:
    job = create(store)
    store.record_handle(job.id, "4711")
    store.forget(job.id)
    assert store.get(job.id).handle == "4711"


def test_the_first_handle_wins(store: Store) -> None:
    job = create(store)

    assert store.record_handle(job.id, "1").handle == "1"
    again = store.record_handle(job.id, "2")

    assert (again.handle, again.state, again.claim) == ("1", "submitted", None)


def test_the_final_verdict_stays(store: Store) -> None:
    job = create(store)
    store.record_handle(job.id, "1")
    store.record_verdicts([(job.id, Verdict(status="running", started=5.0))])
    assert store.get(job.id).status == "running"
    finish(store, job.id)

    store.record_verdicts([(job.id, Verdict(status="running"))])
    store.mark_deleted([job.id])

    kept = store.get(job.id)
    assert (kept.status, kept.final, kept.started, kept.ended) == (
        "completed",
        True,
        STARTED,
        STARTED + 1,
    )
    assert not kept.deleted


def test_a_plain_list_shows_active_jobs_and_those_left_in_the_queue(store: Store) -> None:
    active, ended = create(store), create(store)
    left = store.create_intent(site="s", backend="slurm", leave_in_queue=True)
    removed = store.create_intent(site="s", backend="slurm", leave_in_queue=True)
    finish(store, ended.id, left.id, removed.id)
    store.mark_removed([removed.id])

    assert ids(store.select(which="listed")) == [active.id, left.id]
    assert ids(store.select(which="completed")) == [ended.id, left.id, removed.id]
    assert ids(store.select()) == [1, 2, 3, 4]
    assert ids(store.active()) == [active.id]


def test_a_job_is_left_in_the_queue_for_ninety_days(store: Store) -> None:
    for age in (89, 91):
        left = store.create_intent(site="s", backend="slurm", leave_in_queue=True)
        ended = time.time() - age * 86400
        verdict = Verdict(status="failed", final=True, started=ended - 1, ended=ended)
        store.record_verdicts([(left.id, verdict)])
    assert ids(store.select(which="listed")) == [1]
    assert ids(store.select()) == [1, 2]


def test_conditions_must_all_hold(store: Store) -> None:
    for name, labels in [
        ("a/x", {"run": "1", "kind": "fast"}),
        ("a/y", {"run": "1", "kind": "slow"}),
        ("b/x", {"run": "2", "kind": "fast"}),
        ("", {}),
    ]:
        create(store, name, **labels)
    finish(store, 2, 3)

    assert ids(store.select(labels={"run": "1"})) == [1, 2]
    assert ids(store.select(labels={"run": "1", "kind": "fast"})) == [1]
    assert ids(store.select(name="a/x")) == [1]
    assert ids(store.select(name="a/*")) == [1, 2]
    assert ids(store.select(which="completed", last=1)) == [3]
    assert ids(store.select(last=2)) == [3, 4]
    assert ids(store.select(last=0)) == []
    assert ids(store.select(statuses=["completed"], labels={"kind": "slow"})) == [2]
    assert ids(store.select(statuses=[])) == []
    assert ids(store.get_many([3, 99, 1, 3])) == [1, 3]


def test_when_the_scheduler_last_answered_is_known_of_jobs_it_could_know(store: Store) -> None:
    before = store.create_intent(site="slurm", backend="slurm", now=100)
    elsewhere = store.create_intent(site="other", backend="slurm", now=100)
    store.record_answer("slurm", 200)
    after = store.create_intent(site="slurm", backend="slurm", now=300)

    seen = [store.get(job.id).seen for job in (before, elsewhere, after)]
    assert seen == [200, None, None]


def test_the_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Store(tmp_path) as store:
            create(store)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"state.db": 0o600, "state.db-journal": 0o600}


def test_a_newer_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        create(store)
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()

    with Store(tmp_path) as store, pytest.raises(ConflictError, match=r"newer .* \(schema 99, "):
        store.active()


def test_an_older_store_is_migrated_and_keeps_its_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path) as store:
        create(store)
    addition = ("ALTER TABLE jobs ADD COLUMN colour TEXT NOT NULL DEFAULT 'green'",)
    newer = (*schema.MIGRATIONS, addition)
    monkeypatch.setattr(schema, "MIGRATIONS", newer)

    with Store(tmp_path) as store:
        create(store)
        assert ids(store.select()) == [1, 2]
    with sqlite3.connect(tmp_path / "state.db") as connection:
        assert connection.execute("SELECT colour FROM jobs").fetchall() == [("green",)] * 2
        assert schema.version(connection) == len(newer)
    connection.close()


def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path) as store:
        create(store)
    bad = ("CREATE TABLE half (a)", "CREATE TABLE jobs (a)")
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, bad))
        with Store(tmp_path) as store, pytest.raises(ProminenceError, match="cannot be used"):
            store.active()

    with Store(tmp_path) as store:
        assert ids(store.active()) == [1]
    with sqlite3.connect(tmp_path / "state.db") as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'half'")
        assert tables.fetchall() == []
    connection.close()


def test_what_fails_half_way_is_not_written(store: Store, tmp_path: Path) -> None:
    create(store)

    def fail() -> None:
        with store._database.writing() as connection:
            connection.execute("UPDATE jobs SET name = 'changed'")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert store.get(1).name == ""
    with Store(tmp_path) as other:
        assert create(other).id == 2  # and the lock is free


def test_a_store_in_use_for_too_long_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prominence_hpc.adapter.store.database.BUSY_SECONDS", 0.05)
    with Store(tmp_path) as other, Store(tmp_path) as store:
        create(other)
        with (
            other._database.writing(),
            pytest.raises(ConflictError, match=r"state\.db was in use by other commands"),
        ):
            create(store)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"this is not a database, and long enough to be seen" * 50)
    with (
        Store(tmp_path) as store,
        pytest.raises(ProminenceError, match=r"state\.db cannot be used"),
    ):
        store.active()


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with (
        Store(tmp_path / "absent") as store,
        pytest.raises(ProminenceError, match=r"absent/state\.db cannot be opened: No such file"),
    ):
        store.active()


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        (f"{schema.LISTED} ORDER BY id DESC LIMIT 20", "jobs_listed"),
        (f"{schema.LISTED} AND final = 0 ORDER BY id", "jobs_listed"),
        (f"{schema.UNCONFIRMED} ORDER BY id", "jobs_unconfirmed"),
        ("id IN (SELECT job FROM labels WHERE key = ? AND value = ?)", "INTEGER PRIMARY KEY"),
        ("final = 1 ORDER BY id DESC LIMIT 20", None),  # backwards along the ids, no sorting
    ],
)
def test_no_question_reads_every_job(tmp_path: Path, condition: str, index: str | None) -> None:
    database = Database(tmp_path / "state.db")
    with database.reading() as connection:
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN SELECT id, name FROM jobs WHERE {condition}",
            ["k", "v"][: condition.count("?")],
        ).fetchall()
    database.close()
    words = " / ".join(step[3] for step in plan)
    assert "TEMP B-TREE" not in words
    if index is not None:
        assert index in words


def test_two_commands_at_once_wait_for_each_other(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from prominence_hpc.adapter.store.store import Store\n"
        "store = Store(Path(sys.argv[1]))\n"
        "print(*[store.create_intent(site='s', backend='slurm').id for _ in range(20)])"
    )
    argv = [sys.executable, "-c", program, str(tmp_path)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = [
        subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environ) for _ in range(3)
    ]
    numbers = [int(word) for process in running for word in process.communicate()[0].split()]

    assert sorted(numbers) == list(range(1, 61))
