"""What can go wrong, and the exit code that a script sees for it.

    ProminenceError            1  anything without a code of its own
    +-- UsageError             2  the command line asks for something that cannot be
    +-- SpecError              2  the job description is wrong or asks for what cannot be honoured
    +-- ConfigError            3  the configuration is wrong or incomplete
    +-- NotFoundError          4  no such job, object, file
    +-- StorageError           5  object storage refused or failed
    +-- BackendError           6  the scheduler refused or failed
    |   +-- BackendUnavailable 7  the scheduler did not answer: what it did is not known
    +-- ConflictError          8  something is in the way: an existing file, a job's state
    +-- RemoteError            9  a running job's node cannot be reached, or the connection was cut
        +-- NotReadyError      9  … and may be reached in a moment
        +-- HostKeyError       9  … as it shows another key than the one that is known of it

Errors are raised where they are known and printed once, by the command line. A message is one
sentence that names the thing and says what to do about it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "BackendError",
    "BackendUnavailable",
    "ConfigError",
    "ConflictError",
    "HostKeyError",
    "NotFoundError",
    "NotReadyError",
    "Problem",
    "ProminenceError",
    "RemoteError",
    "SpecError",
    "StorageError",
    "UsageError",
]


class ProminenceError(Exception):
    """Base of every error that a user is meant to read."""

    exit_code = 1


class UsageError(ProminenceError):
    """The command line asks for something that cannot be done."""

    exit_code = 2


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with a description: where (``tasks[0].image``, empty for the whole) and what."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class SpecError(ProminenceError):
    """A job or workflow description is wrong; carries every problem found, not the first alone."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ConfigError(ProminenceError):
    """The configuration is wrong or incomplete; the message names the file or variable."""

    exit_code = 3


class NotFoundError(ProminenceError):
    """Something named by the user does not exist."""

    exit_code = 4


class StorageError(ProminenceError):
    """Object storage refused a request, failed, or could not be reached."""

    exit_code = 5


class BackendError(ProminenceError):
    """The scheduler refused or failed; nothing was submitted where a submission raised it.

    ``argv``, ``returncode`` and ``stderr`` are those of the scheduler's command, where there was one.
    """

    exit_code = 6

    def __init__(
        self,
        message: str,
        *,
        argv: Sequence[str] = (),
        returncode: int | None = None,
        stderr: str = "",
    ) -> None:
        super().__init__(message)
        self.argv = tuple(argv)
        self.returncode = returncode
        self.stderr = stderr


class BackendUnavailable(BackendError):
    """The scheduler did not answer in time or could not be reached: what it did is not known."""

    exit_code = 7


class ConflictError(ProminenceError):
    """Something is in the way: a file that exists, a job whose state forbids the request."""

    exit_code = 8


class RemoteError(ProminenceError):
    """The node of a running job cannot be reached, or the connection to it was cut."""

    exit_code = 9


class NotReadyError(RemoteError):
    """The node cannot be reached yet; the same request may succeed in a moment."""


class HostKeyError(RemoteError):
    """A host shows another key than the one that is known of it, or one that was revoked."""
