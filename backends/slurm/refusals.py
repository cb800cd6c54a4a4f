"""From what Slurm's commands say on standard error to one error with a way out."""

from prominence_hpc.backends.run_command import Completed, first_line
from prominence_hpc.errors import BackendError, BackendUnavailable

__all__ = [
    "NO_ROOM",
    "accounting_is_off",
    "has_no_room",
    "is_about_ended_jobs",
    "is_busy",
    "query_error",
    "submit_error",
]

# The controller was reached, or may have been: whether it took the job is not known.
_PERHAPS_SUBMITTED = (
    "socket timed out",
    "zero bytes were transmitted",
    "connection reset",
    "broken pipe",
    "transport endpoint is not connected",
    "resource temporarily unavailable",
    "unexpected message received",
    "message send failure",
    "message receive failure",
    "(send failure)",
    "(receive failure)",
    "(shutdown failure)",
    "timed out",
)
# sbatch has been refused, says so, and tries again for two minutes.
_QUEUE_IS_FULL = "job queue full"
_IS_BUSY = "temporarily unable to accept job"
NO_ROOM = (_QUEUE_IS_FULL, _IS_BUSY)
# No connection was made: no request has left.
_UNREACHABLE = ("(connect failure)", "connection refused", "no route to host")

# Part of Slurm's sentence, and what a user or administrator can do about it.
_ADVICE = (
    ("invalid partition", "check partition in the site's configuration against sinfo"),
    ("invalid account", "check account in the site's configuration against sacctmgr show assoc"),
    ("invalid qos", "check qos in the site's configuration"),
    ("memory specification", "ask for less memory; sinfo -o '%P %m' shows what nodes have"),
    (
        "node configuration is not available",
        "no node has so much of what was asked for: cpus, memory, gpus of that gpuType; see sinfo -Nel",
    ),
    ("more processors requested than permitted", "ask for fewer cpus, or another partition"),
    # Before the time limit, which is in the same sentence.
    ("submit limit", "this account has reached a limit: wait for other jobs to end"),
    ("time limit", "ask for less walltime; sinfo shows the limits of partitions"),
    ("feature specification", "check the constraint among the site's directives"),
    (
        "generic resource",
        "no node has such gpus (sinfo -o '%n %G'), or --gres among the site's directives is wrong",
    ),
    (
        "dependency problem",
        "a job that it is to wait for is not known to Slurm any more: it has ended a while ago",
    ),
    (
        "array specification",
        "it has more jobs than an array may have: see MaxArraySize in scontrol show config",
    ),
    (
        _QUEUE_IS_FULL,
        "MaxJobCount in scontrol show config says how many it may have: wait, or submit fewer at once",
    ),
    ("maxjobcount limit", "its queue is full: wait, or submit fewer at once"),
    (_IS_BUSY, "try again later"),
    ("mutually exclusive", "the site's directives already ask for gpus: leave gpus out"),
    ("policy limit", "this account has reached a limit: wait for other jobs, or ask for less"),
    ("unrecognized option", "check the site's directives"),
    ("invalid --", "check the site's directives"),
)


def submit_error(ended: Completed) -> BackendError:
    """Why sbatch failed: BackendUnavailable where the job may have been taken all the same."""
    said = ended.stderr.lower()
    words = _words(ended)
    # First: a request that was lost, and then a connection that was refused, may be a job.
    if ended.returncode == 0 or _is_in_doubt(said):
        msg = f"Slurm did not say whether it took the job: {words}."
        return _error(BackendUnavailable, msg, ended)
    if any(text in said for text in _UNREACHABLE):
        msg = f"Slurm's controller cannot be reached, nothing was submitted: {words}."
        return _error(BackendError, msg, ended)
    advice = next((f"; {advice}" for text, advice in _ADVICE if text in said), "")
    msg = f"Slurm refused the job: {words}{advice}."
    return _error(BackendError, msg, ended)


def query_error(ended: Completed) -> BackendError:
    """Why squeue, sacct or scancel failed."""
    msg = f"{ended.argv[0]} got no answer from Slurm: {_words(ended)}."
    return _error(BackendUnavailable, msg, ended)


def has_no_room(ended: Completed) -> bool:
    """Whether sbatch was told that the job cannot be taken now."""
    return any(words in ended.stderr.lower() for words in NO_ROOM)


def is_busy(ended: Completed) -> bool:
    """Whether that may be over in a moment."""
    return _IS_BUSY in ended.stderr.lower()


def accounting_is_off(ended: Completed) -> bool:
    """Whether sacct failed because the site keeps no accounting at all."""
    return "accounting storage is disabled" in ended.stderr.lower()


def is_about_ended_jobs(ended: Completed) -> bool:
    """Whether scancel complains of nothing but jobs that are over or forgotten."""
    lines = [line.lower() for line in ended.stderr.splitlines() if ": error:" in line]
    return bool(lines) and all(
        "already completing or completed" in line or "invalid job id" in line for line in lines
    )


def _is_in_doubt(said: str) -> bool:
    if any(text in said for text in _PERHAPS_SUBMITTED):
        return True
    # The controller was not reached in a way that we do not know.
    unknown = "unable to contact slurm controller" in said
    return unknown and not any(text in said for text in _UNREACHABLE)


def _error(kind: type[BackendError], message: str, ended: Completed) -> BackendError:
    return kind(message, argv=ended.argv, returncode=ended.returncode, stderr=ended.stderr)


def _words(ended: Completed) -> str:
    """Slurm's first line, without the program's name, and its last, general one if it differs."""
    lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
    errors = [_without_prefix(line) for line in lines if ": error:" in line or ": fatal:" in line]
    if not errors:
        said = first_line(ended.stderr).removeprefix(
            "allocation failure: "
        )  # of sbatch --test-only
        return said or f"exit code {ended.returncode} without a word"
    return "; ".join(dict.fromkeys([errors[0], errors[-1]]))


def _without_prefix(line: str) -> str:
    for mark in (": error: ", ": fatal: "):
        _, found, rest = line.partition(mark)
        if found:
            rest = rest.removeprefix("Batch job submission failed: ").rstrip(".")
            return rest.removesuffix(", sleeping and retrying")
    return line
