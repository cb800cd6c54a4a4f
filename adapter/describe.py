"""What ``prominence describe`` prints: the contract's document, filled from record and report.

Pure: the record says what we know of the job, the description what was asked for, the report what
the wrapper measured.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from prominence_hpc.adapter.attempts import WITHOUT_A_WORD, what_went_wrong
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.wrappers.report import OutputReport, Report, TaskReport

__all__ = ["describe_job", "document_without_secrets", "format_time"]

# Gives a URL for an object named below the job's prefix in storage.
UrlOf = Callable[[str], str]


def describe_job(
    record: JobRecord,
    document: Mapping[str, Any],
    report: Report | None,
    url_of: UrlOf,
    earlier: Mapping[int, Report | None] = MappingProxyType({}),
    membership: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """The description of one job as JSON data, keys in the contract's order; empty ones left out.

    ``earlier``: the reports of its earlier attempts, by number. ``membership``: of a workflow's job, its
    ``parameters`` and its ``workflow``.
    """
    if report and report["phase"] == "retrying" and record.status == "running":
        # The next attempt runs, and its own report is still on its node.
        earlier, report = {**earlier, report["attempt"] + 1: report}, None
    described: dict[str, Any] = {
        "id": record.id,
        "name": record.name,
        "status": record.status,
        "statusReason": record.status_reason,
        "resources": document.get("resources"),
        "labels": document.get("labels"),
        "artifacts": document.get("artifacts"),
        "inputFiles": [item["filename"] for item in document.get("inputs", [])],
        "outputFiles": outputs(document.get("outputFiles", []), report, url_of, directories=False),
        "outputDirs": outputs(document.get("outputDirs", []), report, url_of, directories=True),
        "parameters": membership.get("parameters"),
        "workflow": membership.get("workflow"),
        "tasks": [without_secrets(task) for task in document["tasks"]],
        "policies": document.get("policies"),
        "notifications": document.get("notifications"),
        "storage": storage_without_secrets(document.get("storage")),
        "events": events(record),
        "execution": execution(record, report) | attempts(report, earlier),
    }
    return {key: value for key, value in described.items() if value not in (None, "", [], {})}


def without_secrets(task: Mapping[str, Any]) -> dict[str, Any]:
    """A task without the token of a private registry."""
    shown = dict(task)
    credential = shown.get("imagePullCredential")
    if credential:
        shown["imagePullCredential"] = {"username": credential.get("username")}
    return shown


def storage_without_secrets(storage: Mapping[str, Any] | None) -> dict[str, Any]:
    """What remote storage is mounted where, and how it is reached, without names and passwords."""
    if not storage:
        return {}
    shown = {key: storage[key] for key in ("type", "mountpoint") if storage.get(key)}
    url = storage.get("webdav", {}).get("url")
    return shown | ({"webdav": {"url": url}} if url else {})


def document_without_secrets(document: Mapping[str, Any]) -> dict[str, Any]:
    """A description as it was submitted, to be shown."""
    shown = {**document, "tasks": [without_secrets(task) for task in document["tasks"]]}
    if "storage" in document:
        shown["storage"] = storage_without_secrets(document["storage"])
    return shown


def outputs(
    names: list[str], report: Report | None, url_of: UrlOf, *, directories: bool
) -> list[dict[str, Any]]:
    reported = {
        item["name"]: item
        for item in (report["outputs"] if report else [])
        if (item["kind"] == "directory") == directories
    }
    return [output(name, reported.get(name), url_of) for name in names]


def output(name: str, reported: OutputReport | None, url_of: UrlOf) -> dict[str, Any]:
    """``{name, url}``; for a pattern ``{name, files: [{name, url}]}``; no url before it exists."""
    if not reported or not reported["objects"]:
        return {"name": name}
    if reported["kind"] == "pattern":
        files = [
            {"name": item["name"], "url": url_of(item["name"])} for item in reported["objects"]
        ]
        return {"name": name, "files": files}
    return {"name": name, "url": url_of(reported["objects"][0]["name"])}


def events(record: JobRecord) -> dict[str, str]:
    times = {
        "createTime": record.created,
        "startTime": record.started,
        "endTime": record.ended,
    }
    return {key: format_time(value) for key, value in times.items() if value is not None}


def format_time(seconds: float) -> str:
    """Seconds since the epoch as ``YYYY-MM-DD HH:MM:SS`` in UTC, as PROMINENCE prints times."""
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")


def execution(record: JobRecord, report: Report | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "site": record.site,
        "backend": record.backend,
        "backendId": record.handle,
    }
    if report:
        found |= {
            "host": report["host"],
            "nodes": report.get("nodes"),
            "provisionedResources": report["provisioned"],
            "cpu": report["cpu"],
            "runtimeVersion": report["runtime_version"],
            "maxMemoryUsageKB": report["max_memory_usage_kb"],
            "stageInTime": rounded(report["stage_in_time"]),
            "stageOutTime": rounded(report["stage_out_time"]),
            "retries": report["attempt"],
            "detail": report["detail"],
            "tasks": [task_execution(task) for task in report["tasks"]],
        }
    return {key: value for key, value in found.items() if value not in (None, "", [], {})}


def attempts(
    report: Report | None, earlier: Mapping[int, Report | None]
) -> dict[str, list[dict[str, Any]]]:
    """``{attempts: […]}`` of a job that was started more than once; of any other nothing."""
    known = dict(earlier)
    if report:
        known[report["attempt"] + 1] = report
    if not earlier and (report is None or report["phase"] != "retrying"):
        return {}
    return {"attempts": [attempt(number, known[number]) for number in sorted(known)]}


def attempt(number: int, report: Report | None) -> dict[str, Any]:
    """One attempt: whose fault its end was, why, when and where it ran."""
    if report is None:
        return {"attempt": number, "cause": "infrastructure", "reason": WITHOUT_A_WORD}
    found = {
        "attempt": number,
        "cause": report.get("cause"),
        "reason": what_went_wrong(report) if report["end_time"] else None,
        "exitCodes": [task["exit_code"] for task in report["tasks"]],
        "startTime": format_time(report["start_time"]),
        "endTime": format_time(report["end_time"]) if report["end_time"] else None,
        "host": report["host"],
    }
    return {key: value for key, value in found.items() if value not in (None, "", [])}


def task_execution(task: TaskReport) -> dict[str, Any]:
    found = {
        "taskNum": task["number"],
        "type": task["type"] if task["type"] != "basic" else None,
        "exitCode": task["exit_code"],
        "retries": task["retries"],
        "imagePullTime": rounded(task["image_pull_time"]),
        "imagePullStatus": task["image_pull_status"],
        "imageSha256": task["image_sha256"],
        "wallTimeUsage": rounded(task["wall_time"]),
        "cpuTimeUsage": rounded(task["cpu_time"]),
        "maxResidentSetSizeKB": task["max_resident_set_size_kb"],
        "endedEarly": task.get("ended_early"),
        "outputBytes": task.get("output_bytes"),
        "outputTail": task.get("output_tail"),
    }
    return {key: value for key, value in found.items() if value is not None}


def rounded(seconds: float | None) -> float | None:
    """Seconds to the millisecond: what is measured is no better."""
    return None if seconds is None else round(seconds, 3)
