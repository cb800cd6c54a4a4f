"""YAML as this program reads it: JSON's data, and text where YAML 1.1 would surprise.

Importing this module imports PyYAML (20 ms): do so only for a text that is not JSON.

Dates, ``1:30`` (90 in YAML 1.1), ``010`` (8) and ``=`` stay the text they look like; keys are
always text; a key given twice is an error, and so are tags such as ``!!python/object``. ``yes``
and ``no`` do become true and false, as everybody's YAML has them; where text is wanted the decoder
says so.
"""

import re
from collections.abc import Hashable
from typing import Any

import yaml

from prominence_hpc.adapter.spec.place import quoted

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeLoader  # type: ignore[assignment]

__all__ = ["DEEPEST", "YAMLProblem", "parse_yaml"]

DEEPEST = 100  # levels of nesting; libyaml's binding overflows the C stack at some 50,000
TOO_DEEP = f"nested more than {DEEPEST} levels deep"

STANDARD = "tag:yaml.org,2002:"
NUMBERS = {
    "int": re.compile(r"[-+]?(?:0|[1-9][0-9]*)$"),
    "float": re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$"),
}
KEPT_RESOLVERS = {STANDARD + name for name in ("bool", "null", "merge")}
KEPT_CONSTRUCTORS = {
    STANDARD + name for name in ("null", "bool", "int", "float", "str", "seq", "map")
}


class YAMLProblem(Exception):
    """A text is not YAML that can be a description; the message says where and why."""


class DescriptionLoader(SafeLoader):
    """The safe loader, narrowed to JSON's data."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        refuse_duplicates(node)
        self.flatten_mapping(node)  # puts in what "<<" refers to
        return {key_text(key): self.construct_object(value, deep=deep) for key, value in node.value}


def narrow(loader: type[DescriptionLoader]) -> None:
    loader.yaml_implicit_resolvers = {
        first: [pair for pair in pairs if pair[0] in KEPT_RESOLVERS]
        for first, pairs in SafeLoader.yaml_implicit_resolvers.items()
    }
    for name, pattern in NUMBERS.items():
        loader.add_implicit_resolver(STANDARD + name, pattern, list("-+.0123456789"))
    loader.yaml_constructors = {
        tag: construct
        for tag, construct in SafeLoader.yaml_constructors.items()
        if tag is None or tag in KEPT_CONSTRUCTORS
    }


narrow(DescriptionLoader)


def refuse_duplicates(node: Any) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if key.tag == STANDARD + "merge":
            continue
        name = key_text(key)
        if name in seen:
            message = f"the key {quoted(name)} is given twice"
            raise problem_at(message, key.start_mark)
        seen.add(name)


def key_text(node: Any) -> str:
    """A key as it is written: ``no:`` is the key "no", ``1:`` the key "1"."""
    if not isinstance(node, yaml.ScalarNode):
        message = "a key must be text"
        raise problem_at(message, node.start_mark)
    return str(node.value)


def problem_at(message: str, mark: Any) -> YAMLProblem:
    return YAMLProblem(f"line {mark.line + 1}, column {mark.column + 1}: {message}")


def parse_yaml(text: str) -> Any:
    """The data of the one YAML document in ``text``; raises YAMLProblem."""
    try:
        refuse_depth(text)
        return yaml.load(text, Loader=DescriptionLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = error.problem or error.context or "not YAML"
        if "maximum nesting depth" in message:  # libyaml 0.2.6 has a limit of its own
            message = TOO_DEEP
        raise (problem_at(message, mark) if mark else YAMLProblem(message)) from error
    except yaml.YAMLError as error:
        raise YAMLProblem(str(error).partition("\n")[0]) from error
    except ValueError as error:
        message = f"holds a value that cannot be read ({error})"
        raise YAMLProblem(message) from error


def refuse_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=DescriptionLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise problem_at(TOO_DEEP, event.start_mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
