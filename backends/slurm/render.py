"""What a submission says to Slurm: directives of job.sh, and sbatch's command line. Pure functions.

Numbers, and what the site's configuration says, go into job.sh as ``#SBATCH`` lines, where people
look for them. What a user wrote (name, labels, paths) goes into sbatch's argument list: sbatch
reads directives by quoting rules of its own, in which there is no newline.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace

from prominence_hpc.backends.base import Submission
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import ConfigError

__all__ = [
    "COMMENT_CHARACTERS",
    "argument_options",
    "comment",
    "directive_options",
    "directives",
    "redirects_itself",
    "sbatch_argv",
    "sbatch_quote",
    "test_argv",
]

# A longer comment or name is refused ("Pathname of a file, directory or other parameter too long").
COMMENT_CHARACTERS = 1024
_NAME_BYTES = 1023
MIB_PER_GB = 1000  # of disk, as of memory
# For a job that is put back into the queue to be started again, where there is a deadline.
RETRY_MINUTES = 3

_SAFE = re.compile(r"[A-Za-z0-9_@%+=:,./-]*")


def directives(submission: Submission, settings: SiteSettings) -> list[str]:
    """The ``#SBATCH`` lines of job.sh; the site's own come last and so win."""
    options = directive_options(submission, settings)
    lines = [
        f"#SBATCH --{name}={sbatch_quote(value)}" if value else f"#SBATCH --{name}"
        for name, value in options.items()
    ]
    if settings.disk_option is not None:
        lines.append(f"#SBATCH {_disk(settings.disk_option, submission.disk_mib)}")
    site = settings.directives
    if submission.preemptible:
        site += settings.preemptible_directives
    return lines + [f"#SBATCH {_one_line(directive)}" for directive in site]


def directive_options(submission: Submission, settings: SiteSettings) -> dict[str, str]:
    """sbatch's long options, without their dashes, that stand in job.sh, and their values.

    An option that has none is empty.
    """
    options = {
        "nodes": _nodes(submission),
        "ntasks-per-node": "1",
        "cpus-per-task": str(submission.cpus),
        "mem": f"{submission.memory_mib}M",
        "gpus-per-node": _gpus(submission),
        "time": _minutes(submission.limit_seconds),
        "deadline": _deadline(submission),
        # Where a job is put back into the queue, the node's wrapper moves what its earlier start wrote.
        "open-mode": "append",
        "requeue": "" if submission.maximum_retries or submission.preemptible else None,
        "nice": _nice(submission.priority, settings.nice),
        "partition": settings.partition or None,
        "account": settings.account or None,
        "qos": settings.qos or None,
        # Every end is one, also a failure, a cancellation and that of the time. Of an array it is that
        # of the last of its jobs: one e-mail for a whole sweep, not one for each of its jobs.
        "mail-type": "END" if submission.mails else None,
        "mail-user": submission.mail_address if submission.mails else None,
    }
    return {name: value for name, value in options.items() if value is not None}


def sbatch_argv(submission: Submission) -> list[str]:
    r"""The command that submits ``job.sh`` of the submission's folder.

    The comment comes first: :func:`.parse.parse_tags` finds it in what accounting keeps of this
    line. Output files are named relative to the folder, with a backslash, which tells Slurm that
    ``%`` in the folder's name is no pattern (sbatch(1), "filename pattern"). A backslash in the
    folder's name would be removed: there job.sh opens the files itself.

    There is no ``--signal``: the wrapper keeps the time by itself, and Slurm sends SIGTERM to all
    processes of a job, the wrapper among them, KillWait seconds before SIGKILL.

    Copies are a job array; job.sh is told the first one's number, and adds its own index.
    """
    options = argument_options(submission)
    first = [] if submission.copies is None else [str(submission.copies.first)]
    return [
        "sbatch",
        "--parsable",
        *[f"--{name}={value}" for name, value in options.items()],
        str(submission.folder / "job.sh"),
        *first,
    ]


def argument_options(submission: Submission) -> dict[str, str]:
    """sbatch's long options, without their dashes, that stand in its argument list, and their values."""
    redirected = redirects_itself(submission) or submission.copies is not None
    return {
        "comment": comment(submission),
        "job-name": _name(submission),
        "chdir": str(submission.folder),
        "propagate": "NONE",  # else the limits (ulimit) of the login node hold in the job
        "output": "/dev/null" if redirected else "\\stdout",
        "error": "/dev/null" if redirected else "\\stderr",
        **_array(submission),
        **_dependency(submission),
    }


def test_argv(submission: Submission) -> list[str]:
    """The command that asks when the same job would start, and submits nothing.

    Of copies it asks for one, and of a job that waits for others as if they had ended.
    """
    program, *options = sbatch_argv(replace(submission, copies=None, after=()))
    return [program, "--test-only", *options]


