"""What `run --dry-run` shows of a workflow, by the real backends; nothing is recorded, nobody asked."""

from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.adapter.workflows.preview import preview_workflow
from prominence_hpc.backends import BACKENDS
from prominence_hpc.backends.settings import BackendName, SiteSettings
from prominence_hpc.errors import SpecError
from tests.unit.workflows.site import DOCUMENT, workspace_at


def preview(folder: Path, backend: BackendName, document: dict[str, Any]) -> dict[str, Any]:
    site = SiteSettings(name="here", backend=backend)
    workspace = workspace_at(folder, BACKENDS[backend](site, folder), backend=backend)
    shown = preview_workflow(workspace, document, None)
    assert not (workspace.state / "workflows").exists()
    assert not (workspace.state / "state.db").exists()
    return shown


def test_slurm_would_be_given_arrays_that_wait(tmp_path: Path) -> None:
    shown = preview(tmp_path, "slurm", DOCUMENT)
    assert [job["name"] for job in shown["jobs"]][:2] == ["w/merge", "w/many/0"]
    assert shown["jobs"][3]["tasks"][0]["cmd"] == "echo 2"
    prepare, many, merge = shown["submissions"]
    assert "--dependency" not in prepare["texts"]["sbatch"]
    assert many["jobs"] == 5
    assert "--array=0-4" in many["texts"]["sbatch"]
    assert "--dependency=afterok:JOB_ID_OF_prepare" in many["texts"]["sbatch"]
    assert "--dependency=afterok:JOB_ID_OF_many" in merge["texts"]["sbatch"]
    assert "#SBATCH --cpus-per-task=1" in merge["texts"]["job.sh"]


def test_htcondor_would_be_given_a_dag(tmp_path: Path) -> None:
    (whole,) = preview(tmp_path, "htcondor", DOCUMENT)["submissions"]
    texts = whole["texts"]
    assert "PARENT node-part-1-0 CHILD node-part-0-0" in texts["workflow.dag"]
    assert "queue 5" in texts["1/job.sub"]
    assert "queue 5" not in texts["2/job.sub"]
    assert texts["0/job.sh"].startswith("#!")


def test_a_wrong_workflow_is_refused_as_it_would_be(tmp_path: Path) -> None:
    document = {**DOCUMENT, "dependencies": {"merge": ["prepare"], "prepare": ["merge"]}}
    with pytest.raises(SpecError, match="go round in a circle"):
        preview(tmp_path, "slurm", document)
