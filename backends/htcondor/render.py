"""The submit description. Pure functions; the syntax is that of condor_submit(1)."""

import shlex
from pathlib import Path

from prominence_hpc.backends.base import Submission
from prominence_hpc.backends.htcondor.copies import copies_commands, job_id, where
from prominence_hpc.backends.htcondor.gpus import require_gpus
from prominence_hpc.backends.htcondor.moldable import request_cpus, request_memory
from prominence_hpc.backends.htcondor.quoting import classad_list, classad_string, submit_value
from prominence_hpc.backends.htcondor.removal import removal_commands, sparing_lines
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import ConfigError
from prominence_hpc.wrappers.job_script import COPY_NUMBER
from prominence_hpc.wrappers.report import RETRY_EXIT_CODE

__all__ = [
    "FENCE_SECONDS",
    "RESULTS",
    "description_path",
    "prologue",
    "staged_inputs",
    "staged_outputs",
    "submit_description",
]

# The wrapper ends by itself at the job's limit. HTCondor holds what has not, this much later.
FENCE_SECONDS = 120

# What comes back from the node beside the standard streams.
RESULTS = ("report.json", "wrapper.log")
STREAMS = ("stdout", "stderr")
# … and, of a job that may be run again, what its earlier attempts left: each in a folder of its own.
ATTEMPTS = "attempts"


# Of job N of several nodes: what HTCondor writes in its place for each of them. Node 0's folder is the
# job's own, see :func:`staged_outputs`; the others' are beside its files.
NODE_FOLDER = "node-$(Node)"


def submit_description(
    submission: Submission,
    settings: SiteSettings,
    wanted_cpus: int | None = None,
    *,
    in_graph: bool = False,
) -> str:
    """The text of ``job.sub``: ``condor_submit job.sub`` submits the same by hand.

    ``wanted_cpus``: see :func:`.moldable.request_cpus`. ``in_graph``: DAGMan waits for its end.
    """
    copies = submission.copies
    sizes = {
        "request_cpus": request_cpus(submission, wanted_cpus),
        "request_memory": request_memory(submission),
        "request_gpus": str(submission.gpus) if submission.gpus else None,
        "require_gpus": require_gpus(submission),
    }
    lines = _commands(submission, in_graph=in_graph) | sizes | _attributes(submission)
    text = "".join(f"{name} = {value}\n" for name, value in lines.items() if value is not None)
    directives = settings.directives
    if submission.preemptible:
        directives += settings.preemptible_directives
    site = "".join(f"{_one_line(directive)}\n" for directive in directives)
    return f"{text}{site}queue{'' if copies is None else f' {copies.count}'}\n"


def prologue(
    submission: Submission, settings: SiteSettings, *, in_graph: bool = False
) -> list[str]:
    """Shell lines before the runner: a job whose results are not there is held instead of ended."""
    here = "" if submission.copies is None else f"{COPY_NUMBER}/"
    folders = [shlex.quote(name) for name, _ in submission.transfer.outputs]
    if submission.maximum_retries:
        folders.append(f"{here}{ATTEMPTS}")
    return [
        "umask 077",
        # HTCondor sets none of these; bash has a PATH, and does not pass it on by itself.
        'export LANG=C.UTF-8 PATH USER="${USER:-$(id -un)}"',
        f"touch {' '.join(f'{here}{name}' for name in RESULTS)}",
        *(f"mkdir -p {name}" for name in folders),
        *sparing_lines(submission, in_graph=in_graph),
        *settings.prologue,
    ]


def staged_inputs(submission: Submission) -> dict[str, str]:
    """Links to make in the folder, name to target: HTCondor gives a file the name it has here."""
    inputs = {"runner.pyz": str(submission.runner)}
    return inputs | {name: str(path) for path, name in submission.transfer.inputs}


def staged_outputs(submission: Submission) -> dict[str, str]:
    """Links to make in the folder: what a folder on the node holds lands in the link's target."""
    links = {name: str(path) for name, path in submission.transfer.outputs}
    if submission.nodes == 1:
        return links
    return links | {f"{folder}node-0": "." for folder in _folders(submission)}