def redirects_itself(submission: Submission) -> bool:
    """Whether job.sh must open its own output files; see :func:`sbatch_argv`."""
    return "\\" in str(submission.folder)


def comment(submission: Submission) -> str:
    """Tag, id and labels as Slurm keeps them with the job; ASCII, because its database may be.

    Slurm takes 1024 characters; labels beyond that are counted instead (``more=2``).

    >>> from pathlib import Path
    >>> comment(Submission(tag="0" * 32, job_id=7, name="", labels={"app": "x"}, folder=Path("/f"),
    ...     runner=Path("/r"), cpus=1, memory_mib=1, disk_mib=1))
    'prominence:00000000000000000000000000000000 id=7 labels={"app":"x"}'
    """
    head = f"prominence:{submission.tag} id={submission.job_id}"
    labels = dict(sorted(submission.labels.items()))
    if not labels:
        return head
    kept: dict[str, str] = {}
    for key, value in labels.items():
        tried = {**kept, key: value}
        if len(_with_labels(head, tried, len(labels) - len(tried))) > COMMENT_CHARACTERS:
            break
        kept = tried
    return _with_labels(head, kept, len(labels) - len(kept))


def sbatch_quote(value: str) -> str:
    r"""``value`` as one word of a ``#SBATCH`` line: a backslash before all that means something.

    >>> print(sbatch_quote("gpu,long"), sbatch_quote("it's #1"))
    gpu,long it\'s\ \#1
    """
    if _SAFE.fullmatch(value):
        return value
    return re.sub(r"([^A-Za-z0-9_@%+=:,./-])", r"\\\1", _one_line(value))


def _array(submission: Submission) -> dict[str, str]:
    copies = submission.copies
    return {} if copies is None else {"array": f"0-{copies.count - 1}"}


def _dependency(submission: Submission) -> dict[str, str]:
    """An array's id stands for all of it. Where one has failed, Slurm takes the job out of the queue."""
    if not submission.after:
        return {}
    return {"dependency": f"afterok:{':'.join(submission.after)}", "kill-on-invalid-dep": "yes"}


def _name(submission: Submission) -> str:
    name = submission.name or f"prominence-{submission.job_id}"
    return name.encode("utf-8", "surrogateescape")[:_NAME_BYTES].decode("utf-8", "ignore")


def _with_labels(head: str, labels: Mapping[str, str], more: int) -> str:
    text = f"{head} labels={json.dumps(labels, separators=(',', ':'))}"
    return f"{text} more={more}" if more else text


def _minutes(seconds: int) -> str | None:
    """Slurm counts a time limit in minutes; none is the partition's own."""
    return str(-(-seconds // 60)) if seconds > 0 else None


def _nodes(submission: Submission) -> str:
    """A number, or "2-4": as many as can be had without a later start."""
    most = submission.most_nodes
    return str(submission.nodes) if most is None else f"{submission.nodes}-{most}"


def _gpus(submission: Submission) -> str | None:
    """Not --gres, of which the last one counts: a site's directives may ask for another by it."""
    if not submission.gpus:
        return None
    return (
        f"{submission.gpu_type}:{submission.gpus}" if submission.gpu_type else str(submission.gpus)
    )


def _disk(option: str, mib: int) -> str:
    """The site's option; without one no disk is asked for, as most sites' nodes have no TmpDisk."""
    if "{mib}" not in option and "{gb}" not in option:
        msg = (
            f"disk_option of a site has {{mib}} or {{gb}} where the number goes, unlike {option!r}."
        )
        raise ConfigError(msg)
    gigabytes = -(-mib // MIB_PER_GB)
    return _one_line(option.replace("{mib}", str(mib)).replace("{gb}", str(gigabytes)))


def _deadline(submission: Submission) -> str | None:
    """When the job must have ended, which it cannot where it starts later than it is to.

    Slurm takes a waiting job away as soon as its time limit does not fit any more, in state
    DEADLINE. It counts from submission and cannot be moved by a user: there must be time for every
    attempt, and a first one that begins too late is ended by the wrapper.
    """
    if not submission.queue_limit_seconds or submission.after:
        return None  # of one that waits for others the time begins later: its wrapper looks at it
    minutes = -(-submission.queue_limit_seconds // 60)
    each = -(-submission.limit_seconds // 60)
    more = submission.maximum_retries * (each + RETRY_MINUTES)
    return f"now+{minutes + each + more}minutes"


def _nice(priority: int | None, nice: int) -> str | None:
    """Users may only lower a job's priority: one without starts at ``nice``, others around it."""
    value = max(0, nice - (priority or 0))
    return str(value) if value else None


def _one_line(text: str) -> str:
    if "\n" in text or "\r" in text or "\0" in text:
        msg = f"directives, partition, account and qos of a site are single lines, unlike {text!r}."
        raise ConfigError(msg)
    return text
