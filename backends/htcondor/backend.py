"""The HTCondor backend: renders, makes one call, parses. Nodes need not share any file system."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from prominence_hpc.backends.abilities import SingleJobs
from prominence_hpc.backends.base import (
    Condition,
    JobShell,
    SchedulerState,
    Stream,
    Submission,
)
from prominence_hpc.backends.htcondor import client, moldable, render, running_output
from prominence_hpc.backends.htcondor.parse import STATE_ATTRIBUTES, handle_of, state_of
from prominence_hpc.backends.htcondor.shapes import (
    SLOT_ATTRIBUTES,
    SLOT_CONSTRAINT,
    best_shape,
)
from prominence_hpc.backends.job_folder import read_stream, write_private
from prominence_hpc.backends.run_command import log
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import BackendError, RemoteError
from prominence_hpc.wrappers.job_script import render_job_script

__all__ = ["HTCondorBackend"]

_ABSENT = SchedulerState(condition=Condition.ABSENT)
_TAG_ATTRIBUTES = ("ClusterId", "ProcId", "ProminenceTag")
# As much as is shown of a running job's output.
_SHOWN_BYTES = 1 << 30
_RUNNING_ATTRIBUTES = ("ClusterId", "ProcId", "JobStatus", "Iwd")


class HTCondorBackend(SingleJobs):
    """Jobs of the local schedd. All files travel by HTCondor's own transfer, and home at the end.

    A job that is deleted while it runs brings no file home: what :meth:`cancel` fetches of its
    output, and what its wrapper has put into object storage by then, is all there is.
    """

    name = "htcondor"
    ways: tuple[str, ...] = ("condor_ssh_to_job",)
    finds_node = True
    writes_into_folder = False

    def __init__(self, settings: SiteSettings) -> None:
        self._settings = settings
        self._timeout = settings.command_timeout_seconds

    def submit(self, submission: Submission) -> str:
        """See :meth:`.Backend.submit`. Leaves job.sub, job.sh, and links to what is sent."""
        self.refuse_workflow(submission)
        folder = submission.folder
        if submission.shapes:
            submission = best_shape(submission, self._slots(SLOT_CONSTRAINT, SLOT_ATTRIBUTES))
        for name in render.node_folders(submission):
            (folder / name).mkdir(mode=0o700, exist_ok=True)
        wanted = None if submission.moldable is None else self._most_free(submission)
        description = render.submit_description(submission, self._settings, wanted)
        write_private(folder / "job.sub", description)
        write_private(folder / "job.sh", self.job_script(submission), mode=0o700)
        # HTCondor would let everybody read it.
        (folder / "job.log").touch(mode=0o600)
        links = render.staged_inputs(submission) | render.staged_outputs(submission)
        for name, target in links.items():
            _link(folder / name, target)
        return client.submit(description, timeout_seconds=self._timeout)

    def job_script(self, submission: Submission) -> str:
        """The text of job.sh, which starts in the node's scratch folder, beside the other files."""
        lines = render.prologue(submission, self._settings)
        return render_job_script([], lines, "runner.pyz", "plan.json")

    def poll(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """See :meth:`.Backend.poll`."""
        if not handles:
            return {}
        records = client.query(
            _constraint(handles), STATE_ATTRIBUTES, timeout_seconds=self._timeout
        )
        known = {handle_of(record): state_of(record) for record in records}
        return {handle: known.get(handle, _ABSENT) for handle in handles}

    def history(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """See :meth:`.Backend.history`; the schedd reads its files newest first, while it must."""
        if not handles:
            return {}
        # Exactly these: other jobs among them would use up the limit.
        clusters = ", ".join(str(_cluster(handle)) for handle in handles)
        constraint = f"{_constraint(handles)} && member(ClusterId, {{{clusters}}})"
        records = client.history(
            constraint, STATE_ATTRIBUTES, limit=len(handles), timeout_seconds=self._timeout
        )
        known = {handle_of(record): state_of(record) for record in records}
        return {handle: known[handle] for handle in handles if handle in known}

    def find(self, tags: Sequence[str]) -> dict[str, str]:
        """See :meth:`.Backend.find`."""
        found = self._tags_in_queue(tags) if tags else {}
        missing = [tag for tag in tags if tag not in found]
        if missing:
            records = client.history(
                _has_tag(missing),
                _TAG_ATTRIBUTES,
                limit=len(missing),
                timeout_seconds=self._timeout,
            )
            found |= {record["ProminenceTag"]: handle_of(record) for record in records}
        return found

    def cancel(self, handles: Sequence[str]) -> None:
        """See :meth:`.Backend.cancel`; the wrapper gets SIGTERM, and SIGKILL ten minutes later.

        Removal brings no file home: what the running among them have written so far is fetched
        into their folders first (:func:`.running_output.keep`), as far as that succeeds.
        """
        if handles:
            running_output.keep(self._running(handles), timeout_seconds=self._timeout)
            client.act_remove(handles, timeout_seconds=self._timeout)

    def output(self, handle: str, folder: Path, stream: Stream) -> Iterator[bytes]:
        """See :meth:`.Backend.output`; a running job's is fetched from its node (condor_tail)."""
        # condor_tail waits for ever for a job that does not run.
        if self.poll([handle])[handle].condition is Condition.RUNNING:
            written = running_output.fetch(
                handle, stream, max_bytes=_SHOWN_BYTES, timeout_seconds=self._timeout
            )
        else:
            written = None
        if written is None:  # or it has ended since we asked, or only just begun
            yield from read_stream(folder, stream)
        elif written:
            yield written

    def open_shell(
        self,
        way: str,  # noqa: ARG002
        handle: str,
        node: str,  # noqa: ARG002
        folder: Path,  # noqa: ARG002
        number: int = 0,
    ) -> JobShell:
        """See :meth:`.Backend.open_shell`; HTCondor alone knows how to reach the node."""
        from prominence_hpc.backends.htcondor.ssh_to_job import open_shell

        if number:
            msg = "HTCondor leads to the first node of a job alone; --node must be 0 while it runs."
            raise RemoteError(msg)
        timeout_seconds = self._settings.shell_timeout_seconds
        try:
            return open_shell(handle, timeout_seconds=timeout_seconds)
        except RemoteError as error:
            if "This is a parallel job" not in str(error):
                raise
        # Of a job of several nodes, condor_ssh_to_job wants the node too.
        return open_shell(f"{handle}.0", timeout_seconds=timeout_seconds)

    def _most_free(self, submission: Submission) -> int | None:
        """The most CPUs that the job could have now; None where the collector does not say."""
        constraint = moldable.free_constraint(submission)
        return moldable.most_free(submission, self._slots(constraint, moldable.FREE_ATTRIBUTES))

    def _slots(self, constraint: str, attributes: Sequence[str]) -> list[dict[str, Any]]:
        """Slots of the pool; none where the collector does not say."""
        try:
            return client.slots(constraint, attributes, timeout_seconds=self._timeout)
        except BackendError as error:
            log(f"which slots there are is not known: {error}")
            return []

    def _running(self, handles: Sequence[str]) -> dict[str, Path]:
        """The folders of those that run; none where the schedd does not say."""
        try:
            records = client.query(
                _constraint(handles), _RUNNING_ATTRIBUTES, timeout_seconds=self._timeout
            )
        except BackendError as error:
            log(f"what running jobs have written is not fetched: {error}")
            return {}
        wanted = set(handles)
        return {
            handle_of(record): Path(record["Iwd"])
            for record in records
            if handle_of(record) in wanted and state_of(record).condition is Condition.RUNNING
        }

    def _tags_in_queue(self, tags: Sequence[str]) -> dict[str, str]:
        records = client.query(_has_tag(tags), _TAG_ATTRIBUTES, timeout_seconds=self._timeout)
        return {record["ProminenceTag"]: handle_of(record) for record in records}


def _link(path: Path, target: str) -> None:
    """Make ``path`` a link to ``target``, also where an attempt before this one has made one."""
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _constraint(handles: Sequence[str]) -> str:
    """Ours among the clusters from the first of ``handles`` to the last: short, however many."""
    clusters = [_cluster(handle) for handle in handles]
    return (
        "ProminenceTag isnt undefined"
        f" && ClusterId >= {min(clusters)} && ClusterId <= {max(clusters)}"
    )


def _has_tag(tags: Iterable[str]) -> str:
    # Hexadecimal digits: JSON's quoting is ClassAd's.
    return f"member(ProminenceTag, {{{', '.join(json.dumps(tag) for tag in tags)}}})"


def _cluster(handle: str) -> int:
    return int(handle.partition(".")[0])
