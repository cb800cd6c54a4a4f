"""Workflows that an engine runs by itself: which of their jobs it has given to the queue by now."""

from collections.abc import Iterable

from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.state_folder import workflow_folder
from prominence_hpc.adapter.workflows.submit import node_name
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.errors import ConfigError

__all__ = ["adopt_graphs"]


def adopt_graphs(workspace: Workspace, records: Iterable[JobRecord]) -> None:
    """Record the handles of submissions that engines have made since; without a call to any."""
    waiting = {
        record.workflow: record.site
        for record in records
        if record.graph is not None and record.handle is None and record.workflow is not None
    }
    store = workspace.store.workflows
    for workflow_id, site in waiting.items():
        try:
            backend = workspace.backend(site)
        except ConfigError:
            continue  # the refresh tells of it
        known = backend.graph_handles(workflow_folder(workspace.state, workflow_id))
        handles = {
            batch.id: known[node_name(batch)]
            for batch in store.batches(workflow_id)
            if batch.handle is None and node_name(batch) in known
        }
        if handles:
            store.record_batches(workflow_id, handles, backend.copy_handle)
