"""The submit description. Pure functions; the syntax is that of condor_submit(1)."""

import shlex

from prominence_hpc.backends.base import Submission
from prominence_hpc.backends.htcondor.gpus import require_gpus
from prominence_hpc.backends.htcondor.moldable import request_cpus, request_memory
from prominence_hpc.backends.htcondor.parse import QUEUE_LIMIT_ATTRIBUTE
from prominence_hpc.backends.htcondor.quoting import classad_list, classad_string, submit_value
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import ConfigError
from prominence_hpc.wrappers.report import RETRY_EXIT_CODE

__all__ = [
    "FENCE_SECONDS",
    "RESULTS",
    "prologue",
    "staged_inputs",
    "staged_outputs",
    "submit_description",
]

# The wrapper ends by itself at the job's limit. HTCondor holds what has not, this much later.
FENCE_SECONDS = 120

# What comes back from the node beside the standard streams.
RESULTS = ("report.json", "wrapper.log")
# … and, of a job that may be run again, what its earlier attempts left: each in a folder of its own.
ATTEMPTS = "attempts"


# Of job N of several nodes: what HTCondor writes in its place for each of them. Node 0's folder is the
# job's own, see :func:`staged_outputs`; the others' are beside its files.
NODE_FOLDER = "node-$(Node)"


def submit_description(
    submission: Submission, settings: SiteSettings, wanted_cpus: int | None = None
) -> str:
    """The text of ``job.sub``: ``condor_submit job.sub`` submits the same job by hand.

    ``wanted_cpus``: see :func:`.moldable.request_cpus`.
    """
    sizes = {
        "request_cpus": request_cpus(submission, wanted_cpus),
        "request_memory": request_memory(submission),
        "request_gpus": str(submission.gpus) if submission.gpus else None,
        "require_gpus": require_gpus(submission),
    }
    lines = _commands(submission) | sizes | _attributes(submission)
    text = "".join(f"{name} = {value}\n" for name, value in lines.items() if value is not None)
    directives = settings.directives
    if submission.preemptible:
        directives += settings.preemptible_directives
    site = "".join(f"{_one_line(directive)}\n" for directive in directives)
    return f"{text}{site}queue\n"


def prologue(submission: Submission, settings: SiteSettings) -> list[str]:
    """Shell lines before the runner: a job whose results are not there is held instead of ended."""
    folders = [name for name, _ in submission.transfer.outputs]
    if submission.maximum_retries:
        folders.append(ATTEMPTS)
    return [
        "umask 077",
        # HTCondor sets none of these; bash has a PATH, and does not pass it on by itself.
        'export LANG=C.UTF-8 PATH USER="${USER:-$(id -un)}"',
        f"touch {' '.join(RESULTS)}",
        *(f"mkdir -p {shlex.quote(name)}" for name in folders),
        *settings.prologue,
    ]


def staged_inputs(submission: Submission) -> dict[str, str]:
    """Links to make in the folder, name to target: HTCondor gives a file the name it has here."""
    inputs = {"runner.pyz": str(submission.runner)}
    return inputs | {name: str(path) for path, name in submission.transfer.inputs}


def staged_outputs(submission: Submission) -> dict[str, str]:
    """Links to make in the folder: what a folder on the node holds lands in the link's target."""
    links = {name: str(path) for name, path in submission.transfer.outputs}
    return links if submission.nodes == 1 else links | {"node-0": "."}


def node_folders(submission: Submission) -> list[str]:
    """Folders to make in the folder: what each node but the first brings home."""
    return [f"node-{number}" for number in range(1, submission.nodes)]


def _commands(submission: Submission) -> dict[str, str | None]:
    folder = submit_value(str(submission.folder))
    limit = submission.limit_seconds + FENCE_SECONDS if submission.limit_seconds > 0 else None
    return {
        "executable": f"{folder}/job.sh",
        "initialdir": folder,
        "should_transfer_files": "YES",
        "when_to_transfer_output": "ON_EXIT",
        "transfer_input_files": _names(["plan.json", *staged_inputs(submission)]),
        "transfer_output_files": _names(
            [
                *RESULTS,
                *((ATTEMPTS,) if submission.maximum_retries else ()),
                *(name for name, _ in submission.transfer.outputs),
            ]
        ),
        "output": "stdout",
        "error": "stderr",
        "log": "job.log",
        "getenv": "false",
        "request_disk": f"{submission.disk_mib}M",
        "allowed_execute_duration": None if limit is None else str(limit),
        "priority": None if submission.priority is None else str(submission.priority),
        "on_exit_remove": _on_exit_remove(submission),
        "periodic_remove": _periodic_remove(submission),
        **_mail(submission),
        **_of_several_nodes(submission),
    }


def _mail(submission: Submission) -> dict[str, str | None]:
    """HTCondor sends one when a job ends by itself, none when it is removed."""
    if not submission.mails:
        return {}
    return {
        "notification": "Complete",
        "notify_user": submission.mail_address,
        "email_attributes": "ProminenceId, JobBatchName",  # in the text, beside HTCondor's own id
    }


def _on_exit_remove(submission: Submission) -> str | None:
    """False where the job is to be run again: NumJobCompletions counts this end already."""
    if not submission.maximum_retries:
        return None
    ended = f"ExitCode =!= {RETRY_EXIT_CODE}"  # undefined of a job that died of a signal
    return f"({ended}) || (NumJobCompletions > {submission.maximum_retries})"


def _periodic_remove(submission: Submission) -> str | None:
    """A job that is idle goes after so long; :mod:`.parse` knows the attribute in the reason."""
    if not submission.queue_limit_seconds:
        return None
    return f"(JobStatus == 1) && (time() - EnteredCurrentStatus > {QUEUE_LIMIT_ATTRIBUTE})"


def _of_several_nodes(submission: Submission) -> dict[str, str | None]:
    """A job of the parallel universe: it runs on all nodes at once, and ends when all have ended.

    Every node brings files of the same names home; each has a folder for them.
    """
    if submission.nodes == 1:
        return {}
    remaps = "; ".join(f"{name}={NODE_FOLDER}/{name}" for name in RESULTS)
    return {
        "universe": "parallel",
        "machine_count": str(submission.nodes),
        "output": f"{NODE_FOLDER}/stdout",
        "error": f"{NODE_FOLDER}/stderr",
        "transfer_output_remaps": f'"{remaps}"',
        "My.ParallelShutdownPolicy": classad_string("WAIT_FOR_ALL"),
    }


def _attributes(submission: Submission) -> dict[str, str | None]:
    labels = [f"{key}={value}" for key, value in sorted(submission.labels.items())]
    return {
        "My.JobBatchName": classad_string(submission.name or f"prominence-{submission.job_id}"),
        "My.ProminenceTag": classad_string(submission.tag),
        "My.ProminenceId": str(submission.job_id),
        f"My.{QUEUE_LIMIT_ATTRIBUTE}": str(submission.queue_limit_seconds)
        if submission.queue_limit_seconds
        else None,
        # A list, not an attribute each: names of attributes do not tell "a" from "A".
        "My.ProminenceLabels": classad_list(labels),
    }


def _names(names: list[str]) -> str:
    """Names of files in the folder; none of ours has a comma or a blank, which would part them."""
    return ", ".join(submit_value(name) for name in names)


def _one_line(directive: str) -> str:
    if "\n" in directive or "\r" in directive:
        msg = f"a directive of an HTCondor site is one line, unlike {directive!r}."
        raise ConfigError(msg)
    return directive
