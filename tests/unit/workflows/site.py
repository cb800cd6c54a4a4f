"""A site whose scheduler is a folder, and what is asked of it: the subject is our own handling."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prominence_hpc.adapter.config.load import Config
from prominence_hpc.adapter.storage.base import StorageSettings
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.backends.base import Backend, Condition, Graph, SchedulerState, Submission
from prominence_hpc.backends.settings import BackendName, SiteSettings
from prominence_hpc.errors import BackendError
from tests.unit.submission.fake_scheduler import FakeBackend


@dataclass
class FakeCluster(FakeBackend):
    """Takes sweeps and dependencies; refuses the part whose name is ``refused``; ends as ``ends`` says."""

    most: int | None = None
    refused: str | None = None
    runs_graphs: bool = False

    def submit(self, submission: Submission) -> str:
        if self.refused and submission.name.endswith(f"/{self.refused}"):
            msg = "Invalid partition."
            raise BackendError(msg)
        handle = super().submit(submission)
        copies = submission.copies
        asked = {
            "name": submission.name,
            "job_id": submission.job_id,
            "first": None if copies is None else copies.first,
            "count": None if copies is None else copies.count,
            "after": list(submission.after),
        }
        (self.folder / f"{handle}.asked").write_text(json.dumps(asked))
        return handle

    def asked(self) -> dict[str, Any]:
        """What was asked for, by handle."""
        return {path.stem: json.loads(path.read_text()) for path in self.folder.glob("*.asked")}

    def most_copies(self, submission: Submission) -> int | None:  # noqa: ARG002
        return self.most

    def copy_handle(self, handle: str, number: int) -> str:
        return f"{handle}_{number}"

    def submit_graph(self, graph: Graph) -> str:
        nodes = {node.name: list(node.parents) for node in graph.nodes}
        (self.folder / "graph").write_text(json.dumps(nodes))
        return self._take(graph.tag)

    def graph_handles(self, folder: Path) -> dict[str, str]:
        path = folder / "handles"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def end(self, handle: str, state: SchedulerState) -> None:
        """From now on the queue says this of a handle."""
        (self.folder / f"{handle}.state").write_text(state.cause.name)
        self.states = {**getattr(self, "states", {}), handle: state}

    def poll(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        self._answer()
        states: dict[str, SchedulerState] = getattr(self, "states", {})
        queued = SchedulerState(condition=Condition.QUEUED)
        return {handle: states.get(handle, queued) for handle in handles}


def workspace_at(
    folder: Path, cluster: Backend, *, backend: BackendName = "slurm", **settings: Any
) -> Workspace:
    """A workspace of its own, with one site that is ``cluster``."""
    site = SiteSettings(name="here", backend=backend, **settings)
    config = Config(
        default_site="here",
        sites={"here": site},
        storage=StorageSettings(type="folder", path=str(folder / "storage")),
        user="alice",
        origins={},
    )
    state = folder / "state"
    state.mkdir(exist_ok=True)
    workspace = Workspace(config, state)
    workspace._backends["here"] = cluster
    return workspace


def cluster_at(folder: Path, **kwargs: Any) -> FakeCluster:
    scheduler = folder / "scheduler"
    scheduler.mkdir(exist_ok=True)
    return FakeCluster(scheduler, **kwargs)


def job(name: str, cmd: str = "true", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "tasks": [{"image": "/images/x.sif", "cmd": cmd}],
        "resources": {"memory": 1},
        **more,
    }


def sweep(*jobs: str, end: int = 4) -> dict[str, Any]:
    parameter = {"name": "x", "start": 0, "end": end, "step": 1}
    return {
        "type": "parameterSweep",
        "name": "f",
        "jobs": list(jobs),
        "parameters": [parameter],
    }


# prepare -> many (5 copies) -> merge
DOCUMENT: dict[str, Any] = {
    "name": "w",
    "jobs": [
        job("merge", "cat out"),
        job("many", "echo $x", outputFiles=["out-$x.txt"]),
        job("prepare"),
    ],
    "dependencies": {"prepare": ["many"], "many": ["merge"]},
    "factories": [sweep("many")],
}


__all__ = [
    "DOCUMENT",
    "FakeCluster",
    "cluster_at",
    "job",
    "sweep",
    "workspace_at",
]
