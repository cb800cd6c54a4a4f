"""``describe``: the contract's document, from record, description and report."""

from dataclasses import replace
from typing import Any, cast

from prominence_hpc.adapter.describe import describe_job, document_without_secrets
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.wrappers.report import Report

RECORD = JobRecord(
    id=12, uid="u" * 32, tag="t" * 32, site="hpc", backend="slurm", name="test", image="i.sif",
    command="true", labels={"a": "b"}, created=0.0, state="submitted", handle="4711",
    absent_since=None, deleted=False, cancelled=False, removed=False, leave_in_queue=False,
    status="completed", status_reason="", final=True, started=60.0, ended=3661.0, seen=None,
    claim=None,
)  # fmt: skip
DOCUMENT: dict[str, Any] = {
    "name": "test",
    "labels": {"a": "b"},
    "resources": {"cpus": 1, "memory": 1, "disk": 10, "nodes": 1},
    "inputs": [{"filename": "in.txt", "content": "eA=="}],
    "outputFiles": ["out.txt", "*.dat"],
    "outputDirs": ["sub/results"],
    "tasks": [
        {
            "image": "i.sif",
            "runtime": "singularity",
            "imagePullCredential": {"username": "me", "token": "s3cret"},
        }
    ],
}
REPORT = cast(
    "Report",
    {
        "version": 1, "job_id": 12, "attempt": 0, "phase": "finished", "outcome": "completed",
        "reason": "", "detail": "", "host": "node1", "start_time": 60.0, "update_time": 61.0,
        "end_time": 3661.0, "stage_in_time": 1.23456, "stage_out_time": 0.5,
        "cpu": {"vendor": "V", "model": "M", "clock": "2.0 GHz"},
        "runtime_version": "apptainer version 1.4.5", "max_memory_usage_kb": 2048,
        "provisioned": {"cpus": 1, "memory": 1, "disk": 10, "nodes": 1},
        "tasks": [
            {"number": 0, "type": "basic",
             "exit_code": 0, "retries": 0, "image_pull_time": -1, "image_pull_status": "cached",
             "image_sha256": "ab" * 32, "wall_time": 1.0, "cpu_time": 0.9,
             "max_resident_set_size_kb": 2048},
            {"number": 1, "type": "sidecar",
             "exit_code": 143, "retries": 0, "image_pull_time": -1, "image_pull_status": "cached",
             "image_sha256": None, "wall_time": 1.0, "cpu_time": 0.9,
             "max_resident_set_size_kb": 20,
             "ended_early": False, "output_bytes": 8, "output_tail": "serving\n"},
        ],
        "outputs": [
            {"name": "out.txt", "kind": "file", "error": None,
             "objects": [{"name": "out.txt", "size_bytes": 1, "sha256": "cd" * 32}]},
            {"name": "*.dat", "kind": "pattern", "error": None,
             "objects": [{"name": "a.dat", "size_bytes": 1, "sha256": ""},
                         {"name": "b.dat", "size_bytes": 1, "sha256": ""}]},
            {"name": "sub/results", "kind": "directory", "error": None,
             "objects": [{"name": "results.tgz", "size_bytes": 1, "sha256": ""}]},
        ],
    },
)  # fmt: skip


def described(report: Report | None = REPORT) -> dict[str, Any]:
    return describe_job(RECORD, DOCUMENT, report, lambda name: f"https://store/{name}?signed")


def test_what_the_contract_asks_for() -> None:
    document = described()
    assert list(document) == [
        "id", "name", "status", "resources", "labels", "inputFiles", "outputFiles", "outputDirs",
        "tasks", "events", "execution",
    ]  # fmt: skip
    assert document["events"] == {
        "createTime": "1970-01-01 00:00:00",
        "startTime": "1970-01-01 00:01:00",
        "endTime": "1970-01-01 01:01:01",
    }
    assert document["inputFiles"] == ["in.txt"]
    assert document["outputFiles"] == [
        {"name": "out.txt", "url": "https://store/out.txt?signed"},
        {
            "name": "*.dat",
            "files": [
                {"name": "a.dat", "url": "https://store/a.dat?signed"},
                {"name": "b.dat", "url": "https://store/b.dat?signed"},
            ],
        },
    ]
    assert document["outputDirs"] == [
        {"name": "sub/results", "url": "https://store/results.tgz?signed"}
    ]
    execution = document["execution"]
    assert (execution["site"], execution["backend"], execution["backendId"]) == (
        "hpc", "slurm", "4711",
    )  # fmt: skip
    assert execution["stageInTime"] == 1.235
    assert execution["tasks"][0]["imagePullTime"] == -1


def test_no_url_before_the_output_exists() -> None:
    document = described(None)
    assert document["outputFiles"] == [{"name": "out.txt"}, {"name": "*.dat"}]
    assert document["execution"] == {"site": "hpc", "backend": "slurm", "backendId": "4711"}


def test_a_registry_token_is_not_shown() -> None:
    assert "s3cret" not in repr(described())
    assert described()["tasks"][0]["imagePullCredential"] == {"username": "me"}


def test_credentials_of_remote_storage_are_not_shown() -> None:
    webdav = {"url": "https://dav.example/x", "username": "s3cret-name", "password": "s3cret-word"}
    document = DOCUMENT | {"storage": {"type": "webdav", "mountpoint": "/d", "webdav": webdav}}
    for shown in (
        describe_job(RECORD, document, REPORT, lambda name: name),
        document_without_secrets(document),
    ):
        assert "s3cret" not in repr(shown)
        assert shown["storage"] == {
            "type": "webdav",
            "mountpoint": "/d",
            "webdav": {"url": "https://dav.example/x"},
        }
    assert document_without_secrets(DOCUMENT)["resources"] == DOCUMENT["resources"]


def attempt(number: int, **fields: Any) -> Report:
    tasks = [{**REPORT["tasks"][0], "number": 0, "type": "basic", "exit_code": 3}]
    values = {"attempt": number, "cause": "task", "tasks": tasks, "outputs": []}
    return cast("Report", {**REPORT, **values, **fields})


def attempts_of(
    report: Report | None, earlier: dict[int, Report | None], **record: Any
) -> dict[str, Any]:
    found = describe_job(replace(RECORD, **record), DOCUMENT, report, str, earlier)
    execution = found["execution"]
    assert isinstance(execution, dict)
    return execution


def test_attempts_of_a_job_that_was_run_again() -> None:
    """One that left no report was ended by its node; the last is the report's own."""
    execution = attempts_of(attempt(2), {1: attempt(0, phase="retrying"), 2: None})
    first, second, third = execution["attempts"]
    assert first == {
        "attempt": 1,
        "cause": "task",
        "reason": "exit code 3 of task 0",
        "exitCodes": [3],
        "startTime": "1970-01-01 00:01:00",
        "endTime": "1970-01-01 01:01:01",
        "host": "node1",
    }
    assert (second["attempt"], second["cause"]) == (2, "infrastructure")
    assert (third["attempt"], execution["retries"]) == (3, 2)


def test_a_job_that_ran_once_has_no_attempts() -> None:
    assert "attempts" not in described()["execution"]


def test_while_the_next_attempt_runs_the_report_before_is_of_an_earlier_one() -> None:
    """HTCondor brings the next one's home at its end."""
    before = attempt(0, phase="retrying")
    execution = attempts_of(before, {1: before}, status="running", final=False)
    assert [item["attempt"] for item in execution["attempts"]] == [1]
    assert not {"tasks", "host", "retries"} & execution.keys()
    waits = attempts_of(before, {}, status="idle", final=False)
    assert [item["attempt"] for item in waits["attempts"]] == [1]
