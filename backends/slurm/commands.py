"""Slurm through its commands: ``sbatch``, ``squeue``, ``sacct`` and ``scancel``."""

import os
from collections.abc import Mapping, Sequence

from prominence_hpc.backends.base import SchedulerState, Submission
from prominence_hpc.backends.environment import job_environment
from prominence_hpc.backends.run_command import Completed, find_program, run_command
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.backends.slurm import parse, refusals, render
from prominence_hpc.errors import BackendError, BackendUnavailable

__all__ = ["Commands", "slurm_environment"]

# scancel takes ids as arguments: enough for one command line.
_CANCELLED_AT_ONCE = 1000


class Commands:
    """See :class:`.Transport`: runs one command, parses.

    A job starts with :func:`.job_environment` and Slurm's own variables: sbatch is run with
    nothing else, which ``--export=NIL`` (no PATH, no HOME) and ``--export=NONE`` (a login shell
    on the node, and nothing passed on by srun) do not amount to.
    """

    def __init__(self, settings: SiteSettings) -> None:
        self._settings = settings

    def submit(self, submission: Submission) -> str:
        """See :meth:`.Transport.submit`."""
        ended = self.run(render.sbatch_argv(submission))
        handle = parse.parse_job_id(ended.stdout) if ended.returncode == 0 else None
        if handle is None:
            raise refusals.submit_error(ended)
        return handle

    def why_refused(self, submission: Submission, refusal: BackendError) -> BackendError:
        """sbatch's own words on a job that Slurm has refused, where it has any: nothing is submitted.

        What a site's job_submit plugin tells the user, and which partition it is that is not there,
        come to sbatch alone.
        """
        try:
            ended = self.run(render.test_argv(submission))
        except BackendError:
            return refusal
        said = refusals.submit_error(ended) if ended.returncode != 0 else refusal
        return refusal if isinstance(said, BackendUnavailable) else said

    def states(self, handles: Sequence[str]) -> dict[str, SchedulerState]:  # noqa: ARG002
        """See :meth:`.Transport.states`; one call for any number."""
        return parse.parse_queue(self._ask(render.squeue_argv()))

    def history(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """See :meth:`.Transport.history`."""
        return parse.parse_states(self._accounting(handles=handles))

    def find(self, tags: Sequence[str]) -> dict[str, str]:
        """See :meth:`.Transport.find`.

        A job that ended more than MinJobAge ago (a site's setting, 300 s by default) is known to
        accounting alone.
        """
        found = parse.parse_tags(self._ask(render.squeue_argv(tags=True)))
        if not set(tags) <= found.keys():
            found = {**parse.parse_tags(self._accounting(tags=True)), **found}
        return found

    def cancel(self, handles: Sequence[str]) -> None:
        """See :meth:`.Transport.cancel`."""
        for first in range(0, len(handles), _CANCELLED_AT_ONCE):
            ended = self.run(["scancel", *handles[first : first + _CANCELLED_AT_ONCE]])
            if ended.returncode != 0 and not refusals.is_about_ended_jobs(ended):
                raise refusals.query_error(ended)

    def run(self, argv: Sequence[str], more: Mapping[str, str] | None = None) -> Completed:
        """One of Slurm's commands, with the little environment that it needs, and ``more``."""
        environment = {**slurm_environment(), **(more or {})}
        if argv[0] != "sbatch":  # whose environment is the job's
            environment["SLURM_TIME_FORMAT"] = "%s"
        return run_command(
            argv,
            timeout_seconds=self._settings.command_timeout_seconds,
            environment=environment,
        )

    def _ask(self, argv: Sequence[str]) -> str:
        ended = self.run(argv)
        if ended.returncode != 0:
            raise refusals.query_error(ended)
        return ended.stdout

    def _accounting(self, *, handles: Sequence[str] = (), tags: bool = False) -> str:
        """What sacct prints; empty where the site has no accounting."""
        if find_program("sacct") is None:
            return ""
        ended = self.run(render.sacct_argv(os.getuid(), handles=handles, tags=tags))
        if ended.returncode == 0:
            return ended.stdout
        if refusals.accounting_is_off(ended):
            return ""
        raise refusals.query_error(ended)


def slurm_environment() -> dict[str, str]:
    """A job's environment, and where the user has said that slurm.conf is."""
    environment = job_environment()
    if "SLURM_CONF" in os.environ:
        environment["SLURM_CONF"] = os.environ["SLURM_CONF"]
    return environment
