"""Tasks in the report: an entry for each that began, in the order of the plan's tasks."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .ended import Ended
    from .images import Image
    from .report import ReportFile


class Entries:
    """Adds entries as tasks begin, and notes what became of them."""

    def __init__(self, plan: "dict[str, Any]", report: "ReportFile") -> None:
        self.plan = plan
        self.report = report
        self._used: "set[int]" = set()

    def begin(self, number: int, image: "Image") -> "dict[str, Any]":
        task = self.plan["tasks"][number]
        entry = task_entry(number, task, image, task["image"] in self._used)
        self._used.add(task["image"])
        entries = self.report.document["tasks"]
        entries.append(entry)
        entries.sort(key=lambda entry: int(entry["number"]))
        self.report.note()
        return entry

    def ended(self, entry: "dict[str, Any]", ended: "Ended") -> None:
        """Times add up where a task runs more than once."""
        entry["exit_code"] = ended.exit_code
        entry["wall_time"] = round(entry["wall_time"] + ended.wall_time, 3)
        entry["cpu_time"] = round(entry["cpu_time"] + ended.cpu_time, 3)
        most = max(entry["max_resident_set_size_kb"], ended.max_kb)
        entry["max_resident_set_size_kb"] = most
        document = self.report.document
        document["max_memory_usage_kb"] = max(document["max_memory_usage_kb"], most)


def task_entry(number: int, task: "dict[str, Any]", image: "Image", used: bool) -> "dict[str, Any]":
    """A task's part of the report as it starts; ``used``: an earlier task has had the image."""
    return {
        "number": number,
        "type": task["type"],
        "exit_code": None,
        "retries": 0,
        "image_pull_time": -1 if used else round(image.seconds, 3),
        "image_pull_status": "cached" if used else image.status,
        "image_sha256": image.sha256,
        "wall_time": 0.0,
        "cpu_time": 0.0,
        "max_resident_set_size_kb": 0,
    }
