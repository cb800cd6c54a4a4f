"""Command lines that ask Slurm about jobs, or act on them. Pure functions; :mod:`.parse` reads the answers."""

from collections.abc import Iterator, Sequence

from prominence_hpc.backends.slurm.arrays import compressed, wanted_of

__all__ = [
    "CONFIG_ARGV",
    "HISTORY_START",
    "QUEUE_FORMAT",
    "sacct_argv",
    "scancel_argvs",
    "squeue_argv",
    "srun_argv",
]

# ":|" is a field of any width and what follows it; see squeue(1), --Format.
# A job that is none of an array has its own id as ArrayJobID, and "N/A" as ArrayTaskID.
QUEUE_FORMAT = (
    "ArrayJobID:|,ArrayTaskID:|,RestartCnt:|,State:|,StartTime:|,EndTime:|,"
    "exit_code:|,NodeList:|,Reason:"
)
_QUEUE_TAG_FORMAT = "ArrayJobID:|,Comment:"

# How far back accounting is asked: as long as PROMINENCE keeps a finished job in sight.
HISTORY_START = "now-90days"
# Longer lists of ids than this are not passed to sacct: it is asked for all of the user's jobs.
_HISTORY_IDS = 1000
# All that there are, of a time with an end: else a job that was never eligible (it was held, or has
# waited for another that failed) is not among those whose id is not given.
_ANY_STATE = ("--endtime=now", "--state=BF,CA,CD,DL,F,NF,OOM,PD,PR,R,S,TO")
_SACCT_STATE_FIELDS = "JobID,State,Start,End,ExitCode,NodeList,Eligible,Reason"
# The comment is in accounting only where the site stores it (AccountingStoreFlags=job_comment); the
# line that submitted the job always is, and holds the same comment, where there was such a line.
_SACCT_TAG_FIELDS = "JobID,Comment,SubmitLine"

# scancel takes ids as arguments: enough for one command line.
_CANCELLED_AT_ONCE = 1000

CONFIG_ARGV = ("scontrol", "show", "config")


def squeue_argv(*, tags: bool = False) -> list[str]:
    """All jobs of the user, those that ended within MinJobAge included: one call for any number."""
    fields = _QUEUE_TAG_FORMAT if tags else QUEUE_FORMAT
    return ["squeue", "--me", "--noheader", "--states=all", f"--Format={fields}"]


def sacct_argv(user: int, *, handles: Sequence[str] = (), tags: bool = False) -> list[str]:
    """The user's jobs of the last 90 days, or of them ``handles`` where they are not too many.

    Of an array all is asked for: what is left of one of its jobs may be that it is not there.
    """
    ids = list(wanted_of(handles))
    chosen = [f"--jobs={','.join(ids)}"] if 0 < len(ids) <= _HISTORY_IDS else _ANY_STATE
    return [
        "sacct",
        "--parsable2",
        "--noheader",
        "--allocations",
        f"--uid={user}",
        f"--starttime={HISTORY_START}",
        *chosen,
        f"--format={_SACCT_TAG_FIELDS if tags else _SACCT_STATE_FIELDS}",
    ]


def scancel_argvs(handles: Sequence[str]) -> Iterator[list[str]]:
    """As few commands as end or dequeue these jobs."""
    words = compressed(handles)
    for first in range(0, len(words), _CANCELLED_AT_ONCE):
        yield ["scancel", *words[first : first + _CANCELLED_AT_ONCE]]


def srun_argv(handle: str, node: str) -> list[str]:
    """What a program's command line is added to, to run it as a step of a job, on one of its nodes.

    The step takes part in what the job has (``--overlap``), and waits for nothing. Messages of srun
    itself come on standard error, with the program's.
    """
    return [
        "srun",
        "--overlap",
        f"--jobid={handle}",
        f"--nodelist={node}",
        "--nodes=1",
        "--ntasks=1",
        "--mpi=none",
        "--unbuffered",
        "--quiet",
        "--chdir=/",  # the login node's folder need not be there
        "--job-name=prominence",
    ]
