"""Submission and recovery: what a user has after each thing that a scheduler can do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from prominence_hpc.adapter.cancellation import delete_jobs
from prominence_hpc.adapter.store.claims import LEASE_SECONDS
from prominence_hpc.adapter.store.state_folder import job_folder
from prominence_hpc.adapter.store.store import Store
from prominence_hpc.adapter.submission import (
    SETTLE_SECONDS,
    Outcome,
    discard,
    dump_submission,
    load_submission,
    read_submission,
    recover,
    submit_job,
    write_submission,
)
from prominence_hpc.backends.base import Copies, Submission, Transfer
from prominence_hpc.errors import BackendError, BackendUnavailable, ConfigError, ConflictError
from tests.unit.submission.fake_scheduler import FakeBackend, intend

NOW = 2_000_000_000.0  # later than anything that the tests record with the true time


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    (tmp_path / "state").mkdir()
    with Store(tmp_path / "state") as store:
        yield store


@pytest.fixture
def backend(tmp_path: Path) -> FakeBackend:
    (tmp_path / "scheduler").mkdir()
    return FakeBackend(tmp_path / "scheduler")


def outcomes(store: Store, backend: FakeBackend, now: float) -> list[Outcome]:
    return [found.outcome for found in recover(store, lambda _: backend, now=now)]


def test_a_submitted_job_has_its_handle(store: Store, backend: FakeBackend) -> None:
    record, submission = intend(store)

    assert submit_job(store, backend, record, submission) == "1"

    kept = store.get(record.id)
    assert (kept.state, kept.handle, kept.claim) == ("submitted", "1", None)
    assert outcomes(store, backend, NOW) == []
    assert backend.submissions() == {"1": record.tag}


def test_a_refused_job_leaves_nothing(store: Store, backend: FakeBackend) -> None:
    record, submission = intend(store)
    backend.mood = "refuses"

    with pytest.raises(BackendError, match=r"Invalid partition\."):
        submit_job(store, backend, record, submission)

    assert store.select(labels={"k": "v"}) == store.select() == []
    assert not submission.folder.exists()
    backend.mood = "answers"
    assert outcomes(store, backend, NOW) == []
    assert intend(store)[0].id == record.id + 1


def test_a_job_that_was_taken_without_an_answer_is_found(
    store: Store, backend: FakeBackend
) -> None:
    record, submission = intend(store)
    backend.mood = "takes it, silent"
    with pytest.raises(BackendUnavailable):
        submit_job(store, backend, record, submission)
    assert store.get(record.id).state == "intent"

    backend.mood = "answers"
    assert outcomes(store, backend, NOW) == ["found"]

    assert store.get(record.id).handle == "1"
    assert list(backend.submissions()) == ["1"]


def test_a_job_that_was_not_taken_is_submitted_when_that_is_certain(
    store: Store, backend: FakeBackend
) -> None:
    record, submission = intend(store)
    backend.mood = "silent"
    with pytest.raises(BackendUnavailable):
        submit_job(store, backend, record, submission)
    assert outcomes(store, backend, NOW - 9999) == ["silent"]

    backend.mood = "answers"
    # The time since the attempt proves nothing; the time since the first answer does.
    assert outcomes(store, backend, NOW) == ["waiting"]
    assert outcomes(store, backend, NOW + SETTLE_SECONDS - 1) == ["waiting"]
    assert backend.submissions() == {}
    assert outcomes(store, backend, NOW + SETTLE_SECONDS) == ["submitted"]

    assert backend.submissions() == {"1": record.tag}
    assert store.get(record.id).handle == "1"
    assert outcomes(store, backend, NOW + 9999) == []


def test_a_request_that_arrives_late_is_not_doubled(store: Store, backend: FakeBackend) -> None:
    record, submission = intend(store)
    backend.mood = "takes it later, silent"
    with pytest.raises(BackendUnavailable):
        submit_job(store, backend, record, submission)
    backend.mood = "answers"
    assert outcomes(store, backend, NOW) == ["waiting"]

    backend.arrive()
    assert outcomes(store, backend, NOW + SETTLE_SECONDS) == ["found"]

    assert store.get(record.id).handle == "1"
    assert list(backend.submissions()) == ["1"]


def test_a_second_attempt_without_an_answer_starts_the_wait_anew(
    store: Store, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, _ = intend(store)
    store.release([record.id], absent_since=NOW - SETTLE_SECONDS)
    with monkeypatch.context() as patched:
        patched.setattr(backend, "submit", FakeBackend(backend.folder, "silent").submit)
        assert outcomes(store, backend, NOW) == ["silent"]
    assert outcomes(store, backend, NOW + SETTLE_SECONDS) == ["waiting"]
    assert outcomes(store, backend, NOW + 2 * SETTLE_SECONDS) == ["submitted"]


def test_a_job_that_was_never_complete_goes_at_once(store: Store, backend: FakeBackend) -> None:
    record, submission = intend(store, ready=False)
    store.release([record.id])

    assert outcomes(store, backend, NOW) == ["discarded"]

    assert store.select() == []
    assert not submission.folder.exists()
    assert backend.submissions() == {}


@pytest.mark.parametrize("trace", ["report.json", "stdout", "stderr"])
def test_a_job_that_left_traces_ran_though_the_scheduler_forgot(
    store: Store, backend: FakeBackend, trace: str
) -> None:
    record, submission = intend(store)
    store.release([record.id], absent_since=1)
    (submission.folder / trace).touch()

    assert outcomes(store, backend, NOW) == ["found"]

    kept = store.get(record.id)
    assert (kept.state, kept.handle) == ("submitted", None)
    assert backend.submissions() == {}


def test_a_refusal_when_nobody_waits_is_a_failure_with_its_reason(
    store: Store, backend: FakeBackend
) -> None:
    record, _ = intend(store)
    store.release([record.id], absent_since=1)
    backend.mood = "answers"
    refusing = FakeBackend(backend.folder, "refuses")
    backend.submit = refusing.submit  # type: ignore[method-assign]

    (told,) = recover(store, lambda _: backend, now=NOW)

    assert (told.outcome, told.message) == ("refused", "Job 1 was refused: Invalid partition.")
    kept = store.get(record.id)
    assert (kept.status, kept.final, kept.ended) == ("failed", True, NOW)
    assert kept.status_reason == "Submission failed: Invalid partition."
    assert outcomes(store, backend, NOW) == []


def test_a_job_deleted_before_it_was_submitted_never_is(store: Store, backend: FakeBackend) -> None:
    record, _ = intend(store)
    store.release([record.id])
    delete_jobs(store, lambda _: backend, [store.get(record.id)])

    assert outcomes(store, backend, NOW) == ["waiting"]
    assert outcomes(store, backend, NOW + SETTLE_SECONDS) == ["deleted"]

    kept = store.get(record.id)
    assert (kept.status, kept.final) == ("deleted", True)
    assert backend.submissions() == {}


def test_a_job_deleted_while_unconfirmed_is_cancelled_when_found(
    store: Store, backend: FakeBackend
) -> None:
    record, submission = intend(store)
    backend.mood = "takes it, silent"
    with pytest.raises(BackendUnavailable):
        submit_job(store, backend, record, submission)
    assert delete_jobs(store, lambda _: backend, [store.get(record.id)]) == []
    backend.mood = "answers"

    assert outcomes(store, backend, NOW) == ["found"]

    assert backend.cancelled() == {"1"}
    assert store.get(record.id).cancelled


def test_a_wish_to_delete_survives_a_silent_scheduler(store: Store, backend: FakeBackend) -> None:
    record, submission = intend(store)
    submit_job(store, backend, record, submission)
    backend.mood = "silent"

    (warning,) = delete_jobs(store, lambda _: backend, [store.get(record.id)])

    assert warning == (
        "Site here: The scheduler does not answer. Its jobs will be deleted when it answers."
    )
    kept = store.get(record.id)
    assert (kept.deleted, kept.cancelled) == (True, False)


def test_who_comes_second_cancels_its_own(store: Store, backend: FakeBackend) -> None:
    record, submission = intend(store)
    store.record_handle(record.id, "99")  # another host took the claim over, and was faster

    assert submit_job(store, backend, record, submission) == "99"

    assert backend.cancelled() == {"1"}
    assert store.get(record.id).handle == "99"


def test_jobs_that_somebody_is_submitting_are_left_alone(
    store: Store, backend: FakeBackend
) -> None:
    intend(store)  # claimed by this process, which lives
    assert outcomes(store, backend, NOW) == []


def set_claim(store: Store, column: str, value: object) -> None:
    with store._database.writing() as connection:
        connection.execute(f"UPDATE jobs SET {column} = ?", (value,))


@pytest.mark.parametrize(
    ("column", "value"), [("claim_pid", 2**22 + 1), ("claim_start", 1), ("claim_host", "other")]
)
def test_a_claim_ends_with_its_process(
    store: Store, backend: FakeBackend, column: str, value: object
) -> None:
    intend(store)
    set_claim(store, column, value)
    assert outcomes(store, backend, NOW) == ["waiting"]


def test_a_claim_from_another_host_holds_for_its_lease(store: Store, backend: FakeBackend) -> None:
    intend(store)
    set_claim(store, "claim_host", "other")
    set_claim(store, "claim_time", NOW)
    assert outcomes(store, backend, NOW + LEASE_SECONDS) == []
    assert outcomes(store, backend, NOW + LEASE_SECONDS + 1) == ["waiting"]


def test_a_command_that_was_stopped_too_long_does_not_submit(
    store: Store, backend: FakeBackend
) -> None:
    intend(store)
    set_claim(store, "claim_time", 1000.0)
    record = store.get(1)
    submission = read_submission(job_folder(store.state, 1))
    assert submission is not None
    set_claim(store, "claim_host", "another took it over")

    with pytest.raises(ConflictError, match="Job 1 was taken over"):
        submit_job(store, backend, record, submission)
    assert backend.submissions() == {}

    set_claim(store, "claim_host", record.claim and record.claim.host)
    assert submit_job(store, backend, record, submission) == "1"


def test_one_silence_is_enough(store: Store, backend: FakeBackend) -> None:
    jobs = [intend(store)[0].id for _ in range(3)]
    store.release(jobs, absent_since=1)
    attempts = []

    def submit(submission: Submission) -> str:
        attempts.append(submission.job_id)
        msg = "Timed out."
        raise BackendUnavailable(msg)

    backend.submit = submit  # type: ignore[method-assign]

    assert outcomes(store, backend, NOW) == ["silent"] * 3
    assert attempts == [1]
    assert [record.claim for record in store.unconfirmed()] == [None] * 3


def test_a_site_that_is_not_configured_is_told_not_raised(store: Store) -> None:
    record, _ = intend(store)
    store.release([record.id])

    def no_site(name: str) -> FakeBackend:
        msg = f"There is no site {name!r}."
        raise ConfigError(msg)

    (told,) = recover(store, no_site, now=NOW)

    assert told.outcome == "silent"
    assert told.message == "Site here: There is no site 'here'. Jobs of unconfirmed submission: 1."


def test_renewed_submissions_take_the_place_of_the_stored(
    store: Store, backend: FakeBackend
) -> None:
    record, submission = intend(store)
    store.release([record.id], absent_since=1)
    asked = []

    def rebuild(wanted: object) -> Submission:
        asked.append(wanted)
        return submission

    recover(store, lambda _: backend, rebuild, now=NOW)
    assert [item.id for item in asked] == [record.id]  # type: ignore[attr-defined]


def test_damaged_files_are_a_failure(store: Store, backend: FakeBackend) -> None:
    record, submission = intend(store)
    store.release([record.id], absent_since=1)
    (submission.folder / "submission.json").write_text("{")

    assert outcomes(store, backend, NOW) == ["refused"]
    assert store.get(record.id).status_reason == "The job's files are damaged: submit it again"


def test_discard_leaves_a_job_that_may_have_been_submitted(store: Store) -> None:
    record, submission = intend(store)
    discard(store, record)
    assert store.get(record.id) == record
    assert submission.folder.exists()
    begun, unfinished = intend(store, ready=False)
    discard(store, begun)
    discard(store, begun)
    assert not unfinished.folder.exists()
    assert [job.id for job in store.select()] == [record.id]


def test_a_submission_is_read_back_as_it_was(tmp_path: Path) -> None:
    submission = Submission(
        tag="0" * 32,
        job_id=3,
        name="a 'name' ü",
        labels={"k": "v"},
        folder=tmp_path / "fol der\udcff",
        runner=Path("/r/runner.pyz"),
        cpus=4,
        memory_mib=2048,
        disk_mib=10240,
        nodes=2,
        limit_seconds=3600,
        priority=-5,
        copies=Copies(first=1000, count=500),
        after=("12", "13"),
        transfer=Transfer(
            inputs=((Path("/a/in"), "in"),), outputs=(("out", Path("/a/out")), ("x", Path("/y")))
        ),
    )
    assert load_submission(dump_submission(submission)) == submission


def test_a_stored_submission_is_private_or_absent(tmp_path: Path, store: Store) -> None:
    _, submission = intend(store)
    write_submission(submission)
    path = submission.folder / "submission.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_submission(submission.folder) == submission
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    assert read_submission(submission.folder) is None
    assert read_submission(tmp_path) is None
