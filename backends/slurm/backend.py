"""The Slurm backend: writes job.sh, and leaves what is said to Slurm to a :mod:`.transport`."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prominence_hpc.backends.abilities import NoGraphs
from prominence_hpc.backends.base import (
    Condition,
    JobShell,
    SchedulerState,
    Stream,
    Submission,
)
from prominence_hpc.backends.command_shell import CommandShell
from prominence_hpc.backends.environment import SYSTEM_PATH
from prominence_hpc.backends.job_folder import node_folder, read_stream, write_private
from prominence_hpc.backends.run_command import find_program
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.backends.slurm import queries, render
from prominence_hpc.backends.slurm.arrays import handle_of
from prominence_hpc.backends.slurm.commands import Commands, slurm_environment
from prominence_hpc.backends.slurm.moldable import (
    TEST_TIME_FORMAT,
    Start,
    largest_that_starts,
    parse_start,
)
from prominence_hpc.backends.slurm.transport import transport_of
from prominence_hpc.errors import BackendError
from prominence_hpc.wrappers.job_script import render_job_script

if TYPE_CHECKING:
    from prominence_hpc.backends.ssh.policy import SSHPolicy

__all__ = ["SlurmBackend"]

_ABSENT = SchedulerState(condition=Condition.ABSENT)


class SlurmBackend(NoGraphs):
    """Jobs in Slurm. Nodes see the job's folder: Slurm's own output files are written there."""

    name = "slurm"
    ways: tuple[str, ...] = ("ssh", "srun")
    finds_node = False
    writes_into_folder = True

    def __init__(self, settings: SiteSettings) -> None:
        self._settings = settings
        self._commands = Commands(settings)
        self._transport = transport_of(settings)

    def submit(self, submission: Submission) -> str:
        """See :meth:`.Backend.submit`; a job that may have several sizes gets one here."""
        submission = largest_that_starts(submission, self._start_of)
        write_private(submission.folder / "job.sh", self.job_script(submission), mode=0o700)
        return self._transport.submit(submission)

    def _start_of(self, submission: Submission) -> Start:
        """When a job of this size would start; leaves job.sh of that size."""
        write_private(submission.folder / "job.sh", self.job_script(submission), mode=0o700)
        return parse_start(self._commands.run(render.test_argv(submission), TEST_TIME_FORMAT))

    def job_script(self, submission: Submission) -> str:
        """The text of job.sh; sbatch takes a copy of it, so every path in it is absolute."""
        redirects = submission.copies is None and render.redirects_itself(submission)
        redirection = ["exec >>stdout 2>>stderr"] if redirects else []
        asks = submission.maximum_retries or (submission.after and submission.queue_limit_seconds)
        path = _path_of_slurm() if asks else []
        return render_job_script(
            render.directives(submission, self._settings),
            [*redirection, *path, *self._settings.prologue],
            str(submission.runner),
            str(submission.folder / "plan.json"),
            copy=None if submission.copies is None else "$1 + SLURM_ARRAY_TASK_ID",
            folder=str(submission.folder),
        )

    def texts(self, submission: Submission) -> dict[str, str]:
        """See :meth:`.Backend.texts`."""
        line = shlex.join(render.sbatch_argv(submission))
        return {"sbatch": line, "job.sh": self.job_script(submission)}

    def most_copies(self, submission: Submission) -> int:  # noqa: ARG002
        """See :meth:`.Backend.most_copies`; BackendError where the site has no arrays at all."""
        most = self._transport.most_copies()
        if not most:
            msg = (
                f"Slurm of site {self._settings.name} runs no job arrays (MaxArraySize is 0): "
                "sweeps cannot be run there."
            )
            raise BackendError(msg)
        return most

    def copy_handle(self, handle: str, number: int) -> str:
        """See :meth:`.Backend.copy_handle`: a job of the array ``handle``."""
        return handle_of(handle, number)

    def poll(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """See :meth:`.Backend.poll`. Of an array's own handle nothing is known: its jobs have states."""
        if not handles:
            return {}
        known = self._transport.states(handles)
        return {handle: known.get(handle, _ABSENT) for handle in handles}

    def history(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """See :meth:`.Backend.history`."""
        if not handles:
            return {}
        known = self._transport.history(handles)
        return {handle: known[handle] for handle in handles if handle in known}

    def find(self, tags: Sequence[str]) -> dict[str, str]:
        """See :meth:`.Backend.find`."""
        if not tags:
            return {}
        found = self._transport.find(tags)
        return {tag: found[tag] for tag in tags if tag in found}

    def cancel(self, handles: Sequence[str]) -> None:
        """See :meth:`.Backend.cancel`.

        The wrapper gets SIGTERM, as every process of the job does, and SIGKILL after the site's
        KillWait (30 s by default).
        """
        if handles:
            self._transport.cancel(handles)

    def output(self, handle: str, folder: Path, stream: Stream) -> Iterator[bytes]:  # noqa: ARG002
        """See :meth:`.Backend.output`; the node writes into the folder."""
        return read_stream(folder, stream)

    def open_shell(
        self, way: str, handle: str, node: str, folder: Path, number: int = 0
    ) -> JobShell:
        """See :meth:`.Backend.open_shell`; a step of the job, or ssh to the node."""
        if number:
            folder = node_folder(folder, number)
        if way == "srun":
            prefix = queries.srun_argv(handle, node)
            return CommandShell(f"srun to {node}", str(folder), prefix, slurm_environment())
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


def _path_of_slurm() -> list[str]:
    """A line that lets the node find scontrol, where Slurm's programs are in a place of their own."""
    sbatch = find_program("sbatch")
    folder = "" if sbatch is None else str(Path(sbatch).parent)
    if not folder or folder in SYSTEM_PATH.split(":"):
        return []
    return [f'export PATH="$PATH":{shlex.quote(folder)}']


def _files(path: str | None) -> tuple[Path, ...]:
    return (Path(path).expanduser(),) if path else ()
