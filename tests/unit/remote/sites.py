"""A workspace with one site, whose scheduler and whose ways to its nodes a test has written."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prominence_hpc.adapter.config.load import Config
from prominence_hpc.adapter.storage.base import StorageSettings
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.state_folder import job_folder, make_job_folder
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.backends.base import Backend, Condition, JobShell, SchedulerState
from prominence_hpc.backends.settings import ShellWay, SiteSettings
from tests.unit.remote.scripted import Scripted
from tests.unit.verdict.test_refresh import ScriptedBackend, write_report


def is_running(*nodes: str) -> SchedulerState:
    return SchedulerState(
        condition=Condition.RUNNING, start_time=time.time() - 10, nodes=nodes or ("n1",)
    )


def is_queued(reason: str = "") -> SchedulerState:
    return SchedulerState(condition=Condition.QUEUED, reason=reason)


@dataclass
class Site(ScriptedBackend):
    """``shells``: by way, what opening one gives, one after the other; an exception is raised."""

    ways: tuple[str, ...] = ("ssh", "srun")
    shells: dict[str, list[Scripted | Exception]] = field(default_factory=dict)
    opened: list[tuple[str, str, str]] = field(default_factory=list)
    folders: set[Path] = field(default_factory=set)
    on_open: Callable[[], None] = lambda: None

    def open_shell(
        self,
        way: str,
        handle: str,
        node: str,
        folder: Path,
        number: int = 0,  # noqa: ARG002
    ) -> JobShell:
        self.opened.append((way, handle, node))
        self.folders.add(folder)
        self.on_open()
        shell = self.shells[way].pop(0)
        if isinstance(shell, Exception):
            raise shell
        shell.way = f"{way} to {node}"
        return shell


def workspace_of(backend: Backend, state: Path, ways: tuple[ShellWay, ...] = ()) -> Workspace:
    """``ways``: those that the site has configured."""
    site = SiteSettings(name="here", backend="slurm", shell=ways)
    config = Config(
        default_site="here", sites={"here": site}, storage=StorageSettings(), user="u", origins={}
    )
    workspace = Workspace(config, state)
    workspace._backends["here"] = backend
    return workspace


def new_job(workspace: Workspace, handle: str | None = "4711") -> JobRecord:
    record = workspace.store.create_intent(site="here", backend="slurm")
    make_job_folder(workspace.state, record.id)
    return record if handle is None else workspace.store.record_handle(record.id, handle)


def folder_of(workspace: Workspace, record: JobRecord) -> Path:
    return job_folder(workspace.state, record.id)


def end(workspace: Workspace, record: JobRecord, **fields: Any) -> None:
    """The wrapper's last word, and the scheduler's: it has forgotten the job."""
    now = time.time()
    backend = workspace.backend("here")
    assert isinstance(backend, Site)
    write_report(
        workspace.store,
        record,
        **{"start_time": now - 5, "update_time": now, "end_time": now, **fields},
    )
    backend.queue.pop(record.handle or "", None)


def handles(opened: Sequence[tuple[str, str, str]]) -> list[str]:
    """Which ways were tried."""
    return [way for way, _, _ in opened]
