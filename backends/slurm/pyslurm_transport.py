"""Slurm through pyslurm, where that does as well as the commands; where it does not, by them."""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from prominence_hpc.backends.base import SchedulerState, Submission
from prominence_hpc.backends.bounded import ChildEnded
from prominence_hpc.backends.run_command import Completed, log
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.backends.slurm import parse, refusals, render
from prominence_hpc.backends.slurm.commands import Commands, slurm_environment
from prominence_hpc.backends.slurm.description import attributes, inexpressible_options
from prominence_hpc.backends.slurm.session import (
    About,
    InexpressibleError,
    Misfit,
    Session,
    SlurmRefusal,
)
from prominence_hpc.backends.slurm.spank import has_spank_plugins
from prominence_hpc.errors import BackendUnavailable, ConfigError

__all__ = ["Pyslurm"]

# For what is asked before anything is done: whether pyslurm is of use. The commands can do without it.
_LOOK_SECONDS = 5.0
# pyslurm asks for one job, or for everybody's, and of an array for its last; the commands for all of
# the user's own.
_ASKED_SINGLY = 16
DIRECTIVES = "the site's directives are options of sbatch"
# A job that ended by itself with a code other than 0. pyslurm takes 128 from codes beyond 127: which
# of the two it was, squeue and sacct know.
_FAILED = re.compile(r"\d+\|(?:N/A\|\d+\|)?FAILED\|[^|]*\|[^|]*\|\d+:0\|")


class Pyslurm:
    """See :class:`.Transport`. A submission that was not answered in time is never made again.

    Questions that pyslurm cannot put, or that Slurm answers with an error, are put by the commands,
    whose words on errors are clear.
    """

    def __init__(self, settings: SiteSettings, commands: Commands) -> None:
        self._settings = settings
        self._commands = commands
        self._session = Session()

    def submit(self, submission: Submission) -> str:
        """See :meth:`.Transport.submit`; by sbatch where only sbatch can."""
        deadline = self._deadline()
        options = {
            **render.directive_options(submission, self._settings),
            **render.argument_options(submission),
        }
        why = self._why_by_sbatch(options, deadline)
        if why is None and submission.preemptible and self._settings.preemptible_directives:
            why = DIRECTIVES
        if why is None:
            told = attributes(options, submission.folder / "job.sh", slurm_environment())
            try:
                return self._submit(submission, told, deadline)
            except InexpressibleError as error:
                why = f"pyslurm cannot: {error}"
        log(f"sbatch submits, as {why}")
        return self._commands.submit(submission)

    def states(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """See :meth:`.Transport.states`."""
        lines = self._lines("states", handles)
        if lines is None:
            return self._commands.states(handles)
        return parse.parse_queue(lines, handles)

    def history(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """See :meth:`.Transport.history`."""
        lines = self._lines("history", handles)
        if lines is None:
            return self._commands.history(handles)
        return parse.parse_history(lines, handles)

    def find(self, tags: Sequence[str]) -> dict[str, str]:
        """See :meth:`.Transport.find`; of all the user's jobs, and so by the commands."""
        return self._commands.find(tags)

    def cancel(self, handles: Sequence[str]) -> None:
        """See :meth:`.Transport.cancel`."""
        if not self._asked("cancel", handles):
            self._commands.cancel(handles)

    def most_copies(self) -> int:
        """See :meth:`.Transport.most_copies`; asked once, of the command."""
        return self._commands.most_copies()

    def versions(self) -> str:
        """What fits what, for people. Misfit where nothing does; BackendUnavailable."""
        about = self._look()
        return f"pyslurm {about.pyslurm} fits the controller's {about.controller}"

    def why_sbatch(self) -> str | None:
        """Why this site's jobs are submitted by sbatch all the same, if so; without the job's own reasons."""
        return self._why_of_site(self._look())

    def _submit(self, submission: Submission, told: Mapping[str, Any], deadline: float) -> str:
        try:
            return str(self._session.ask({"verb": "submit", "attributes": told}, deadline))
        except ChildEnded as error:
            msg = "pyslurm ended without saying whether Slurm took the job."
            raise BackendUnavailable(msg) from error
        except SlurmRefusal as error:
            said = Completed(("pyslurm",), 1, "", f"pyslurm: error: {error}")
            refusal = refusals.submit_error(said)
            if not isinstance(refusal, BackendUnavailable):
                refusal = self._commands.why_refused(submission, refusal)
            raise refusal from error

    def _why_by_sbatch(self, options: Mapping[str, str], deadline: float) -> str | None:
        try:
            about = self._usable(deadline)
        except SlurmRefusal as error:
            return f"pyslurm got no answer: {error}"
        if (why := self._why_of_site(about)) is not None:
            return why
        if names := inexpressible_options(options):
            return f"pyslurm is not told of {', '.join(f'--{name}' for name in names)}"
        return None

    def _why_of_site(self, about: About) -> str | None:
        if self._settings.directives or self._settings.disk_option is not None:
            return DIRECTIVES
        if about.cli_filters:
            return f"the site's command filters ({', '.join(about.cli_filters)}) act within sbatch"
        if has_spank_plugins(about.plugstack):
            return "the site has SPANK plugins, which may act within sbatch"
        if about.has_accounting and not about.keeps_comments:
            return "accounting keeps sbatch's command line, and no comments (AccountingStoreFlags)"
        return None

    def _lines(self, verb: str, handles: Sequence[str]) -> str | None:
        """A line for each job; None where the commands must be asked."""
        lines = self._asked(verb, handles)
        return None if lines is None or any(map(_FAILED.match, lines)) else "\n".join(lines)

    def _asked(self, verb: str, handles: Sequence[str]) -> list[str] | None:
        """The answer; None where the commands must be asked."""
        if len(handles) > _ASKED_SINGLY or any("_" in handle for handle in handles):
            return None
        deadline = self._deadline()
        try:
            self._usable(deadline)
            answer: list[str] = self._session.ask(
                {"verb": verb, "handles": list(handles)}, deadline
            )
        except (SlurmRefusal, InexpressibleError, ChildEnded) as error:
            log(f"the commands are asked, as pyslurm says {error!r}")
            return None
        return answer

    def _look(self) -> About:
        return self._about(min(self._deadline(), time.monotonic() + _LOOK_SECONDS))

    def _usable(self, deadline: float) -> About:
        try:
            return self._about(deadline)
        except Misfit as error:
            msg = (
                f'Site {self._settings.name} has slurm_transport = "pyslurm": {error}; install one '
                'that fits, or set slurm_transport to "commands" or "auto".'
            )
            raise ConfigError(msg) from error

    def _about(self, deadline: float) -> About:
        return self._session.about(deadline)

    def _deadline(self) -> float:
        return time.monotonic() + self._settings.command_timeout_seconds
