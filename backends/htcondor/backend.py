"""The HTCondor backend: renders, makes one call, parses. Nodes need not share any file system."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from prominence_hpc.backends.base import (
    Condition,
    Graph,
    JobShell,
    SchedulerState,
    Stream,
    Submission,
)
from prominence_hpc.backends.htcondor import client, moldable, render, running_output
from prominence_hpc.backends.htcondor.constraints import (
    ONE_EACH_IN_HISTORY,
    ONE_EACH_IN_QUEUE,
    exactly,
    handle_parts,
    has_tag,
    in_queue,
    with_nodes,
)
from prominence_hpc.backends.htcondor.copies import CLUSTER_ATTRIBUTES
from prominence_hpc.backends.htcondor.dagman import DAG_FILE, render_dag
from prominence_hpc.backends.htcondor.deletion import delete
from prominence_hpc.backends.htcondor.graphs import handles_of, submit_graph
from prominence_hpc.backends.htcondor.parse import (
    RUNNING_ATTRIBUTES,
    STATE_ATTRIBUTES,
    TAG_ATTRIBUTES,
    by_tag,
    handle_of,
    jobs_of,
    running,
    state_of,
    states_of,
)
from prominence_hpc.backends.htcondor.shapes import (
    SLOT_ATTRIBUTES,
    SLOT_CONSTRAINT,
    best_shape,
)
from prominence_hpc.backends.job_folder import copy_number, link, read_stream, write_if_other
from prominence_hpc.backends.run_command import log
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import BackendError, RemoteError
from prominence_hpc.wrappers.job_script import render_job_script

__all__ = ["HTCondorBackend"]

# As much as is shown of a running job's output.
_SHOWN_BYTES = 1 << 30


class HTCondorBackend:
    """Jobs of the local schedd. All files travel by HTCondor's own transfer, and home at the end.

    A job that is deleted while it runs brings no file home: what :meth:`cancel` fetches of its
    output, and what its wrapper has put into object storage by then, is all there is.
    """

    name = "htcondor"
    ways: tuple[str, ...] = ("condor_ssh_to_job",)
    finds_node = True
    writes_into_folder = False
    runs_graphs = True

    def __init__(self, settings: SiteSettings) -> None:
        self._settings = settings
        self._timeout = settings.command_timeout_seconds

    def submit(self, submission: Submission) -> str:
        """See :meth:`.Backend.submit`. Leaves job.sub, job.sh, and links to what is sent."""
        if submission.after:
            msg = (
                "HTCondor itself lets no job wait for another; a workflow's jobs are run by DAGMan."
            )
            raise BackendError(msg)
        description = self._prepare(submission)
        cluster = client.submit(description, timeout_seconds=self._timeout)
        return str(cluster) if submission.copies is not None else f"{cluster}.0"

    def texts(self, submission: Submission) -> dict[str, str]:
        """See :meth:`.Backend.texts`."""
        description = render.submit_description(submission, self._settings)
        return {"job.sub": description, "job.sh": self.job_script(submission)}

    def most_copies(self, submission: Submission) -> int | None:
        """See :meth:`.Backend.most_copies`: the dedicated scheduler knows no cluster of many."""
        return 1 if submission.nodes > 1 or submission.shapes else None

    def copy_handle(self, handle: str, number: int) -> str:
        """See :meth:`.Backend.copy_handle`."""
        return f"{handle_parts(handle)[0]}.{number}"

    def submit_graph(self, graph: Graph) -> str:
        """See :meth:`.Backend.submit_graph`. Leaves workflow.dag, and what is beside it."""

        def prepare(submission: Submission) -> None:
            self._prepare(submission, in_graph=True)

        return submit_graph(graph, prepare, timeout_seconds=self._timeout)

    def graph_texts(self, graph: Graph) -> dict[str, str]:
        """See :meth:`.Backend.graph_texts`: the DAG, and each node's own texts below its folder."""
        texts = {DAG_FILE: render_dag(graph)}
        for node in graph.nodes:
            submission = node.submission
            folder = submission.folder.relative_to(graph.folder)
            description = render.submit_description(submission, self._settings, in_graph=True)
            texts[str(folder / "job.sub")] = description
            texts[str(folder / "job.sh")] = self.job_script(submission, in_graph=True)
        return texts

    def graph_handles(self, folder: Path) -> dict[str, str]:
        """See :meth:`.Backend.graph_handles`: from the log that DAGMan follows."""
        return handles_of(folder)

    def _prepare(self, submission: Submission, *, in_graph: bool = False) -> str:
        """Write what is needed into the folder; returns the submit description."""
        folder = submission.folder
        if submission.shapes:
            submission = best_shape(submission, self._slots(SLOT_CONSTRAINT, SLOT_ATTRIBUTES))
        for name in render.node_folders(submission):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        wanted = None if submission.moldable is None else self._most_free(submission)
        description = render.submit_description(
            submission, self._settings, wanted, in_graph=in_graph
        )
        write_if_other(render.description_path(submission), description)
        script = self.job_script(submission, in_graph=in_graph)
        write_if_other(folder / "job.sh", script, mode=0o700)
        # HTCondor would let everybody read it.
        (folder / "job.log").touch(mode=0o600)
        links = render.staged_inputs(submission) | render.staged_outputs(submission)
        for name, target in links.items():
            link(folder / name, target)
        return description

    def job_script(self, submission: Submission, *, in_graph: bool = False) -> str:
        """The text of job.sh, which starts in the node's scratch folder, beside the other files."""
        lines = render.prologue(submission, self._settings, in_graph=in_graph)
        copy = None if submission.copies is None else "$1"
        # DAGMan ends all jobs of a cluster when one of them ends with another code than 0.
        return render_job_script([], lines, "runner.pyz", "plan.json", copy=copy, silent=in_graph)

    def poll(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """See :meth:`.Backend.poll`."""
        if not handles:
            return {}
        attributes = (*STATE_ATTRIBUTES, *CLUSTER_ATTRIBUTES)
        records = client.query(in_queue(handles), attributes, timeout_seconds=self._timeout)
        return states_of(handles, records)

    def history(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """See :meth:`.Backend.history`; the schedd reads its files newest first, while it must."""
        if not handles:
            return {}
        constraint, limit = exactly(handles)
        records = client.history(
            constraint, STATE_ATTRIBUTES, limit=limit, timeout_seconds=self._timeout
        )
        known = {handle_of(record): state_of(record) for record in records}
        return {handle: known[handle] for handle in handles if handle in known}

    def find(self, tags: Sequence[str]) -> dict[str, str]:
        """See :meth:`.Backend.find`."""
        found = self._tags_in_queue(tags) if tags else {}
        missing = [tag for tag in tags if tag not in found]
        if missing:
            records = client.history(
                f"{ONE_EACH_IN_HISTORY} && {has_tag(missing)}",
                TAG_ATTRIBUTES,
                limit=len(missing),
                timeout_seconds=self._timeout,
            )
            found |= by_tag(records)
        return found

    def cancel(self, handles: Sequence[str]) -> None:
        """See :meth:`.Backend.cancel`; the wrapper gets SIGTERM, and SIGKILL ten minutes later.

        Removal brings no file home: what the running among them have written so far is fetched
        into their folders first (:func:`.running_output.keep`), as far as that succeeds.
        """
        if not handles:
            return
        records = self._to_be_removed(handles)
        # Whoever removes more than these wants to be rid of them.
        if len(jobs_of(handles, records)) <= running_output.JOBS_AT_ONCE:
            running_output.keep(running(handles, records), timeout_seconds=self._timeout)
        delete(handles, records, timeout_seconds=self._timeout)

    def output(self, handle: str, folder: Path, stream: Stream) -> Iterator[bytes]:
        """See :meth:`.Backend.output`; a running job's is fetched from its node (condor_tail)."""
        # condor_tail waits for ever for a job that does not run.
        if self.poll([handle])[handle].condition is Condition.RUNNING:
            written = running_output.fetch(
                handle,
                stream,
                copy_number(folder),
                max_bytes=_SHOWN_BYTES,
                timeout_seconds=self._timeout,
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
        folder: Path,
        number: int = 0,
    ) -> JobShell:
        """See :meth:`.Backend.open_shell`; HTCondor alone knows how to reach the node."""
        from prominence_hpc.backends.htcondor.ssh_to_job import open_shell

        if number:
            msg = "HTCondor leads to the first node of a job alone; --node must be 0 while it runs."
            raise RemoteError(msg)
        here = copy_number(folder) or ""  # of the plan, on the node
        return open_shell(handle, here, timeout_seconds=self._settings.shell_timeout_seconds)

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

    def _to_be_removed(self, handles: Sequence[str]) -> list[dict[str, Any]]:
        """What the queue says of those; nothing where the schedd does not say."""
        attributes = (*RUNNING_ATTRIBUTES, *CLUSTER_ATTRIBUTES)
        try:
            return client.query(with_nodes(handles), attributes, timeout_seconds=self._timeout)
        except BackendError as error:
            log(f"what running jobs have written is not fetched: {error}")
            return []

    def _tags_in_queue(self, tags: Sequence[str]) -> dict[str, str]:
        constraint = f"{ONE_EACH_IN_QUEUE} && {has_tag(tags)}"
        return by_tag(client.query(constraint, TAG_ATTRIBUTES, timeout_seconds=self._timeout))
