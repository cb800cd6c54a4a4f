"""Which keys the configuration has and what they take, read off the dataclasses that receive them.

A key is checked as it comes from a file (TOML's types) or from the environment (text); what is wrong
with it is a sentence, so that all of a file's problems can be told at once.
"""

import dataclasses
import re
import types
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from prominence_hpc.adapter.storage.base import StorageSettings
from prominence_hpc.backends.settings import SiteSettings

__all__ = [
    "SECRETS",
    "TOP_LEVEL",
    "InvalidValue",
    "convert",
    "did_you_mean",
    "from_text",
    "site_keys",
    "storage_keys",
]

TOP_LEVEL = ("default_site", "email", "storage", "sites")
# Never shown, and only in files that nobody else can read.
SECRETS = frozenset({"secret_access_key", "session_token"})

# Least and greatest, of keys that are not free.
_RANGES: Mapping[str, tuple[float, float]] = {
    "image_cache_gb": (0, float("inf")),
    "largest_workflow": (1, float("inf")),
    "staging_minutes": (0, float("inf")),
    "command_timeout_seconds": (1, 3600),
    "poll_seconds": (0, 3600),
    "shell_timeout_seconds": (1, 3600),
    "slots": (0, float("inf")),
    "url_lifetime_hours": (0.1, 168),  # SigV4's own limit is 7 days
}
_SET_BY_CONTAINERS = ("HOME", "UID", "GID")
# One address, with nothing that a mail program, which may be a shell script, could take for more.
_EMAIL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=~%'-]*@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class InvalidValue(ValueError):
    """What is wrong with a value, as the end of a sentence that begins with its key."""


@lru_cache(maxsize=1)
def site_keys() -> Mapping[str, Any]:
    """Keys of ``[sites.NAME]`` and their types; the name is not one of them."""
    hints = get_type_hints(SiteSettings)
    return {
        item.name: hints[item.name]
        for item in dataclasses.fields(SiteSettings)
        if item.name != "name"
    }


@lru_cache(maxsize=1)
def storage_keys() -> Mapping[str, Any]:
    """Keys of ``[storage]`` and their types."""
    hints = get_type_hints(StorageSettings)
    return {item.name: hints[item.name] for item in dataclasses.fields(StorageSettings)}


def convert(key: str, kind: Any, value: Any) -> Any:
    """A TOML value as the field ``key`` of type ``kind`` takes it; InvalidValue where it does not."""
    kind = _without_none(kind)
    if get_origin(kind) is Literal:
        return _choice(kind, value)
    if get_origin(kind) is tuple and get_origin(get_args(kind)[0]) is Literal:
        return tuple(_choice(get_args(kind)[0], item) for item in _texts(value))
    if key in SECRETS and not isinstance(value, str):
        msg = "must be text in quotes"  # without showing what it is
        raise InvalidValue(msg)
    checked = _CHECKS[kind](value)
    if key == "forward_environment":
        _names_of_variables(checked)
    if key == "email" and not _EMAIL.fullmatch(checked):
        msg = f"must be an e-mail address, not {_shown(value)}"
        raise InvalidValue(msg)
    least, greatest = _RANGES.get(key, (None, None))
    if least is not None and greatest is not None and not least <= checked <= greatest:
        limit = f"at least {least}" if greatest == float("inf") else f"{least} to {greatest}"
        msg = f"must be {limit}, not {value}"
        raise InvalidValue(msg)
    return checked


def from_text(key: str, kind: Any, text: str) -> Any:
    """The same for the text of an environment variable."""
    plain = _without_none(kind)
    if plain is bool:
        return convert(key, kind, _TRUTH.get(text.lower(), text))
    if plain in (int, float):
        try:
            return convert(key, kind, plain(text))
        except InvalidValue:
            raise
        except ValueError:
            return convert(key, kind, text)
    return convert(key, kind, text)


def did_you_mean(name: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """ "; did you mean …?" where something known is spelt alike, else what is known."""
    from difflib import get_close_matches  # only for errors

    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(sorted(known))}"


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = (choice for choice in get_args(kind) if choice is not types.NoneType)
    return kind


def _choice(kind: Any, value: Any) -> str:
    if value not in get_args(kind):
        msg = f"must be one of {', '.join(map(repr, get_args(kind)))}, not {_shown(value)}"
        raise InvalidValue(msg)
    return str(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        msg = f"must be text in quotes, not {_shown(value)}"
        raise InvalidValue(msg)
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        msg = f"must be true or false, not {_shown(value)}"
        raise InvalidValue(msg)
    return value


def _whole_number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"must be a whole number, not {_shown(value)}"
        raise InvalidValue(msg)
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"must be a number, not {_shown(value)}"
        raise InvalidValue(msg)
    return float(value)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        msg = f"must be a list of texts, not {_shown(value)}"
        raise InvalidValue(msg)
    return tuple(value)


def _names_of_variables(names: tuple[str, ...]) -> None:
    for name in names:
        if not (name.isascii() and name.isidentifier()):
            msg = f"must hold names of variables, not {name!r}"
            raise InvalidValue(msg)
        if name in _SET_BY_CONTAINERS:
            msg = f"cannot hold {name}: containers set it themselves"
            raise InvalidValue(msg)


def _table_of_texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        msg = f"must be a table of texts, not {_shown(value)}"
        raise InvalidValue(msg)
    return value


_CHECKS: Mapping[Any, Callable[[Any], Any]] = {
    str: _text,
    bool: _truth,
    int: _whole_number,
    float: _number,
    tuple[str, ...]: _texts,
    dict[str, str]: _table_of_texts,
}


def _shown(value: Any) -> str:
    """A value in TOML's spelling, short."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a table"
    return repr(value)
