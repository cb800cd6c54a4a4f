"""A job that waits for days finds URLs in its plan that are still good."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from prominence_hpc.adapter.config.load import Config
from prominence_hpc.adapter.create import write_job
from prominence_hpc.adapter.renewal import renew_urls
from prominence_hpc.adapter.spec.decode import decode_job
from prominence_hpc.adapter.storage.base import StorageSettings
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.state_folder import PLAN_FILE, job_folder, part_folder
from prominence_hpc.adapter.workflows.create import create_workflow
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.backends.settings import SiteSettings
from tests.unit.workflows.site import cluster_at, job, sweep

DAY = 86400.0
SITE = SiteSettings(name="here", backend="local")
DOCUMENT = {
    "tasks": [{"image": "/images/x.sif", "cmd": "true"}],
    "resources": {"memory": 1},
    "outputFiles": ["out"],
}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-key")
    storage = StorageSettings(type="s3", endpoint="https://s3.example", bucket="b")
    config = Config(
        default_site="here", sites={"here": SITE}, storage=storage, user="alice", origins={}
    )
    return Workspace(config, tmp_path)


def job_of_age(workspace: Workspace, days: float) -> JobRecord:
    """A job that was created, and its plan written, so long ago."""
    then = time.time() - days * DAY
    record = workspace.store.create_intent(site="here", backend="local", now=then)
    write_job(workspace, decode_job(DOCUMENT), record, {}, SITE)
    os.utime(plan_of(workspace, record), (then, then))
    return record


def plan_of(workspace: Workspace, record: JobRecord) -> Path:
    return job_folder(workspace.state, record.id) / PLAN_FILE


def test_urls_are_signed_anew_after_half_of_their_life(workspace: Workspace) -> None:
    record = job_of_age(workspace, days=4)
    path = plan_of(workspace, record)
    path.write_text(path.read_text().replace("X-Amz-Date=2", "X-Amz-Date=1"))
    os.utime(path, (record.created, record.created))
    assert renew_urls(workspace, [record], time.time()) == []
    (output,) = json.loads(path.read_text())["outputs"]
    today = time.strftime("X-Amz-Date=%Y%m%d", time.gmtime())
    assert today in output["destination"]["url"]
    assert path.stat().st_mode & 0o777 == 0o600
    written = path.stat().st_mtime_ns
    assert renew_urls(workspace, [record], time.time()) == []  # once is enough
    assert path.stat().st_mtime_ns == written


def test_young_jobs_are_left_alone(workspace: Workspace) -> None:
    record = job_of_age(workspace, days=3)
    before = plan_of(workspace, record).stat().st_mtime_ns
    assert renew_urls(workspace, [record], time.time()) == []
    assert plan_of(workspace, record).stat().st_mtime_ns == before


def test_what_cannot_be_renewed_is_told(workspace: Workspace) -> None:
    record = job_of_age(workspace, days=4)
    (job_folder(workspace.state, record.id) / "job.json").write_text('{"tasks": 1}')
    (message,) = renew_urls(workspace, [record], time.time())
    assert message.startswith(f"The URLs of job {record.id} could not be renewed")


def test_the_one_plan_of_a_sweep_is_signed_anew(workspace: Workspace, tmp_path: Path) -> None:
    workspace._backends["here"] = cluster_at(tmp_path)
    document = {
        "jobs": [job("a", "echo $x", outputFiles=["$x"])],
        "factories": [sweep("a", end=2)],
    }
    workflow = create_workflow(workspace, document, None)
    then = time.time() - 4 * DAY
    plan = part_folder(workspace.state, workflow.id, 0) / PLAN_FILE
    before = plan.read_text()
    plan.write_text(before.replace("x-amz-signature", "old"))
    os.utime(plan, (then, then))
    jobs = [replace(item, created=then) for item in workspace.store.workflows.jobs(workflow.id)]
    assert renew_urls(workspace, jobs, time.time()) == []
    assert json.loads(plan.read_text()).keys() == json.loads(before).keys()
    (output,) = json.loads(plan.read_text())["outputs"]
    assert output["destination"]["fields"]["x-amz-signature"]
    assert plan.stat().st_mode & 0o777 == 0o600