def node_folders(submission: Submission) -> list[str]:
    """Folders to make in the folder: what each node but the first brings home."""
    numbers = range(1, submission.nodes)
    return [f"{folder}node-{number}" for folder in _folders(submission) for number in numbers]


def description_path(submission: Submission) -> Path:
    """Where the submit description is kept: several of one folder differ in their first copy."""
    copies = submission.copies
    folder = "" if copies is None or not copies.first else f"{copies.first}/"
    return submission.folder / f"{folder}job.sub"


def _folders(submission: Submission) -> list[str]:
    """The folders of a submission's jobs below its own."""
    copies = submission.copies
    if copies is None:
        return [""]
    return [f"{number}/" for number in range(copies.first, copies.first + copies.count)]


def _commands(submission: Submission, *, in_graph: bool) -> dict[str, str | None]:
    folder = submit_value(str(submission.folder))
    inputs = ["plan.json", *staged_inputs(submission)]
    outputs = [name for name, _ in submission.transfer.outputs]
    limit = submission.limit_seconds + FENCE_SECONDS if submission.limit_seconds > 0 else None
    return {
        "executable": f"{folder}/job.sh",
        "initialdir": folder,
        "should_transfer_files": "YES",
        "when_to_transfer_output": "ON_EXIT",
        "transfer_input_files": ", ".join(_names(inputs)),
        "transfer_output_files": ", ".join([*_results(submission), *_names(outputs)]),
        "output": "stdout" if submission.copies is None else "/dev/null",
        "error": "stderr" if submission.copies is None else "/dev/null",
        "log": "job.log",
        "getenv": "false",
        "request_disk": f"{submission.disk_mib}M",
        "allowed_execute_duration": None if limit is None else str(limit),
        "priority": None if submission.priority is None else str(submission.priority),
        "on_exit_remove": _on_exit_remove(submission),
        **removal_commands(submission, in_graph=in_graph),
        **_mail(submission),
        **copies_commands(submission),
        **_of_several_nodes(submission),
    }


def _results(submission: Submission) -> list[str]:
    """What a job brings home. Of copies, also the streams, which job.sh opens: HTCondor knows one place for all.

    Each by its name, since condor_tail shows no file but those that are named.
    """
    names = [*RESULTS, ATTEMPTS] if submission.maximum_retries else [*RESULTS]
    if submission.copies is not None:
        names += STREAMS
    return [f"{where(submission)}{name}" for name in names]


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


def _of_several_nodes(submission: Submission) -> dict[str, str | None]:
    """A job of the parallel universe: it runs on all nodes at once, and ends when all have ended.

    Every node brings files of the same names home; each has a folder for them.
    """
    if submission.nodes == 1:
        return {}
    streams = () if submission.copies is None else STREAMS
    here = where(submission)
    remaps = "; ".join(f"{here}{name}={here}{NODE_FOLDER}/{name}" for name in [*RESULTS, *streams])
    own = {"output": f"{NODE_FOLDER}/stdout", "error": f"{NODE_FOLDER}/stderr"}
    return {
        "universe": "parallel",
        "machine_count": str(submission.nodes),
        **({} if streams else own),
        "transfer_output_remaps": f'"{remaps}"',
        "My.ParallelShutdownPolicy": classad_string("WAIT_FOR_ALL"),
    }


def _attributes(submission: Submission) -> dict[str, str | None]:
    labels = [f"{key}={value}" for key, value in sorted(submission.labels.items())]
    return {
        "My.JobBatchName": classad_string(submission.name or f"prominence-{submission.job_id}"),
        "My.ProminenceTag": classad_string(submission.tag),
        "My.ProminenceId": job_id(submission),
        # A list, not an attribute each: names of attributes do not tell "a" from "A".
        "My.ProminenceLabels": classad_list(labels),
    }


def _names(names: list[str]) -> list[str]:
    """Names of files in the folder; none of ours has a comma or a blank, which would part them."""
    return [submit_value(name) for name in names]


def _one_line(directive: str) -> str:
    if "\n" in directive or "\r" in directive:
        msg = f"a directive of an HTCondor site is one line, unlike {directive!r}."
        raise ConfigError(msg)
    return directive
