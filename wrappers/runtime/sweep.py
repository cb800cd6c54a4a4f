"""The plan of one job of a sweep, worked out from the plan that all of them share.

The job's own folder, ``N`` beside the shared plan, takes its plan: paths that counted from the shared
plan's folder get ``../`` in front. No input or output here.
"""

import os
import posixpath
import re

from .text import is_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict

    Document = Dict[str, Any]
    Put = Callable[[str], str]

# As adapter/spec/substitution.py has it, which checks what the user wrote.
NAME = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
FILES = ("sif", "docker-archive")  # kinds of images whose source is an address or a path


class NoSuchCopy(Exception):
    """The sweep has no job of this number, or none that could be run."""


def copy_of(plan: "Document", number: int, plan_name: str = "plan.json") -> "Document":
    """The plan of copy ``number``; ``plan`` stays as it is. Raises NoSuchCopy.

    ``copy_of`` in it says where it comes from: the shared plan, ``plan_name``, and the number.
    """
    sweep = plan["sweep"]
    index = index_of(sweep, number)
    values = values_of(sweep, index)

    def put(text: str) -> str:
        return NAME.sub(lambda match: values.get(match.group(1) or match.group(2), match[0]), text)

    return dict(
        plan,
        job_id=sweep["first_job_id"] + number,
        job_uid="%s/%d" % (plan["job_uid"], number),
        name="%s/%d" % (plan["name"], index),
        parameters=values,
        images=[_image(image) for image in plan["images"]],
        artifacts=[_artifact(artifact, put, sweep["objects"]) for artifact in plan["artifacts"]],
        tasks=[_task(task, put) for task in plan["tasks"]],
        outputs=[_output(output, put, plan["artifacts"], number) for output in plan["outputs"]],
        sweep=None,
        copy_of={"plan": "../" + plan_name, "number": number},
    )


def index_of(sweep: "Document", number: int) -> int:
    """Which of the sweep's combinations of values copy ``number`` has."""
    if sweep["indices"] is None:
        return number
    if not 0 <= number < len(sweep["indices"]):
        raise _missing(number)
    return int(sweep["indices"][number])


def values_of(sweep: "Document", index: int) -> "Dict[str, str]":
    """The parameters' values by name, in the parameters' order.

    >>> x, y = {"name": "x", "values": ["1", "2"]}, {"name": "y", "values": ["a", "b"]}
    >>> values_of({"parameters": [x, y], "product": True}, 2)
    {'x': '2', 'y': 'a'}
    >>> values_of({"parameters": [x, y], "product": False}, 1)
    {'x': '2', 'y': 'b'}
    """
    parameters = sweep["parameters"]
    rest = index if sweep["product"] and parameters else 0
    found = {}
    for parameter in reversed(parameters):
        place = index
        if sweep["product"]:
            rest, place = divmod(rest, len(parameter["values"]))
        if not 0 <= place < len(parameter["values"]):
            raise _missing(index)
        found[parameter["name"]] = parameter["values"][place]
    if rest:
        raise _missing(index)
    return {parameter["name"]: found[parameter["name"]] for parameter in parameters}


def _missing(number: int) -> NoSuchCopy:
    return NoSuchCopy("the sweep has no job %d" % number)


def one_deeper(source: str) -> str:
    """An address or path of the shared plan as it is named one folder further down."""
    return source if "://" in source or source.startswith("/") else "../" + source


def _image(image: "Document") -> "Document":
    return dict(image, source=one_deeper(image["source"])) if image["kind"] in FILES else image


def _artifact(artifact: "Document", put: "Put", objects: "Document") -> "Document":
    name = put(artifact["name"])
    if name == artifact["name"]:
        return dict(artifact, source=one_deeper(artifact["source"]))
    if is_url(name):
        return dict(artifact, name=name, source=name, filename=_last_of_url(name))
    found = dict(artifact, name=name, filename=posixpath.basename(name))
    found.update(objects.get(name, {"source": name}))
    return dict(found, source=one_deeper(found["source"]))


def _last_of_url(url: str) -> str:
    """The name of a web artifact's file, as adapter/sources.py has it."""
    from urllib.parse import unquote, urlsplit

    return posixpath.basename(unquote(urlsplit(url).path, errors="surrogateescape"))


def _task(task: "Document", put: "Put") -> "Document":
    found = {key: value for key, value in task.items() if key != "command_line"}
    if task["command_line"] is not None:
        # None is the image's own run script.
        found["command"] = _words(put(task["command_line"])) or None
    found["environment"] = {name: put(value) for name, value in task["environment"].items()}
    for key in ("workdir", "stdout"):
        if task[key] is not None:
            found[key] = put(task[key])
    return found


def _words(command: str) -> "list[str]":
    import shlex

    try:
        return shlex.split(command)
    except ValueError as error:
        msg = "the command %s: %s" % (command, error)
        raise NoSuchCopy(msg) from error


def _output(output: "Document", put: "Put", artifacts: "list[Document]", number: int) -> "Document":
    name = put(output["name"])
    found = dict(output, name=name, destination=_destination(output["destination"], number))
    if name != output["name"] and output["kind"] == "file":
        found["object_name"] = posixpath.normpath(_below_working_directory(name, artifacts))
    elif name != output["name"] and output["kind"] == "directory":
        found["object_name"] = posixpath.basename(name.rstrip("/")) + ".tgz"
    return found


def _below_working_directory(name: str, artifacts: "list[Document]") -> str:
    """Without an artifact's mount path, as adapter/translate.py has it."""
    for artifact in artifacts:
        path = artifact["mount"]["path"].rstrip("/") + "/" if artifact["mount"] else None
        if path and name.startswith(path):
            return posixpath.join(artifact["mount"]["directory"], name[len(path) :])
    return name


def _destination(destination: "Document", number: int) -> "Document":
    """What copy ``number`` stores goes to ``N/`` below the sweep's place."""
    if destination["method"] == "folder":
        path = os.path.join(destination["path"], str(number))
        return dict(destination, path=one_deeper(path))
    fields = dict(destination["fields"])
    fields["key"] += "%d/" % number
    return dict(destination, fields=fields)
