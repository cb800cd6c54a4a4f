"""Runs on the login node: calls one method of storage after the other, prints what came of each.

    python storage_script.py SETTINGS USER < CALLS

SETTINGS is a JSON object for StorageSettings, CALLS a JSON list of [method, arguments...]. Paths
are given as {"path": ...}, objects as {"info": ...}. Printed is a JSON list of ["ok", value] and
[error class, message].
"""

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prominence_hpc.adapter import objects
from prominence_hpc.adapter.storage import ObjectInfo, Storage, StorageSettings, open_storage
from prominence_hpc.errors import ProminenceError


def argument(value: Any) -> Any:
    if isinstance(value, dict) and "path" in value:
        return Path(value["path"])
    if isinstance(value, dict) and "info" in value:
        return ObjectInfo(key=value["info"], size_bytes=0)
    return value


def result(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Iterator):
        return [result(item) for item in value]
    return {key: result(item) for key, item in value.items()} if isinstance(value, dict) else value


def call(storage: Storage, user: str, method: str, arguments: list[Any]) -> list[Any]:
    options = arguments.pop() if arguments and _is_options(arguments[-1]) else {}
    given = [argument(value) for value in arguments]
    try:
        if method == "resolve_names":
            found: Any = objects.resolve_names(storage, user, *given)
        else:
            found = getattr(storage, method)(*given, **options)
        return ["ok", result(found)]
    except ProminenceError as error:
        return [type(error).__name__, str(error)]


def _is_options(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() <= {"sha256"}


def main() -> None:
    settings = StorageSettings(**json.loads(sys.argv[1]))
    storage = open_storage(settings, state_folder=Path("storage-test"), user=sys.argv[2])
    answers = [call(storage, sys.argv[2], method, rest) for method, *rest in json.load(sys.stdin)]
    json.dump(answers, sys.stdout, default=str)


main()
