"""Submission, exactly once, whatever is killed and whoever does not answer.

The steps of a submission, and what a kill just after each leaves:

    step                                     left behind                 the next command
    ---------------------------------------  --------------------------  ----------------------------
    1  Store.create_intent                   a row, claimed, no folder   not in the scheduler: removes it
    2  folder, job.json, plan.json, …        row and part of a folder    the same
    3  write_submission (by rename): ready   row and a complete folder   waits to be sure, submits it
    4  Backend.submit, the tag inside        the scheduler has the job   finds the tag, records the handle
    5  Store.record_handle                   a submitted job             nothing to do

No submission begins before step 3, so that a folder without ``submission.json`` proves that there was
none. Nothing is printed before step 5: whoever was killed has seen no id. Between 3 and 5 only the
scheduler knows, and it is asked (:func:`recover`) by tag, one call for all such jobs of a site.

When is "I do not have it" believed? A request may be on its way still: ``sbatch`` gives up after
MessageTimeout (slurm.conf(5), 10 s) while its connection waits, complete, in the socket of a
controller that is stopped or busy, and is read when that continues, minutes later; and an
``sbatch`` whose parent was killed lives on, and tries again for up to two minutes where Slurm is
"temporarily unable to accept" the job (its sleeps of 1, 2, … 15 s). So age since the attempt proves
nothing. But a controller accepts connections in their order: one that answers our question has taken
up every earlier request, and needs only the time to carry it out. That time is needed: of fifteen
sbatch killed while slurmctld 26.05 was stopped, its first answer afterwards showed fourteen, one a
second later all. Hence two answers are required, both without the tag, ``SETTLE_SECONDS`` apart: the
first proves that the scheduler is alive and past the queue of old requests, the time after it
outlasts an orphaned ``sbatch``, and the second counts. The time of the first is stored
(``absent_since``), forgotten when an attempt begins, and meanwhile the job is shown as idle,
"Submission not confirmed by the scheduler yet".

A scheduler that has forgotten an ended job (Slurm without accounting, after MinJobAge) would be
believed wrongly: where the job's folder holds output or a report, the job ran, and is never submitted again.

A claim (:mod:`.store.claims`) keeps two commands from doing all this at once. It can fail in one way
only: a process on another host that is stopped for longer than the lease between its last look at
the claim and its submission. Then both submit; the second to record its handle sees the first's, and cancels its own.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prominence_hpc.adapter.cancellation import resend
from prominence_hpc.adapter.store.claims import LEASE_SECONDS
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.state_folder import job_folder, write_private
from prominence_hpc.adapter.store.store import Store
from prominence_hpc.backends.base import Backend, Copies, Moldable, Shape, Submission, Transfer
from prominence_hpc.errors import BackendError, BackendUnavailable, ConfigError, ConflictError

__all__ = [
    "SETTLE_SECONDS",
    "SUBMISSION_FILE",
    "TRACES",
    "Outcome",
    "Recovered",
    "discard",
    "dump_submission",
    "load_submission",
    "read_submission",
    "recover",
    "submit_job",
    "write_submission",
]

SUBMISSION_FILE = "submission.json"
SUBMISSION_VERSION = 1
# Longer than the two minutes for which an orphaned sbatch may try again.
SETTLE_SECONDS = 150.0

# What a job that was started leaves in its folder.
TRACES = ("report.json", "stdout", "stderr")

Outcome = Literal["found", "submitted", "waiting", "discarded", "deleted", "refused", "silent"]


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """What became of one job that was not known to be submitted.

    ``found``: the scheduler has, or had, it. ``submitted``: now it has. ``waiting``: it does not say so yet. ``discarded``:
    it was never complete, and is gone. ``deleted``: the user's wish, before it was submitted.
    ``refused``: failed for good. ``silent``: the scheduler does not answer, or the site is not configured.
    ``message`` is a sentence for the last two, empty otherwise.
    """

    job_id: int
    outcome: Outcome
    message: str = ""


def submit_job(store: Store, backend: Backend, record: JobRecord, submission: Submission) -> str:
    """Steps 4 and 5 for a job that is ready; returns its handle.

    Raises BackendError where the scheduler refused, and ConfigError where the site's configuration
    does: nothing was submitted, and row and folder are gone. Raises BackendUnavailable where it did not answer: the job stays, for :func:`recover`.
    ConflictError: this process was stopped for so long that another command took the job over.
    """
    if record.claim and time.time() - record.claim.time > LEASE_SECONDS / 2:
        _renew(store, record)
    try:
        handle = backend.submit(submission)
    except BackendUnavailable:
        store.release([record.id])
        raise
    except (BackendError, ConfigError):
        _remove(store, record)
        raise
    return _keep_handle(store, backend, record.id, handle)


def _renew(store: Store, record: JobRecord) -> None:
    if not store.begin_attempt(record.id):
        msg = f"Job {record.id} was taken over by another command while this one was stopped."
        raise ConflictError(msg)


def _keep_handle(store: Store, backend: Backend, job_id: int, handle: str) -> str:
    kept = store.record_handle(job_id, handle)
    if kept.handle != handle:
        # Somebody else submitted it meanwhile (see the lease, above): theirs was first.
        backend.cancel([handle])
        return kept.handle or handle
    if kept.deleted:
        resend(store, backend, [kept])  # what it cannot do now, the next refresh does
    return handle


def discard(store: Store, record: JobRecord) -> None:
    """Remove folder and row of a job whose submission has not begun.

    Does nothing to one that is ready: its submission may have begun, and only the scheduler knows.
    """
    if not is_ready(job_folder(store.state, record.id)):
        _remove(store, record)


def _remove(store: Store, record: JobRecord) -> None:
    import shutil  # 8 ms, for what hardly ever happens

    folder = job_folder(store.state, record.id)
    # Says that a submission may have begun: it goes first, should this be killed half-way.
    (folder / SUBMISSION_FILE).unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    store.forget(record.id)


def recover(
    store: Store,
    backends: Callable[[str], Backend],
    rebuild: Callable[[JobRecord], Submission | None] | None = None,
    *,
    now: float,
    settle_seconds: float = SETTLE_SECONDS,
) -> list[Recovered]:
    """Find or submit every job whose submission was cut short; one look-up for each site.

    ``rebuild`` gives the submission of a job, renewed as need be, or None where its folder is not
    complete; without it ``submission.json`` is taken as it is. Costs one read of the store where
    there is nothing to do. No scheduler's failure is raised: it is an outcome.
    """
    recovery = _Recovery(store, rebuild or _remembered(store), now, settle_seconds)
    sites: dict[str, list[JobRecord]] = {}
    for record in store.claim_abandoned(now):
        sites.setdefault(record.site, []).append(record)
    return [
        outcome
        for name, records in sites.items()
        for outcome in recovery.run(records, backends, name)
    ]


def _remembered(store: Store) -> Callable[[JobRecord], Submission | None]:
    return lambda record: read_submission(job_folder(store.state, record.id))


@dataclass(frozen=True)
class _Recovery:
    """What :func:`recover` does with records that this process has claimed."""

    store: Store
    rebuild: Callable[[JobRecord], Submission | None]
    now: float
    settle_seconds: float

    def run(
        self, records: Sequence[JobRecord], backends: Callable[[str], Backend], site: str
    ) -> list[Recovered]:
        """All jobs of one site. The first silence ends it: each of the others would wait as long."""
        outcomes: list[Recovered] = []
        try:
            backend = backends(site)
            found = backend.find([record.tag for record in records])
            for record in records:
                outcome, message = self._settle(backend, record, found.get(record.tag))
                outcomes.append(Recovered(job_id=record.id, outcome=outcome, message=message))
        except (BackendError, ConfigError) as error:
            left = [record.id for record in records[len(outcomes) :]]
            self.store.release(left)
            words = f"Site {site}: {error} Jobs of unconfirmed submission: {len(left)}."
            outcomes += [Recovered(job_id=i, outcome="silent", message=words) for i in left]
        return outcomes

    def _settle(
        self, backend: Backend, record: JobRecord, handle: str | None
    ) -> tuple[Outcome, str]:
        folder = job_folder(self.store.state, record.id)
        if handle is not None:
            _keep_handle(self.store, backend, record.id, handle)
            return "found", ""
        if any((folder / trace).exists() for trace in TRACES):
            self.store.record_handle(record.id, None)
            return "found", ""
        if not is_ready(folder):
            _remove(self.store, record)
            return "discarded", ""
        if not self._absence_is_believed(record):
            self.store.release([record.id], absent_since=self.now)
            return "waiting", ""
        if record.deleted:
            self.store.record_failure_to_submit(record.id, "", self.now)
            return "deleted", ""
        return self._submit_again(backend, record)

    def _absence_is_believed(self, record: JobRecord) -> bool:
        since = record.absent_since
        return since is not None and self.now - since >= self.settle_seconds

    def _submit_again(self, backend: Backend, record: JobRecord) -> tuple[Outcome, str]:
        submission = self.rebuild(record)
        if submission is None:
            reason = "The job's files are damaged: submit it again"
            self.store.record_failure_to_submit(record.id, reason, self.now)
            return "refused", f"Job {record.id} cannot be submitted: its files are damaged."
        if not self.store.begin_attempt(record.id):
            return "waiting", ""
        try:
            handle = backend.submit(submission)
        except BackendUnavailable:
            raise
        except BackendError as error:
            self.store.record_failure_to_submit(record.id, f"Submission failed: {error}", self.now)
            return "refused", f"Job {record.id} was refused: {error}"
        _keep_handle(self.store, backend, record.id, handle)
        return "submitted", ""


def is_ready(folder: Path) -> bool:
    """Whether the submission of the job in ``folder`` may have begun (step 3)."""
    return (folder / SUBMISSION_FILE).exists()


def write_submission(submission: Submission) -> None:
    """Step 3: everything else is in ``submission.folder``; from now on it may be submitted."""
    write_private(submission.folder / SUBMISSION_FILE, dump_submission(submission))


def read_submission(folder: Path) -> Submission | None:
    """What :func:`write_submission` wrote; None where it is missing or damaged."""
    try:
        return load_submission((folder / SUBMISSION_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def dump_submission(submission: Submission) -> str:
    """The submission as JSON text. It holds no secret."""
    transfer = submission.transfer
    document = {
        "version": SUBMISSION_VERSION,
        **vars(submission),
        "labels": dict(submission.labels),
        "folder": str(submission.folder),
        "runner": str(submission.runner),
        "moldable": None if submission.moldable is None else vars(submission.moldable),
        "shapes": [vars(shape) for shape in submission.shapes],
        "copies": None if submission.copies is None else vars(submission.copies),
        "transfer": {
            "inputs": [[str(path), name] for path, name in transfer.inputs],
            "outputs": [[name, str(path)] for name, path in transfer.outputs],
        },
    }
    return json.dumps(document, indent=1) + "\n"


def load_submission(text: str) -> Submission:
    """The submission in JSON text; ValueError, KeyError or TypeError where it is none."""
    document: dict[str, Any] = json.loads(text)
    if document.pop("version") != SUBMISSION_VERSION:
        msg = "a submission of another version"
        raise ValueError(msg)
    transfer, moldable = document["transfer"], document.get("moldable")
    copies = document.get("copies")
    document |= {
        "folder": Path(document["folder"]),
        "runner": Path(document["runner"]),
        "moldable": None if moldable is None else Moldable(**moldable),
        "shapes": tuple(Shape(**shape) for shape in document.get("shapes", ())),
        "copies": None if copies is None else Copies(**copies),
        "after": tuple(document.get("after", ())),
        "transfer": Transfer(
            inputs=tuple((Path(path), name) for path, name in transfer["inputs"]),
            outputs=tuple((name, Path(path)) for name, path in transfer["outputs"]),
        ),
    }
    return Submission(**document)
