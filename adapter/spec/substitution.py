"""``$name`` and ``${name}`` of a factory's parameters, replaced where the contract says so. Pure."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

__all__ = ["mentions", "replace", "substituted"]

NAME = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


def replace(text: str, values: Mapping[str, str]) -> str:
    """``text`` with the parameters' values put in; any other ``$`` stays as it is.

    >>> replace("run $a ${b}c $ab $HOME", {"a": "1", "b": "2"})
    'run 1 2c $ab $HOME'
    """
    return NAME.sub(lambda match: values.get(match[1] or match[2], match[0]), text)


def mentions(text: str, names: Collection[str]) -> bool:
    """Whether one of these parameters would be put into ``text``.

    >>> mentions("in-${a}.txt", ["a"]), mentions("$ab", ["a"])
    (True, False)
    """
    return any((match[1] or match[2]) in names for match in NAME.finditer(text))


def substituted(document: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """A job's description with the values put into commands, environment, folders, artifacts' addresses and outputs' names."""

    def put(item: Any) -> Any:
        return replace(item, values) if isinstance(item, str) else item

    changed = dict(document)
    changed["tasks"] = [task(item, put) for item in document["tasks"]]
    for key in ("outputFiles", "outputDirs"):
        if key in document:
            changed[key] = [put(name) for name in document[key]]
    if "artifacts" in document:
        changed["artifacts"] = [item | {"url": put(item["url"])} for item in document["artifacts"]]
    return changed


def task(document: Mapping[str, Any], put: Callable[[Any], Any]) -> dict[str, Any]:
    changed = {key: put(document[key]) for key in ("cmd", "workdir", "stdout") if key in document}
    if "env" in document:
        changed["env"] = {name: put(value) for name, value in document["env"].items()}
    return {**document, **changed}
