"""Whoever describes a running job is told what it is doing; a listing does not pay for it."""

import json
import os
import time
from pathlib import Path

import pytest

from prominence_hpc.adapter.jobs import Selection, describe, list_jobs
from prominence_hpc.adapter.store.state_folder import make_job_folder
from prominence_hpc.adapter.workspace import Workspace, open_workspace
from prominence_hpc.wrappers.report import REPORT_VERSION, Report

CONFIGURATION = """\
[storage]
type = "folder"
path = "{folder}/storage"

[sites.here]
backend = "slurm"
"""
# One job, which runs.
SQUEUE = """\
#!/bin/sh
echo '7|N/A|0|RUNNING|1000|2000|0:0|node1|None'
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    squeue = tmp_path / "squeue"
    squeue.write_text(SQUEUE)
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    configuration = tmp_path / "config.toml"
    configuration.write_text(CONFIGURATION.format(folder=tmp_path))
    return open_workspace(
        {"PROMINENCE_CONFIG": str(configuration), "PROMINENCE_HOME": str(tmp_path / "home")}
    )


def test_describe_says_what_a_running_job_is_doing(workspace: Workspace) -> None:
    job = workspace.store.create_intent(site="here", backend="slurm", now=time.time())
    folder = make_job_folder(workspace.state, job.id)
    (folder / "job.json").write_text(json.dumps({"tasks": [{"image": "a.sif"}]}))
    report = dict.fromkeys(Report.__required_keys__) | {
        "version": REPORT_VERSION,
        "phase": "stage-in",
        "attempt": 0,
        "reason": "",
        "outputs": [],
        "tasks": [],
        "start_time": 1000.0,
        "update_time": 1001.0,
    }
    (folder / "report.json").write_text(json.dumps(report))
    workspace.store.record_handle(job.id, "7")

    (listed,) = list_jobs(workspace, Selection()).records
    assert (listed.status, listed.status_reason) == ("running", "")

    document, warnings = describe(workspace, job.id)
    assert (document["status"], warnings) == ("running", [])
    assert document["statusReason"] == "Fetching images and artifacts"
