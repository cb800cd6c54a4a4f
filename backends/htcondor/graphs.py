"""Graphs handed over to DAGMan: the files of one, and its submission."""

from collections.abc import Callable
from pathlib import Path

from prominence_hpc.backends.base import Graph, Submission
from prominence_hpc.backends.htcondor import client
from prominence_hpc.backends.htcondor.dagman import (
    DAG_FILE,
    LEFT_FILES,
    LOG_FILES,
    NODES_LOG,
    SUCCEEDED_FILE,
    parse_handles,
    render_dag,
    render_dagman,
)
from prominence_hpc.backends.job_folder import write_private
from prominence_hpc.backends.run_command import find_program
from prominence_hpc.errors import BackendError
from prominence_hpc.wrappers.job_script import render_succeeded_script

__all__ = ["handles_of", "submit_graph"]


def submit_graph(
    graph: Graph, prepare: Callable[[Submission], object], *, timeout_seconds: float
) -> str:
    """Submit DAGMan with what it is to run; returns its handle.

    ``prepare`` writes what a node's submission needs into its folder.
    """
    program = find_program("condor_dagman")
    if program is None:
        msg = "The workflow needs condor_dagman, which is not on the PATH here. Nothing was submitted."
        raise BackendError(msg)
    for node in graph.nodes:
        prepare(node.submission)
    folder = graph.folder
    for name in LEFT_FILES:
        (folder / name).unlink(missing_ok=True)
    for name in LOG_FILES:
        (folder / name).touch(mode=0o600)  # HTCondor would let everybody read them
    description = render_dagman(graph, program)
    write_private(folder / DAG_FILE, render_dag(graph))
    write_private(folder / SUCCEEDED_FILE, render_succeeded_script(str(graph.runner)), mode=0o700)
    write_private(folder / "dagman.sub", description)
    return f"{client.submit(description, timeout_seconds=timeout_seconds)}.0"


def handles_of(folder: Path) -> dict[str, str]:
    """See :meth:`.Backend.graph_handles`."""
    try:
        return parse_handles((folder / DAG_FILE).read_text(), (folder / NODES_LOG).read_bytes())
    except FileNotFoundError:
        return {}
