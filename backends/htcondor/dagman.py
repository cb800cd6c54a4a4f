"""Graphs for DAGMan, HTCondor's own program that runs them. Pure functions.

https://htcondor.readthedocs.io/en/latest/automated-workflows/index.html

DAGMan is a job of the scheduler universe, beside the schedd. It submits each node's own ``job.sub`` once
the node's parents have succeeded, which a script after each node's end says by their reports.
"""

import os
import re
from pathlib import Path

from prominence_hpc.backends.base import Graph, GraphNode, Submission
from prominence_hpc.backends.htcondor.quoting import classad_string, submit_value
from prominence_hpc.backends.htcondor.render import description_path
from prominence_hpc.errors import BackendError

__all__ = [
    "DAG_FILE",
    "LEFT_FILES",
    "LOG_FILES",
    "NODES_LOG",
    "SUCCEEDED_FILE",
    "parse_handles",
    "render_dag",
    "render_dagman",
]

DAG_FILE = "workflow.dag"
NODES_LOG = f"{DAG_FILE}.nodes.log"  # what DAGMan calls it
SUCCEEDED_FILE = "succeeded.sh"
_LOCK_FILE = f"{DAG_FILE}.lock"
LOG_FILES = ("workflow.log", NODES_LOG)
# What a DAGMan that is not known of may have left: it would take another for its successor.
LEFT_FILES = (*LOG_FILES, "dagman.log", _LOCK_FILE, f"{DAG_FILE}.metrics")

_SETTINGS = {
    "DAGMAN_LOG": "dagman.log",
    "MAX_DAGMAN_LOG": "0",  # it is not rotated
    # How long an end may be unseen. It looks whether one file has grown.
    "DAGMAN_USER_LOG_SCAN_INTERVAL": "1",
    # One sweep that waits (with up to max_idle jobs) is not to keep others from the queue.
    "DAGMAN_MAX_JOBS_IDLE": "10000",
    # What has failed is run again by us, as a workflow of its own.
    "DAGMAN_MAX_RESCUE_NUM": "0",
}
# No node may have the name of a keyword, such as "parent".
_PREFIX = "node-"
# A submission, and the name of its node on the next line.
_SUBMITTED = re.compile(
    rb'^0(?:00|35) \((\d+)\.[^\n]*\n[ \t]+(?:\[[^\n]*?DAGNodeName = "([^"\n]+)"|DAG Node: (\S+)\n)',
    re.MULTILINE,
)
# A node, and how many copies it has.
_COUNTED = re.compile(r"^SCRIPT POST (\S+) \S+ \S+ (\d+)$", re.MULTILINE)
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./-]+")


def render_dag(graph: Graph) -> str:
    """The text of ``workflow.dag``. Paths in it count from the graph's folder."""
    lines = []
    for node in graph.nodes:
        name = _known_as(node.name)
        lines.append(f"JOB {name} {_relative(description_path(node.submission), graph)}")
        lines.append(f"SCRIPT POST {name} ./{SUCCEEDED_FILE} {_results(node, graph)}")
    for node in graph.nodes:
        if node.parents:
            parents = " ".join(map(_known_as, node.parents))
            lines.append(f"PARENT {parents} CHILD {_known_as(node.name)}")
    return "".join(f"{line}\n" for line in lines)


def render_dagman(graph: Graph, program: str) -> str:
    """The submit description of DAGMan itself; ``program`` is where condor_dagman is."""
    settings = dict(_SETTINGS)
    if any(node.submission.copies is not None for node in graph.nodes):
        # By itself it makes all jobs of a cluster at once; condor_submit leaves that to the schedd.
        settings["DAGMAN_USE_DIRECT_SUBMIT"] = "False"
    environment = " ".join(f"_CONDOR_{name}={value}" for name, value in settings.items())
    commands = {
        "universe": "scheduler",
        "executable": submit_value(program),
        "arguments": f'"-f -l . -Lockfile {_LOCK_FILE} -Dag {DAG_FILE} -AutoRescue 0 -Dont_Suppress_notification"',
        "initialdir": submit_value(str(graph.folder)),
        # What finds the pool, the programs, and the user's own credentials for them.
        "getenv": "CONDOR_CONFIG, _CONDOR_*, PATH, HOME, USER",
        "environment": f'"{environment}"',
        "output": "workflow.out",
        "error": "workflow.err",
        "log": "workflow.log",
        "notification": "Never",
        # As condor_submit_dag has it: told to end, it removes its jobs; where it dies, it goes on again.
        "remove_kill_sig": "SIGUSR1",
        "My.OtherJobRemoveRequirements": '"DAGManJobId =?= $(cluster)"',
        "My.IsDaemonCore": "true",
        "on_exit_remove": "(ExitSignal =?= 11) || (ExitCode =!= undefined && ExitCode <= 2)",
        "My.JobBatchName": classad_string(graph.name or f"prominence-workflow-{graph.workflow_id}"),
        "My.ProminenceTag": classad_string(graph.tag),
        "My.ProminenceWorkflowId": str(graph.workflow_id),
    }
    return "".join(f"{name} = {value}\n" for name, value in commands.items()) + "queue\n"


def parse_handles(dag: str, log: bytes) -> dict[str, str]:
    """The handles of submissions by their nodes, of a log that may end anywhere; the last of each.

    >>> parse_handles(
    ...     "SCRIPT POST node-a ./succeeded.sh a 5\\n",
    ...     b'000 (012.000.000) Job submitted\\n    [ DAGNodeName = "node-a"; ]\\n...\\n',
    ... )
    {'a': '12'}
    """
    clusters = {
        (name or name_of_old).decode(): int(digits)
        for digits, name, name_of_old in _SUBMITTED.findall(log)
    }
    return {
        known_as.removeprefix(_PREFIX): f"{clusters[known_as]}{'' if int(count) else '.0'}"
        for known_as, count in _COUNTED.findall(dag)
        if known_as in clusters
    }


def _known_as(name: str) -> str:
    return f"{_PREFIX}{name}"


def _results(node: GraphNode, graph: Graph) -> str:
    """What the runner is asked with ``--succeeded``: a folder, and how many copies are below it."""
    submission: Submission = node.submission
    copies = submission.copies
    if copies is None:
        return f"{_relative(submission.folder, graph)} 0"
    if not copies.first:
        return f"{_relative(submission.folder, graph)} {copies.count}"
    if copies.count > 1:
        msg = f"Copies of a graph's node are counted from 0, unlike those of {node.name}."
        raise BackendError(msg)
    return f"{_relative(submission.folder / str(copies.first), graph)} 0"


def _relative(path: Path, graph: Graph) -> str:
    """A path as a word of a DAG file, in which only plain ones are the same for every HTCondor."""
    relative = os.path.relpath(path, graph.folder)
    if not _PLAIN_PATH.fullmatch(relative):
        msg = f"DAGMan cannot be told of the path {relative!r}, seen from {str(graph.folder)!r}."
        raise BackendError(msg)
    return relative
