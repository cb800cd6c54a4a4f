"""The Slurm backend: renders, runs one command, parses."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prominence_hpc.backends.base import (
    Condition,
    JobShell,
    SchedulerState,
    Stream,
    Submission,
)
from prominence_hpc.backends.command_shell import CommandShell
from prominence_hpc.backends.environment import job_environment
from prominence_hpc.backends.job_folder import read_stream, write_private
from prominence_hpc.backends.run_command import Completed, find_program, run_command
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.backends.slurm import parse, refusals, render
from prominence_hpc.backends.slurm.moldable import (
    TEST_TIME_FORMAT,
    largest_that_starts,
    parse_start,
)
from prominence_hpc.wrappers.job_script import render_job_script

if TYPE_CHECKING:
    from prominence_hpc.backends.ssh.policy import SSHPolicy

__all__ = ["SlurmBackend"]

_ABSENT = SchedulerState(condition=Condition.ABSENT)
# scancel takes ids as arguments: enough for one command line.
_CANCELLED_AT_ONCE = 1000


class SlurmBackend:
    """Jobs in Slurm. Nodes see the job's folder: Slurm's own output files are written there.

    A job starts with :func:`.job_environment` and Slurm's own variables: sbatch is run with
    nothing else, which ``--export=NIL`` (no PATH, no HOME) and ``--export=NONE`` (a login shell
    on the node, and nothing passed on by srun) do not amount to.
    """

    name = "slurm"
    ways: tuple[str, ...] = ("ssh", "srun")
    finds_node = False
    writes_into_folder = True

    def __init__(self, settings: SiteSettings) -> None:
        self._settings = settings

    def submit(self, submission: Submission) -> str:
        """See :meth:`.Backend.submit`; a job that may have several sizes gets one here."""
        submission = largest_that_starts(submission, self._start_of)
        write_private(submission.folder / "job.sh", self.job_script(submission), mode=0o700)
        ended = self._run(render.sbatch_argv(submission))
        handle = parse.parse_job_id(ended.stdout) if ended.returncode == 0 else None
        if handle is None:
            raise refusals.submit_error(ended)
        return handle

    def _start_of(self, submission: Submission) -> float:
        """When a job of this size would start; leaves job.sh of that size."""
        write_private(submission.folder / "job.sh", self.job_script(submission), mode=0o700)
        return parse_start(self._run(render.test_argv(submission), TEST_TIME_FORMAT))

    def job_script(self, submission: Submission) -> str:
        """The text of job.sh; sbatch takes a copy of it, so every path in it is absolute."""
        redirection = ["exec >stdout 2>stderr"] if render.redirects_itself(submission) else []
        return render_job_script(
            render.directives(submission, self._settings),
            [*redirection, *self._settings.prologue],
            str(submission.runner),
            str(submission.folder / "plan.json"),
        )

    def poll(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """See :meth:`.Backend.poll`."""
        if not handles:
            return {}
        known = parse.parse_states(self._ask(render.squeue_argv()))
        return {handle: known.get(handle, _ABSENT) for handle in handles}

    def history(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """See :meth:`.Backend.history`."""
        if not handles:
            return {}
        known = parse.parse_states(self._accounting(handles=handles))
        return {handle: known[handle] for handle in handles if handle in known}

    def find(self, tags: Sequence[str]) -> dict[str, str]:
        """See :meth:`.Backend.find`.

        A job that ended more than MinJobAge ago (a site's setting, 300 s by default) is known to
        accounting alone.
        """
        if not tags:
            return {}
        found = parse.parse_tags(self._ask(render.squeue_argv(tags=True)))
        if not set(tags) <= found.keys():
            found = {**parse.parse_tags(self._accounting(tags=True)), **found}
        return {tag: found[tag] for tag in tags if tag in found}

    def cancel(self, handles: Sequence[str]) -> None:
        """See :meth:`.Backend.cancel`.

        The wrapper gets SIGTERM, as every process of the job does, and SIGKILL after the site's
        KillWait (30 s by default).
        """
        for first in range(0, len(handles), _CANCELLED_AT_ONCE):
            ended = self._run(["scancel", *handles[first : first + _CANCELLED_AT_ONCE]])
            if ended.returncode != 0 and not refusals.is_about_ended_jobs(ended):
                raise refusals.query_error(ended)

    def output(self, handle: str, folder: Path, stream: Stream) -> Iterator[bytes]:  # noqa: ARG002
        """See :meth:`.Backend.output`; the node writes into the folder."""
        return read_stream(folder, stream)

    def open_shell(self, way: str, handle: str, node: str, folder: Path) -> JobShell:
        """See :meth:`.Backend.open_shell`; a step of the job, or ssh to the node."""
        if way == "srun":
            prefix = render.srun_argv(handle, node)
            return CommandShell(f"srun to {node}", str(folder), prefix, self._environment())
        from prominence_hpc.backends.ssh.shell import open_ssh_shell

        return open_ssh_shell(node, str(folder), self._ssh_policy())

    def _ssh_policy(self) -> "SSHPolicy":
        from prominence_hpc.backends.ssh.policy import SSHPolicy

        settings = self._settings
        return SSHPolicy(
            known_hosts_files=_files(settings.ssh_known_hosts),
            host_ca_files=_files(settings.ssh_host_ca),
            timeout_seconds=settings.shell_timeout_seconds,
        )

    def _ask(self, argv: Sequence[str]) -> str:
        ended = self._run(argv)
        if ended.returncode != 0:
            raise refusals.query_error(ended)
        return ended.stdout

    def _accounting(self, *, handles: Sequence[str] = (), tags: bool = False) -> str:
        """What sacct prints; empty where the site has no accounting."""
        if find_program("sacct") is None:
            return ""
        ended = self._run(render.sacct_argv(os.getuid(), handles=handles, tags=tags))
        if ended.returncode == 0:
            return ended.stdout
        if refusals.accounting_is_off(ended):
            return ""
        raise refusals.query_error(ended)

    def _environment(self) -> dict[str, str]:
        environment = job_environment()
        if "SLURM_CONF" in os.environ:
            environment["SLURM_CONF"] = os.environ["SLURM_CONF"]
        return environment

    def _run(self, argv: Sequence[str], more: Mapping[str, str] | None = None) -> Completed:
        environment = {**self._environment(), **(more or {})}
        if argv[0] != "sbatch":  # whose environment is the job's
            environment["SLURM_TIME_FORMAT"] = "%s"
        return run_command(
            argv,
            timeout_seconds=self._settings.command_timeout_seconds,
            environment=environment,
        )


def _files(path: str | None) -> tuple[Path, ...]:
    return (Path(path).expanduser(),) if path else ()
