"""What is asked of pyslurm, in a child process: plain data in and out.

https://pyslurm.github.io; pyslurm loads Slurm's own library, libslurmfull, which logs to standard
error, ends the process where it finds no slurm.conf, and waits for controllers for minutes.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["serve_in"]

_INVALID_JOB_ID = 2017  # ESLURM_INVALID_JOB_ID
_HISTORY_SECONDS = 90 * 24 * 3600  # as queries.HISTORY_START says to sacct

Request = Mapping[str, Any]


def serve_in(environment: Mapping[str, str]) -> Callable[[Request], Mapping[str, Any]]:
    """What a :class:`.BoundedChild` serves: the first request imports pyslurm.

    An answer is ``{"answer": …}``; ``{"error": …}`` with Slurm's words; ``{"inexpressible": …}`` where
    pyslurm could not even write down what was wanted, and Slurm was not asked; or ``{"missing": …}``
    where there is no pyslurm.
    """
    library: list[Any] = []

    def serve(request: Request) -> Mapping[str, Any]:
        if not library:
            _be_quiet()
            os.environ.clear()  # pyslurm gives a job every variable whose name begins with SLURM_
            os.environ.update(environment)
            try:
                library.append(_import())
            except ImportError as error:
                return {"missing": str(error)}
        return _answer(library[0], request)

    return serve


def _answer(pyslurm: Any, request: Request) -> Mapping[str, Any]:
    verb = _VERBS[request["verb"]]
    try:
        return {"answer": verb(pyslurm, request)}
    except pyslurm.PyslurmError as error:
        return {"error": str(error)}
    except (ValueError, TypeError, OverflowError) as error:
        return {"inexpressible": str(error)}


def _be_quiet() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)


def _import() -> Any:
    import pyslurm

    return pyslurm


def _about(pyslurm: Any, _: Request) -> Mapping[str, Any]:
    """What decides whether, and for what, pyslurm is used; the controller is asked."""
    from pyslurm.deprecated import slurm_api_version

    config = pyslurm.slurmctld.Config.load()
    return {
        "pyslurm": pyslurm.__version__,
        "headers": list(slurm_api_version()),  # of the Slurm that it was built for
        "controller": config.version,
        "has_accounting": bool(config.accounting_storage_type),
        "keeps_comments": "JOB_COMMENT" in config.accounting_store_flags,
        "cli_filters": list(config.cli_filter_plugins),
        "plugstack": config.plugin_stack_config,
    }


def _submit(pyslurm: Any, request: Request) -> str:
    # Left out or empty, these become "no value", which Slurm takes as every kind; an iterator that is at
    # its end becomes none.
    kinds = {"mail_types": iter(()), "profile_types": iter(())}
    description = pyslurm.JobSubmitDescription(**{**kinds, **request["attributes"]})
    return str(description.submit())


def _states(pyslurm: Any, request: Request) -> list[str]:
    """A line for each of the user's jobs, as :func:`.parse.parse_queue` reads it."""
    jobs = (_job(pyslurm, handle) for handle in request["handles"])
    ours = (job for job in jobs if job is not None and job.user_id == os.getuid())
    return [_queue_line(job) for job in ours]


def _job(pyslurm: Any, handle: str) -> Any:
    try:
        return pyslurm.Job.load(int(handle))
    except pyslurm.RPCError as error:
        if error.errno == _INVALID_JOB_ID:
            return None
        raise


def _history(pyslurm: Any, request: Request) -> list[str]:
    chosen = pyslurm.db.JobFilter(
        ids=[int(handle) for handle in request["handles"]],
        users=[os.getuid()],
        start_time=int(time.time()) - _HISTORY_SECONDS,
    )
    jobs: Iterable[Any] = pyslurm.db.Jobs.load(chosen).values()
    return [_history_line(job) for job in jobs]


def _queue_line(job: Any) -> str:
    known = _known(job, job.state, job.allocated_nodes)
    return f"{job.id}|N/A|{job.requeue_count or 0}|{known}|{job.state_reason or ''}"


def _history_line(job: Any) -> str:
    state = f"{job.state} by {job.cancelled_by}" if job.cancelled_by else job.state
    known = _known(job, state, job.nodelist)
    return f"{job.id}|{known}|{job.eligible_time or 0}|{job.state_reason or ''}"


def _known(job: Any, state: str, nodes: str | None) -> str:
    times = f"{job.start_time or 0}|{job.end_time or 0}"
    return f"{state}|{times}|{job.exit_code}:{job.exit_code_signal}|{nodes or ''}"


def _cancel(pyslurm: Any, request: Request) -> list[str]:
    for handle in request["handles"]:
        pyslurm.Job(int(handle)).cancel()
    return list(request["handles"])


_VERBS: Mapping[str, Callable[[Any, Request], Any]] = {
    "about": _about,
    "submit": _submit,
    "states": _states,
    "history": _history,
    "cancel": _cancel,
}
