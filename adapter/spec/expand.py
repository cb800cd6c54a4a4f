"""What the command line makes of a description: lines become tasks, local files inputs.

Descriptions are expanded before they are checked: whatever does not have the form that an expansion
wants is left as it is, for the decoder to complain of.
"""

import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prominence_hpc.adapter.spec.input_files import input_entry
from prominence_hpc.adapter.spec.place import INVALID, Place
from prominence_hpc.adapter.spec.texts import FILE_SCHEME, WORKING_DIRECTORY
from prominence_hpc.errors import SpecError, UsageError

__all__ = ["expand"]


def expand(document: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    """A copy of a job or workflow with multi-line commands and ``file://`` inputs put in place.

    ``folder``: where the description lies; None where it came from a URL, which gets no local
    files. Raises SpecError naming every input that cannot be read.
    """
    place = Place()
    jobs = document.get("jobs")
    if isinstance(jobs, list):
        here = place.key("jobs")
        expanded = document | {
            "jobs": [expand_job(job, folder, here.item(index)) for index, job in enumerate(jobs)]
        }
    else:
        expanded = expand_job(document, folder, place)
    if place.problems:
        raise SpecError(place.problems)
    return expanded


def expand_job(job: Any, folder: Path | None, place: Place) -> Any:
    if not isinstance(job, dict):
        return job
    expanded = dict(job)
    if folder is not None and isinstance(job.get("inputs"), list):
        here = place.key("inputs")
        expanded["inputs"] = [
            local_input(item, folder, here.item(index)) for index, item in enumerate(job["inputs"])
        ]
    if isinstance(job.get("tasks"), list):
        expand_tasks(expanded)
    return expanded


def local_input(item: Any, folder: Path, place: Place) -> Any:
    """The entry for ``file://PATH``, or for an entry whose content that is.

    Such an entry keeps its own filename, and its own word on whether it is executable.
    """
    if names_file(item):
        return read_entry(item, folder, place)
    if not isinstance(item, dict) or not names_file(item.get("content")):
        return item
    entry = read_entry(item["content"], folder, place.key("content"))
    if entry is INVALID:
        return item
    del entry["filename"]
    return entry | item | {"content": entry["content"]}


def names_file(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(FILE_SCHEME)


def read_entry(url: str, folder: Path, place: Place) -> Any:
    """The entry for ``file://PATH``; PATH counts from the current folder, as it does in PROMINENCE.

    Where it is not there, it counts from the description's own folder.
    """
    path = Path(url.removeprefix(FILE_SCHEME))
    try:
        return input_entry(path if present(path) or not present(folder / path) else folder / path)
    except UsageError as error:
        return place.note(str(error))


def present(path: Path) -> bool:
    """Whether there is something; a path that cannot be one (a NUL character) is nothing."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def expand_tasks(job: dict[str, Any]) -> None:
    """Commands of several lines become several tasks; scripts become input files."""
    tasks: list[Any] = []
    scripts: list[dict[str, Any]] = []
    inputs = job.get("inputs", [])
    taken = names_of(inputs)
    for task in job["tasks"]:
        command = task.get("cmd") if isinstance(task, dict) else None
        if not isinstance(command, str) or "\n" not in command or not encodable(command):
            tasks.append(task)
        elif command.startswith("#!") and isinstance(inputs, list):
            name = unused(f"cmd-{len(scripts)}", taken)
            scripts.append(script(name, command))
            tasks.append(task | {"cmd": script_path(name, task)})
        else:
            tasks.extend(task | {"cmd": line} for line in lines_of(command))
    job["tasks"] = tasks
    if scripts:
        job["inputs"] = [*inputs, *scripts]


def names_of(inputs: Any) -> set[str]:
    entries = inputs if isinstance(inputs, list) else []
    names = (item.get("filename") for item in entries if isinstance(item, dict))
    return {name for name in names if isinstance(name, str)}


def unused(stem: str, taken: set[str]) -> str:
    """``stem.sh``, numbered where an input has that name; the answer is taken from then on."""
    name, count = f"{stem}.sh", 0
    while name in taken:
        count += 1
        name = f"{stem}-{count}.sh"
    taken.add(name)
    return name


def script(name: str, text: str) -> dict[str, Any]:
    content = binascii.b2a_base64(text.encode(), newline=False).decode("ascii")
    return {"filename": name, "content": content, "executable": True}


def script_path(name: str, task: dict[str, Any]) -> str:
    """Inputs lie in the job's working directory, which a task's workdir leaves."""
    return f"{WORKING_DIRECTORY}/{name}" if task.get("workdir") else f"./{name}"


def lines_of(command: str) -> Sequence[str]:
    """The lines that hold something; a command of blank lines alone stays the one blank command."""
    lines = [line.removesuffix("\r") for line in command.split("\n")]
    return [line for line in lines if line.strip()] or [""]


def encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
