"""The HTCondor backend: renders, makes one call, parses. Nodes need not share any file system."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from prominence_hpc.backends.base import Condition, SchedulerState, Stream, Submission
from prominence_hpc.backends.htcondor import client, render
from prominence_hpc.backends.htcondor.parse import STATE_ATTRIBUTES, handle_of, state_of
from prominence_hpc.backends.job_folder import read_stream, write_private
from prominence_hpc.backends.run_command import run_command
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import BackendError
from prominence_hpc.wrappers.job_script import render_job_script

__all__ = ["HTCondorBackend"]

_ABSENT = SchedulerState(condition=Condition.ABSENT)
_TAG_ATTRIBUTES = ("ClusterId", "ProcId", "ProminenceTag")
# As much as condor_tail shows of a running job's output.
_TAIL_BYTES = 1 << 30


class HTCondorBackend:
    """Jobs of the local schedd. All files travel by HTCondor's own transfer, and home at the end.

    A job that is deleted while it runs brings no file home: what its wrapper has put into object
    storage by then is all there is.
    """

    name = "htcondor"

    def __init__(self, settings: SiteSettings) -> None:
        self._settings = settings
        self._timeout = settings.command_timeout_seconds

    def submit(self, submission: Submission) -> str:
        """See :meth:`.Backend.submit`. Leaves job.sub, job.sh, and links to what is sent."""
        if submission.nodes > 1:
            msg = f"HTCondor runs a job on one node: nodes must be 1, not {submission.nodes}."
            raise BackendError(msg)
        folder = submission.folder
        description = render.submit_description(submission, self._settings)
        write_private(folder / "job.sub", description)
        write_private(folder / "job.sh", self.job_script(submission), mode=0o700)
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
        """See :meth:`.Backend.cancel`; the wrapper gets SIGTERM, and SIGKILL ten minutes later."""
        if handles:
            client.act_remove(handles, timeout_seconds=self._timeout)

    def output(self, handle: str, folder: Path, stream: Stream) -> Iterator[bytes]:
        """See :meth:`.Backend.output`; a running job's is fetched from its node (condor_tail)."""
        # condor_tail waits for ever for a job that does not run.
        if self.poll([handle])[handle].condition is Condition.RUNNING:
            yield from self._tail(handle, folder, stream)
        else:
            yield from read_stream(folder, stream)

    def _tail(self, handle: str, folder: Path, stream: Stream) -> Iterator[bytes]:
        wanted = ["-no-stdout", "-stderr"] if stream == "stderr" else []
        argv = ["condor_tail", *wanted, "-maxbytes", str(_TAIL_BYTES), handle]
        ended = run_command(argv, timeout_seconds=self._timeout)
        if ended.returncode != 0:  # it has ended since we asked, or only just begun
            yield from read_stream(folder, stream)
        elif ended.stdout:
            yield ended.stdout.encode("utf-8", "surrogateescape")

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
