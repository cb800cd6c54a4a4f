"""Getting to the node of a running job: by the ways that its site has, in the right order."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prominence_hpc.adapter.remote.target import Target, find_running
from prominence_hpc.adapter.remote.visit import Visit, begin
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.backends.run_command import log
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import (
    BackendError,
    ConfigError,
    HostKeyError,
    NotReadyError,
    RemoteError,
)

__all__ = ["order_of", "reach", "visit_job"]

# A job that has only just begun may have no way in for some seconds: its wrapper starts, and
# HTCondor's node reports to the pool.
READY_SECONDS = 30.0
PAUSE_SECONDS = 0.3


@contextmanager
def visit_job(workspace: Workspace, job_id: int, node_number: int = 0) -> Iterator[Visit]:
    """A visit to one node of a running job, closed at the end; see :func:`reach` for what it raises."""
    target = find_running(workspace, job_id, node_number, surely=False)
    with reach(workspace, target) as visit:
        yield visit


def reach(workspace: Workspace, target: Target) -> Visit:
    """The node's hello, by the first way that gives it; it is remembered for the site.

    RemoteError names every way that was tried, and why it failed. ConflictError where the job has
    ended meanwhile.
    """
    settings = workspace.config.site(target.record.site)
    remembered = workspace.store.remembered_way(settings.name)
    ways = order_of(target.backend.ways, settings, remembered)
    deadline = time.monotonic() + READY_SECONDS
    while True:
        failures: dict[str, RemoteError] = {}
        for way in ways:
            try:
                visit = try_way(target, way, settings)
            except NotReadyError as error:
                failures[way] = error
                break  # it was reached: another way would find no more
            except RemoteError as error:
                log(f"{way}: {error}")
                failures[way] = error
            else:
                if not settings.shell and len(ways) > 1 and way != remembered:
                    workspace.store.remember_way(settings.name, way)
                # Another way led there, and yet: this one may be somebody's attack.
                visit.warnings += [
                    f"{error} {visit.way} is used instead."
                    for error in failures.values()
                    if isinstance(error, HostKeyError)
                ]
                return visit
        if not is_worth_waiting(failures) or time.monotonic() > deadline:
            raise unreachable(workspace, target, failures)
        time.sleep(PAUSE_SECONDS)
        target = find_running(workspace, target.record.id, target.node_number)


def order_of(
    ways: Sequence[str], settings: SiteSettings, remembered: str | None
) -> tuple[str, ...]:
    """The site's own order; else the way that worked last, and then the others.

    ConfigError where the site names a way that its backend does not have.

    >>> order_of(("ssh", "srun"), SiteSettings(name="x", backend="slurm"), "srun")
    ('srun', 'ssh')
    """
    for way in settings.shell:
        if way not in ways:
            msg = (
                f"sites.{settings.name}.shell: a site of {settings.backend} has no way {way!r}; "
                f"there is {', '.join(ways)}."
            )
            raise ConfigError(msg)
    if settings.shell:
        return settings.shell
    return tuple(sorted(ways, key=lambda way: way != remembered))


def try_way(target: Target, way: str, settings: SiteSettings) -> Visit:
    try:
        shell = target.backend.open_shell(
            way, target.handle, target.node, target.folder, target.node_number
        )
        return begin(shell, settings.shell_timeout_seconds)
    except BackendError as error:  # a program that is not installed
        raise RemoteError(str(error)) from error


def is_worth_waiting(failures: dict[str, RemoteError]) -> bool:
    return any(isinstance(error, NotReadyError) for error in failures.values())


def unreachable(
    workspace: Workspace, target: Target, failures: dict[str, RemoteError]
) -> Exception:
    """Why no way led there: because the job has ended, or each way's own reason."""
    find_running(workspace, target.record.id, target.node_number)
    reasons = "; ".join(f"{way}: {str(error).rstrip('.')}" for way, error in failures.items())
    where = f"node {target.node} of job" if target.node else "node of job"
    return RemoteError(f"The {where} {target.record.id} cannot be reached. Tried {reasons}.")
