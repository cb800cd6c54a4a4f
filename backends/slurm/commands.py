"""Slurm through its commands: ``sbatch``, ``squeue``, ``sacct`` and ``scancel``."""

import os
import time
from collections.abc import Mapping, Sequence

from prominence_hpc.backends.base import SchedulerState, Submission
from prominence_hpc.backends.environment import job_environment
from prominence_hpc.backends.run_command import (
    Completed,
    find_program,
    run_command,
    run_until_said,
)
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.backends.slurm import parse, queries, refusals, render
from prominence_hpc.errors import BackendError, BackendUnavailable

__all__ = ["Commands", "slurm_environment"]

# Times in seconds since the epoch; indices of arrays however many there are, not their first 64 characters.
_WHOLE_ANSWERS = {"SLURM_TIME_FORMAT": "%s", "SLURM_BITSTR_LEN": "0"}

# sbatch asks a controller that is too busy anew for two minutes, without a word. We do it for as long as
# a user may be kept waiting.
_PAUSES_SECONDS = (1, 2, 4, 8)


class Commands:
    """See :class:`.Transport`: runs one command, parses.

    A job starts with :func:`.job_environment` and Slurm's own variables: sbatch is run with
    nothing else, which ``--export=NIL`` (no PATH, no HOME) and ``--export=NONE`` (a login shell
    on the node, and nothing passed on by srun) do not amount to.
    """

    def __init__(self, settings: SiteSettings) -> None:
        self._settings = settings
        self._most_copies: int | None = None

    def submit(self, submission: Submission) -> str:
        """See :meth:`.Transport.submit`."""
        for pause_seconds in (*_PAUSES_SECONDS, None):
            ended = run_until_said(
                render.sbatch_argv(submission),
                refusals.NO_ROOM,
                timeout_seconds=self._settings.command_timeout_seconds,
                environment=slurm_environment(),
            )
            handle = parse.parse_job_id(ended.stdout) if ended.returncode == 0 else None
            if handle is None and refusals.has_no_room(ended):
                # sbatch was stopped before it asked again, unless it has been quicker.
                handle = self.find([submission.tag]).get(submission.tag)
            if handle is not None:
                return handle
            if pause_seconds is None or not refusals.is_busy(ended):
                break
            time.sleep(pause_seconds)
        raise refusals.submit_error(ended)

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

    def states(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """See :meth:`.Transport.states`; one call for any number."""
        return parse.parse_queue(self._ask(queries.squeue_argv()), handles)

    def history(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """See :meth:`.Transport.history`."""
        return parse.parse_history(self._accounting(handles=handles), handles)

    def find(self, tags: Sequence[str]) -> dict[str, str]:
        """See :meth:`.Transport.find`.

        A job that ended more than MinJobAge ago (a site's setting, 300 s by default) is known to
        accounting alone.
        """
        found = parse.parse_tags(self._ask(queries.squeue_argv(tags=True)))
        if not set(tags) <= found.keys():
            found = {**parse.parse_tags(self._accounting(tags=True)), **found}
        return found

    def cancel(self, handles: Sequence[str]) -> None:
        """See :meth:`.Transport.cancel`."""
        for argv in queries.scancel_argvs(handles):
            ended = self.run(argv)
            if ended.returncode != 0 and not refusals.is_about_ended_jobs(ended):
                raise refusals.query_error(ended)

    def most_copies(self) -> int:
        """See :meth:`.Transport.most_copies`; asked once."""
        if self._most_copies is None:
            self._most_copies = parse.parse_most_copies(self._ask(queries.CONFIG_ARGV))
        return self._most_copies

    def run(self, argv: Sequence[str], more: Mapping[str, str] | None = None) -> Completed:
        """One of Slurm's commands, with the little environment that it needs, and ``more``."""
        environment = {**slurm_environment(), **(more or {})}
        if argv[0] != "sbatch":  # whose environment is the job's
            environment |= _WHOLE_ANSWERS
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
        ended = self.run(queries.sacct_argv(os.getuid(), handles=handles, tags=tags))
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
