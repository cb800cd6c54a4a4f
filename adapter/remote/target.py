"""Which job is meant, on which of its nodes, and whether it runs at all."""

from dataclasses import dataclass
from pathlib import Path

from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.state_folder import folder_of
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.backends.base import Backend, Condition
from prominence_hpc.errors import ConflictError, UsageError

__all__ = ["Target", "check_node", "find_running", "not_running"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A running job and one of its nodes."""

    record: JobRecord
    backend: Backend
    handle: str
    node: str  # its name, as the scheduler has it
    node_number: int
    folder: Path  # the job's, here


def find_running(
    workspace: Workspace, job_id: int, node_number: int = 0, *, surely: bool = True
) -> Target:
    """The job, by one question to its scheduler.

    ``surely``: else a job that was seen running is taken to run still, where the way to it will tell.
    NotFoundError where there is none, ConflictError where it does not run (any more, or yet),
    UsageError where it has no such node.
    """
    record = workspace.store.get(job_id)
    if record.final or record.deleted or record.handle is None:
        raise not_running(workspace, job_id)
    backend = workspace.backend(record.site)
    if not surely and record.status == "running" and backend.finds_node and node_number == 0:
        return _target(workspace, record, record.handle, "", 0)
    state = backend.poll([record.handle])[record.handle]
    if state.condition is not Condition.RUNNING:
        raise not_running(workspace, job_id)
    # HTCondor may name the node a moment after it says that the job runs.
    nodes = state.nodes or ("",)
    check_node(job_id, node_number, len(nodes))
    return _target(workspace, record, record.handle, nodes[node_number], node_number)


def _target(
    workspace: Workspace, record: JobRecord, handle: str, node: str, node_number: int
) -> Target:
    return Target(
        record=record,
        backend=workspace.backend(record.site),
        handle=handle,
        node=node,
        node_number=node_number,
        folder=folder_of(workspace.state, record),
    )


def check_node(job_id: int, number: int, nodes: int) -> None:
    """UsageError where a job of so many nodes has none of this number."""
    if 0 <= number < nodes:
        return
    have = (
        "1 node: --node can only be 0"
        if nodes == 1
        else f"{nodes} nodes: --node is 0 to {nodes - 1}"
    )
    msg = f"Job {job_id} runs on {have}."
    raise UsageError(msg)


def not_running(workspace: Workspace, job_id: int) -> ConflictError:
    """Why nothing can be done in the job, as of now."""
    from prominence_hpc.adapter.jobs import up_to_date  # 15 ms that a job which runs does not need

    record = up_to_date(workspace, [job_id]).records[0]
    reason = f" ({record.status_reason})" if record.status_reason else ""
    if record.final:
        return ConflictError(f"Job {job_id} has ended: it is {record.status}{reason}.")
    if record.deleted:
        return ConflictError(f"Job {job_id} is being deleted.")
    if record.status == "running":
        return ConflictError(f"Job {job_id} is starting or ending just now{reason}; try again.")
    return ConflictError(f"Job {job_id} is {record.status}{reason}: nothing runs in it yet.")
