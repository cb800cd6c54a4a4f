"""What DAGMan is told, and what its log tells."""

import doctest
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import htcondor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prominence_hpc.backends.base import Copies, Graph, GraphNode
from prominence_hpc.backends.htcondor import HTCondorBackend, dagman
from prominence_hpc.backends.htcondor.dagman import parse_handles, render_dag, render_dagman
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import BackendError
from prominence_hpc.wrappers.job_script import render_succeeded_script
from tests.unit.backends.helpers import TAG, FakePrograms, submission

FOLDER = Path("/home/a b/workflows/0/7")
MANY = Copies(first=0, count=500)


def node(name: str, *parents: str, copies: Copies | None = None, part: str = "") -> GraphNode:
    folder = FOLDER / (part or name)
    return GraphNode(name=name, submission=submission(folder, copies=copies), parents=parents)


GRAPH = Graph(
    tag=TAG,
    workflow_id=7,
    name="a/work flow",
    folder=FOLDER,
    runner=Path("/home/a b/runner.pyz"),
    nodes=(
        node("sweep", copies=MANY),
        node("child"),
        node("wide-3", copies=Copies(first=3, count=1), part="wide"),
        node("last", "sweep", "child"),
    ),
)
# As HTCondor 25.14 wrote it, by condor_submit and by DAGMan itself.
LOG = b"""\
035 (011.-01.000) 2026-11-28 16:56:45 Cluster submitted from host: <172.20.0.3:9618?addrs=1>
    [ DAGNodeName = "node-sweep"; JobBatchName = "workflow" ]
...
000 (011.000.000) 2026-11-28 16:56:45 Job submitted from host: <172.20.0.3:9618?addrs=172>
    [ DAGNodeName = "node-sweep"; JobBatchName = "workflow" ]
...
001 (011.000.000) 2026-11-28 16:56:46 Job executing on host: <172.20.0.7:9618?addrs=172>
\tSlotName: slot1_1@exec2.site.test
...
000 (012.000.000) 2026-11-28 16:57:45 Job submitted from host: <172.20.0.3:9618?addrs=172>
    DAG Node: node-child
...
000 (1013.000.000) 2026-11-28 16:57:45 Job submitted from host: <172.20.0.3:9618?addrs=172>
    [ JobBatchName = "x"; DAGNodeName = "node-last" ]
...
"""
HANDLES = {"sweep": "11", "child": "12.0", "last": "1013.0"}


def test_a_dag(golden: Callable[[str, str], None]) -> None:
    golden("workflow.dag", render_dag(GRAPH))


def test_dagman_s_submit_description(golden: Callable[[str, str], None]) -> None:
    golden("dagman.sub", render_dagman(GRAPH, "/usr/bin/condor_dagman"))


def test_the_script_that_judges_a_node(golden: Callable[[str, str], None]) -> None:
    golden("succeeded.sh", render_succeeded_script("/home/a b/runner.pyz"))


def test_examples() -> None:
    assert doctest.testmod(dagman).failed == 0


def test_htcondor_reads_the_description() -> None:
    graph = replace(GRAPH, name='$(HOME) "x"', folder=Path("/home/$x"))
    nodes = tuple(replace(n, submission=submission(Path("/home/$x/p"))) for n in GRAPH.nodes)
    read = htcondor2.Submit(render_dagman(replace(graph, nodes=nodes), "/usr/bin/condor_dagman"))
    assert read.expand("initialdir") == "/home/$x"
    assert read.expand("My.JobBatchName") == r'"\u0024(HOME) \u0022x\u0022"'
    assert read.expand("My.ProminenceTag") == f'"{TAG}"'


def test_clusters_of_many_are_submitted_by_condor_submit() -> None:
    assert "DIRECT_SUBMIT=False" in render_dagman(GRAPH, "x")
    single = replace(GRAPH, nodes=(node("one"), node("two", "one")))
    assert "DIRECT_SUBMIT" not in render_dagman(single, "x")


def test_a_path_that_a_dag_file_cannot_hold() -> None:
    with pytest.raises(BackendError, match=r"'my part/job\.sub'"):
        render_dag(replace(GRAPH, nodes=(node("a", part="my part"),)))


def test_handles_by_node() -> None:
    assert parse_handles(render_dag(GRAPH), LOG) == HANDLES


def test_a_node_that_was_submitted_again_is_known_by_its_last() -> None:
    again = LOG.replace(b"(012.", b"(044.")
    assert parse_handles(render_dag(GRAPH), LOG + again) == HANDLES | {"child": "44.0"}


@given(st.integers(0, len(LOG)))
def test_a_log_that_is_being_written(end: int) -> None:
    found = parse_handles(render_dag(GRAPH), LOG[:end])
    assert found.items() <= HANDLES.items()
    assert list(found) == list(HANDLES)[: len(found)]


def test_submission_over_what_a_lost_one_has_left(
    tmp_path: Path, programs: FakePrograms, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prominence_hpc.backends.htcondor import client

    def submit(description: str, *, timeout_seconds: float) -> int:
        left = {path.name for path in tmp_path.iterdir()}
        assert not {"workflow.dag.lock", "dagman.log"} & left
        assert (tmp_path / "workflow.dag.nodes.log").read_bytes() == b""
        assert "condor_dagman" in description
        assert timeout_seconds == 10
        return 63

    monkeypatch.setattr(client, "submit", submit)
    programs.add("condor_dagman")
    (tmp_path / "workflow.dag.lock").write_text("")
    (tmp_path / "dagman.log").write_text("")
    (tmp_path / "workflow.dag.nodes.log").write_bytes(LOG)
    folder = tmp_path / "one"
    folder.mkdir()
    one = GraphNode(name="one", submission=submission(folder))
    graph = replace(GRAPH, folder=tmp_path, nodes=(one,))
    backend = HTCondorBackend(
        SiteSettings(name="pool", backend="htcondor", command_timeout_seconds=10)
    )
    assert backend.submit_graph(graph) == "63.0"
    assert "exit 0" in (folder / "job.sh").read_text()  # silent, even without a Python
    assert "ProminenceFinalHolds" in (folder / "job.sub").read_text()
    assert (tmp_path / "succeeded.sh").stat().st_mode & 0o777 == 0o700
    for name in ("workflow.dag", "workflow.log", "workflow.dag.nodes.log"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert backend.graph_handles(tmp_path) == {}
    assert backend.graph_handles(tmp_path / "none") == {}


@pytest.mark.usefixtures("programs")
def test_no_dagman_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    backend = HTCondorBackend(SiteSettings(name="pool", backend="htcondor"))
    with pytest.raises(BackendError, match=r"condor_dagman.*Nothing was submitted"):
        backend.submit_graph(replace(GRAPH, folder=tmp_path, nodes=()))
