"""How Slurm is spoken to: what each way can do, and which one a site uses.

Both ways do the same. The commands are everywhere. pyslurm calls Slurm's own library: a call costs a
fraction of a command's time, but the library must have been imported first, which takes as long as
several commands, and it must fit the site's Slurm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

from prominence_hpc.backends.base import SchedulerState, Submission
from prominence_hpc.backends.run_command import log
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.backends.slurm.commands import Commands
from prominence_hpc.errors import BackendUnavailable

__all__ = ["CALLS_BY_COMMAND", "InUse", "Transport", "in_use", "transport_of"]

# Importing pyslurm takes 40 to 60 ms, a call through it 1 to 4 ms, a command 8 to 20 ms: most runs of
# prominence ask Slurm once or twice, and would be slower for it.
CALLS_BY_COMMAND = 5


class Transport(Protocol):
    """Plain verbs; what is raised is as the verbs of :class:`.Backend` say."""

    def submit(self, submission: Submission) -> str:
        """Submit job.sh, which is in the submission's folder; returns the job's id."""

    def states(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """Those of these jobs that the queue knows; other jobs may be in the answer as well."""

    def history(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """Those of these jobs that accounting knows; other jobs may be in the answer as well."""

    def find(self, tags: Sequence[str]) -> dict[str, str]:
        """Ids by tag, from the queue and, for what is not there, from accounting."""

    def cancel(self, handles: Sequence[str]) -> None:
        """End or dequeue these jobs; those that ended already are no error."""

    def most_copies(self) -> int:
        """How many jobs an array may have; 0 where the site has no arrays."""


@dataclass(frozen=True)
class InUse:
    """Which transport a site uses, and why, as a sentence."""

    name: Literal["commands", "pyslurm"]
    reason: str


class Auto:
    """The commands; from the sixth call of one process on pyslurm, where it is there and fits."""

    def __init__(self, settings: SiteSettings) -> None:
        self._settings = settings
        self._commands = Commands(settings)
        self._calls = 0

    def submit(self, submission: Submission) -> str:
        """See :meth:`Transport.submit`."""
        return self._next().submit(submission)

    def states(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """See :meth:`Transport.states`."""
        return self._next().states(handles)

    def history(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """See :meth:`Transport.history`."""
        return self._next().history(handles)

    def find(self, tags: Sequence[str]) -> dict[str, str]:
        """See :meth:`Transport.find`."""
        return self._next().find(tags)

    def cancel(self, handles: Sequence[str]) -> None:
        """See :meth:`Transport.cancel`."""
        self._next().cancel(handles)

    def most_copies(self) -> int:
        """See :meth:`Transport.most_copies`."""
        return self._commands.most_copies()

    def _next(self) -> Transport:
        self._calls += 1
        return self._commands if self._calls <= CALLS_BY_COMMAND else self._later

    @cached_property
    def _later(self) -> Transport:
        from prominence_hpc.backends.slurm.pyslurm_transport import Pyslurm
        from prominence_hpc.backends.slurm.session import Misfit, SlurmRefusal

        pyslurm = Pyslurm(self._settings, self._commands)
        try:
            versions = pyslurm.versions()
        except (Misfit, SlurmRefusal, BackendUnavailable) as error:
            log(f"site {self._settings.name} goes on by the commands: {error}")
            return self._commands
        log(f"site {self._settings.name} goes on through pyslurm: {versions}")
        return pyslurm


def transport_of(settings: SiteSettings) -> Transport:
    """The transport that the site's ``slurm_transport`` names."""
    match settings.slurm_transport:
        case "commands":
            return Commands(settings)
        case "pyslurm":
            from prominence_hpc.backends.slurm.pyslurm_transport import Pyslurm

            return Pyslurm(settings, Commands(settings))
        case "auto":
            return Auto(settings)


def in_use(settings: SiteSettings) -> InUse:
    """For people: asks the controller, where pyslurm comes into question."""
    if settings.slurm_transport == "commands":
        return InUse("commands", 'slurm_transport is "commands"')
    from prominence_hpc.backends.slurm.pyslurm_transport import Pyslurm
    from prominence_hpc.backends.slurm.session import Misfit, SlurmRefusal

    pyslurm = Pyslurm(settings, Commands(settings))
    try:
        words = [pyslurm.versions()]
        why = pyslurm.why_sbatch()
    except (Misfit, SlurmRefusal, BackendUnavailable) as error:
        if settings.slurm_transport == "pyslurm":
            return InUse("pyslurm", f"it cannot be used: {error}".rstrip("."))
        return InUse("commands", str(error).rstrip("."))
    if settings.slurm_transport == "auto":
        words.append(f"a command of prominence uses it after {CALLS_BY_COMMAND} of Slurm's")
    if why is not None:
        words.append(f"jobs are submitted by sbatch: {why}")
    return InUse("pyslurm", "; ".join(words))
