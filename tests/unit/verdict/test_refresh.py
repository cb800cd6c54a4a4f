"""Refreshing: one call to each scheduler, verdicts kept, wishes carried out, silence survived."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.adapter.refresh import Refreshed, refresh
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.state_folder import make_job_folder
from prominence_hpc.adapter.store.store import Store
from prominence_hpc.backends.base import (
    Cause,
    Condition,
    JobShell,
    SchedulerState,
    Stream,
    Submission,
)
from prominence_hpc.errors import BackendError, BackendUnavailable, ConfigError, ProminenceError
from prominence_hpc.wrappers.report import REPORT_VERSION, Report
from tests.unit.submission.single_jobs import SingleJobs

NOW = 1_700_000_000.0
CREATED = NOW - 1000
RUNNING = SchedulerState(condition=Condition.RUNNING, start_time=NOW - 500)
EXITED = SchedulerState(condition=Condition.ENDED, cause=Cause.EXITED, end_time=NOW - 100)
ABSENT = SchedulerState(condition=Condition.ABSENT)


@dataclass
class ScriptedBackend(SingleJobs):
    """Answers what it is told to, and remembers what it was asked."""

    queue: dict[str, SchedulerState] = field(default_factory=dict)
    past: dict[str, SchedulerState] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    broken: ProminenceError | None = None  # what is raised instead of silence
    calls: list[tuple[str, list[str]]] = field(default_factory=list)
    name: str = "scripted"
    ways: tuple[str, ...] = ()
    finds_node: bool = False
    writes_into_folder: bool = True

    def _asked(self, verb: str, handles: Sequence[str]) -> None:
        self.calls.append((verb, sorted(handles)))
        if verb in self.silent:
            msg = "No answer."
            raise self.broken or BackendUnavailable(msg)

    def submit(self, submission: Submission) -> str:
        raise AssertionError(submission)

    def poll(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        self._asked("poll", handles)
        return {handle: self.queue.get(handle, ABSENT) for handle in handles}

    def history(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        self._asked("history", handles)
        return {handle: self.past[handle] for handle in handles if handle in self.past}

    def find(self, tags: Sequence[str]) -> dict[str, str]:
        raise AssertionError(tags)

    def cancel(self, handles: Sequence[str]) -> None:
        self._asked("cancel", handles)

    def open_shell(
        self,
        way: str,
        handle: str,
        node: str,
        folder: Path,
        number: int = 0,  # noqa: ARG002
    ) -> JobShell:
        raise AssertionError((way, handle, node, folder))

    def output(self, handle: str, folder: Path, stream: Stream) -> Iterator[bytes]:
        raise AssertionError(handle, folder, stream)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as store:
        yield store


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend()


@pytest.fixture
def update(store: Store, backend: ScriptedBackend) -> Callable[..., Refreshed]:
    """Refresh all that is active and show that what is returned is what is stored."""

    def update(now: float = NOW, **options: Any) -> Refreshed:
        active = store.active()
        refreshed = refresh(store, lambda _: backend, active, now=now, **options)
        kept = {record.id: record for record in store.select()}
        for record in refreshed.records:
            if not refreshed.warnings:
                same = ("status", "status_reason", "final", "started", "ended", "absent_since")
                for name in same:
                    assert getattr(record, name) == getattr(kept[record.id], name)
        return refreshed

    return update


def submitted(store: Store, *handles: str, site: str = "here") -> list[JobRecord]:
    records = []
    for handle in handles:
        made = store.create_intent(site=site, backend="slurm", now=CREATED)
        make_job_folder(store.state, made.id)
        records.append(store.record_handle(made.id, handle))
    return records


def write_report(store: Store, record: JobRecord, **fields: Any) -> None:
    document = dict.fromkeys(Report.__required_keys__) | {
        "version": REPORT_VERSION,
        "phase": "finished",
        "outcome": "completed",
        "reason": "",
        "start_time": NOW - 500,
        "update_time": NOW - 100,
        "end_time": NOW - 100,
    }
    folder = store.state / "jobs" / "0000" / str(record.id)
    (folder / "report.json").write_text(json.dumps(document | fields))


Update = Callable[..., Refreshed]


def test_a_site_is_asked_once_for_all_of_its_jobs(
    store: Store, backend: ScriptedBackend, update: Update
) -> None:
    submitted(store, "1", "2", "3")
    backend.queue = {"1": RUNNING, "2": RUNNING}
    backend.past = {"3": EXITED}

    statuses = [record.status for record in update().records]

    assert statuses == ["running", "running", "failed"]
    assert backend.calls == [("poll", ["1", "2", "3"]), ("history", ["3"])]


def test_history_is_not_asked_of_jobs_whose_report_says_all(
    store: Store, backend: ScriptedBackend, update: Update
) -> None:
    (job,) = submitted(store, "1")
    write_report(store, job)

    (record,) = update().records

    assert (record.status, record.final, record.ended) == ("completed", True, NOW - 100)
    assert backend.calls == [("poll", ["1"])]


def test_a_final_verdict_is_never_asked_again(
    store: Store, backend: ScriptedBackend, update: Update
) -> None:
    (job,) = submitted(store, "1")
    write_report(store, job)
    update()
    backend.calls.clear()

    (record,) = refresh(store, lambda _: backend, store.select(), now=NOW).records

    assert (record.status, backend.calls) == ("completed", [])


def test_jobs_come_back_in_the_order_given(store: Store, backend: ScriptedBackend) -> None:
    submitted(store, "1", "2")
    submitted(store, "3", site="there")
    backend.queue = dict.fromkeys("123", RUNNING)

    given = [store.get(3), store.get(1), store.get(2)]
    refreshed = refresh(store, lambda _: backend, given, now=NOW)

    assert [record.id for record in refreshed.records] == [3, 1, 2]
    assert backend.calls == [("poll", ["3"]), ("poll", ["1", "2"])]


def test_reports_of_running_jobs_are_read_for_those_who_ask(
    store: Store, backend: ScriptedBackend, update: Update
) -> None:
    (job,) = submitted(store, "1")
    backend.queue = {"1": RUNNING}
    write_report(store, job, phase="stage-out", outcome=None, end_time=None)

    assert update().records[0].status_reason == ""
    assert update(phases=True).records[0].status_reason == "Storing outputs"


def test_a_silent_scheduler_leaves_everything_as_last_known(
    store: Store, backend: ScriptedBackend, update: Update
) -> None:
    finished, _ = submitted(store, "1", "2")
    backend.queue = {"1": RUNNING, "2": RUNNING}
    update(now=NOW - 60)
    before = store.get(2)
    write_report(store, finished)
    backend.silent = {"poll"}

    refreshed = update()

    assert refreshed.warnings == ["Site here: No answer. Its jobs are shown as last known."]
    assert [record.status for record in refreshed.records] == ["completed", "running"]
    assert refreshed.records[1].status_reason == (
        "As last known at 22:12:20 UTC: the scheduler does not answer"
    )
    assert store.get(1).final
    assert store.get(2) == before  # silence is not stored


@pytest.mark.parametrize("kind", [BackendError, ConfigError])
@pytest.mark.parametrize("verb", ["poll", "history"])
def test_a_scheduler_that_cannot_be_asked_hides_no_other_site_s_jobs(
    store: Store, backend: ScriptedBackend, verb: str, kind: type[ProminenceError]
) -> None:
    submitted(store, "1", site="broken")
    submitted(store, "2")
    backend.queue = {"2": RUNNING}
    broken = ScriptedBackend(silent={verb}, broken=kind("squeue is not installed here."))

    refreshed = refresh(
        store, lambda site: broken if site == "broken" else backend, store.active(), now=NOW
    )

    assert [record.status for record in refreshed.records] == ["idle", "running"]
    (warning,) = refreshed.warnings
    assert warning.startswith("Site broken: squeue is not installed here. ")
    assert warning.endswith("shown as last known.")
    assert not store.get(1).final


def test_silent_history_fails_nobody(
    store: Store, backend: ScriptedBackend, update: Update
) -> None:
    submitted(store, "1")
    backend.silent = {"history"}
    for hour in range(3):
        refreshed = update(now=NOW + 3600 * hour)
        assert not refreshed.records[0].final
        assert "shown as last known" in refreshed.warnings[0]


def test_a_vanished_job_fails_at_the_second_look(
    store: Store, backend: ScriptedBackend, update: Update
) -> None:
    submitted(store, "1")
    backend.queue = {"1": RUNNING}
    update(now=NOW - 10)
    backend.queue = {}
    assert update().records[0].status == "running"
    assert update(now=NOW + 61).records[0].status == "failed"


def test_a_site_that_is_gone_is_a_warning(store: Store, backend: ScriptedBackend) -> None:
    submitted(store, "1")
    submitted(store, "2", site="gone")
    backend.queue = {"1": RUNNING}

    def backends(site: str) -> ScriptedBackend:
        if site == "gone":
            msg = "There is no site 'gone'."
            raise ConfigError(msg)
        return backend

    refreshed = refresh(store, backends, store.active(), now=NOW)

    assert [record.status for record in refreshed.records] == ["running", "idle"]
    assert refreshed.warnings == [
        "There is no site 'gone'. Its active jobs are shown as last known: 1."
    ]


def test_unconfirmed_jobs_are_not_asked_about(
    store: Store, backend: ScriptedBackend, update: Update
) -> None:
    store.create_intent(site="here", backend="slurm", now=CREATED)
    active = refresh(store, lambda _: backend, store.active(), now=NOW).records

    assert active[0].status_reason == "Submission not confirmed by the scheduler yet"
    assert backend.calls == []
    assert store.get(1).status_reason == ""
    store.record_handle(1, "1")
    backend.queue = {"1": RUNNING}
    assert update().records[0].status_reason == ""


def test_a_job_without_a_handle_goes_by_its_report(
    store: Store, backend: ScriptedBackend, update: Update
) -> None:
    job = store.create_intent(site="here", backend="slurm", now=CREATED)
    make_job_folder(store.state, job.id)
    write_report(store, store.record_handle(job.id, None))
    assert update().records[0].status == "completed"
    assert backend.calls == []


def test_deleted_jobs_that_the_scheduler_was_not_told_of_are_cancelled_now(
    store: Store, backend: ScriptedBackend, update: Update
) -> None:
    submitted(store, "1", "2", "3")
    backend.queue = {"1": RUNNING, "2": RUNNING, "3": EXITED}
    store.mark_deleted([1, 2, 3])
    store.mark_cancelled([2])

    assert [record.status for record in update().records] == ["deleted"] * 3
    assert backend.calls[1:] == [("cancel", ["1"])]
    assert [record.final for record in store.select()] == [False, False, True]
    update()
    assert [verb for verb, _ in backend.calls].count("cancel") == 1


def test_a_deleted_job_that_came_back_into_the_queue_is_cancelled_again(
    store: Store, backend: ScriptedBackend, update: Update
) -> None:
    """It had asked to be run again in the moment in which it was cancelled."""
    submitted(store, "1")
    store.mark_deleted([1])
    store.mark_cancelled([1])
    backend.queue = {"1": SchedulerState(condition=Condition.QUEUED, restarts=1)}
    assert [record.status for record in update().records] == ["deleted"]
    assert backend.calls[-1] == ("cancel", ["1"])
    backend.queue = {"1": SchedulerState(condition=Condition.ENDED, cause=Cause.CANCELLED)}
    assert [record.final for record in update().records] == [True]


def test_a_job_that_waits_anew_says_what_became_of_it(
    store: Store, backend: ScriptedBackend, update: Update
) -> None:
    """Its report is read for that; those of jobs that never ran are not looked for."""
    first, second = submitted(store, "1", "2")
    for job in (first, second):
        write_report(store, job, phase="retrying", reason="Container image pull failed", attempt=0)
    backend.queue = {
        "1": SchedulerState(condition=Condition.QUEUED, restarts=1),
        "2": SchedulerState(condition=Condition.QUEUED, restarts=0),
    }
    reasons = [record.status_reason for record in update().records]
    assert "attempt 1 failed: Container image pull failed" in reasons[0]
    assert reasons[1] == ""


def test_a_cancellation_that_fails_is_tried_again(
    store: Store, backend: ScriptedBackend, update: Update
) -> None:
    submitted(store, "1")
    backend.queue = {"1": RUNNING}
    store.mark_deleted([1])
    backend.silent = {"cancel"}
    assert update().warnings == ["Site here: No answer. Its deleted jobs are not cancelled yet."]
    backend.silent = set()
    update()
    assert store.get(1).cancelled


def test_a_job_held_for_good_is_taken_out_of_the_queue(
    store: Store, backend: ScriptedBackend, update: Update
) -> None:
    submitted(store, "1", "2")
    backend.queue = {
        "1": SchedulerState(condition=Condition.HELD, cause=Cause.MEMORY),
        "2": SchedulerState(condition=Condition.HELD, reason="by its owner"),
    }
    assert [record.status for record in update().records] == ["killed", "idle"]
    assert backend.calls[1:] == [("cancel", ["1"])]


def test_many_reports_are_read_as_one_is(
    store: Store, backend: ScriptedBackend, update: Update
) -> None:
    jobs = submitted(store, *map(str, range(100)))
    for job in jobs[:50]:
        write_report(store, job)
    backend.past = dict.fromkeys(map(str, range(100)), EXITED)

    statuses = [record.status for record in update().records]

    assert statuses == ["completed"] * 50 + ["failed"] * 50
    assert len(backend.calls) == 2


def test_only_what_changed_is_written(
    store: Store, backend: ScriptedBackend, update: Update, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(store, "1", "2")
    backend.queue = {"1": RUNNING, "2": RUNNING}
    update()
    written: list[object] = []
    monkeypatch.setattr(store, "record_verdicts", lambda verdicts: written.extend(verdicts))
    monkeypatch.setattr(store, "record_answer", lambda *answer: written.append(answer))
    update(now=NOW + 5)
    assert written == []
    update(now=NOW + 11)
    assert written == [("here", NOW + 11)]
