"""JSON or YAML text to data, with one sentence that says where a text is malformed."""

import json
from collections.abc import Sequence
from typing import Any

from prominence_hpc.adapter.spec.place import quoted
from prominence_hpc.errors import Problem, SpecError

__all__ = ["parse"]


class JSONProblem(Exception):
    """A text is JSON in form, and still cannot be a description."""


def parse(text: str, name: str) -> Any:
    """The data in ``text``, which messages call ``name`` (its suffix says what it means to be).

    JSON is tried first and YAML then, whatever the suffix: PROMINENCE does so, and there are files
    with the suffix ``.json`` and trailing commas. Raises SpecError.
    """
    try:
        return parse_json(text)
    except json.JSONDecodeError as error:
        json_message = f"line {error.lineno}, column {error.colno}: {error.msg}"
    except (JSONProblem, RecursionError) as error:
        message = str(error) if isinstance(error, JSONProblem) else "nested too deeply"
        raise malformed(name, f"cannot be used: {message}") from error
    # Imports PyYAML, which no JSON description should pay for.
    from prominence_hpc.adapter.spec.yaml_text import YAMLProblem, parse_yaml

    try:
        return parse_yaml(text)
    except YAMLProblem as error:
        if means_json(text, name):
            raise malformed(name, f"is not valid JSON: {json_message}") from error
        raise malformed(name, f"is not valid YAML: {error}") from error


def parse_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # an integer of more than 4300 digits
        message = "holds a number of too many digits"
        raise JSONProblem(message) from error


def unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object, whose keys must differ: json would keep the last and say nothing."""
    decoded: dict[str, Any] = {}
    for key, value in pairs:
        if key in decoded:
            message = f"the key {quoted(key)} is given twice in one object"
            raise JSONProblem(message)
        decoded[key] = value
    return decoded


def means_json(text: str, name: str) -> bool:
    if name.endswith((".json", ".yaml", ".yml")):
        return name.endswith(".json")
    return text.lstrip().startswith(("{", "["))


def malformed(name: str, message: str) -> SpecError:
    return SpecError([Problem("", f"{name} {message}")])
