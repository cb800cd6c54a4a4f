"""A small decoder: tables of readers in, values and every problem out.

A reader takes a value and its :class:`Place`. It returns the decoded value, or notes what is wrong
at that place and returns ``INVALID``; it never raises, so that one pass finds all problems.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from prominence_hpc.adapter.spec.place import INVALID, Place, shown

__all__ = [
    "Check",
    "Field",
    "Reader",
    "Table",
    "boolean",
    "choice",
    "list_of",
    "mapping_of",
    "nullable",
    "number",
    "pair_of",
    "read_keys",
    "record",
    "secret",
    "text",
    "then",
    "whole_number",
]

Reader = Callable[[object, Place], Any]
Check = Callable[[str], str | None]  # what is wrong with a text, None where nothing is


class Field(NamedTuple):
    """How one key of an object is read, and the name of its value in Python."""

    attribute: str
    read: Reader
    required: bool = False


Table = Mapping[str, Field]


def text(*checks: Check) -> Reader:
    """A text that can be a file name or an argument, and in which ``checks`` find nothing wrong."""

    def read(value: object, place: Place) -> Any:
        if not isinstance(value, str):
            # YAML reads yes, no, on, off and 1.10 as something other than text.
            hint = "; write it in quotes" if isinstance(value, bool | int | float) else ""
            return place.note(f"must be text, not {shown(value)}{hint}")
        for check in (sound, *checks):
            if message := check(value):
                return place.note(message)
        return value

    return read


def secret(value: object, place: Place) -> Any:
    """A text that no message shows."""
    if not isinstance(value, str):
        return place.note("must be text; write it in quotes")
    if not value or sound(value):
        return place.note("must be text, not empty and without NUL characters")
    return value


def sound(value: str) -> str | None:
    """What no system call takes: NUL, and halves of surrogate pairs, which JSON can spell."""
    if "\0" in value:
        return "must not hold a NUL character"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "must not hold half of a surrogate pair (such as \\ud800)"
    return None


def choice(*words: str, hint: str = "") -> Reader:
    """One of ``words``."""

    def read(value: object, place: Place) -> Any:
        if isinstance(value, str) and value in words:
            return value
        *most, last = words
        wanted = f"{', '.join(most)} or {last}" if most else last
        return place.note(f"must be {wanted}, not {shown(value)}{hint}")

    return read


def boolean(value: object, place: Place) -> Any:
    """``true`` or ``false``; nothing that merely resembles them."""
    return value if isinstance(value, bool) else place.note(not_a("true or false", value))


def whole_number(minimum: int, maximum: int) -> Reader:
    """An integer within bounds; ``2.0`` is one, ``true`` and ``"2"`` are not."""

    def read(value: object, place: Place) -> Any:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            return place.note(not_a("a whole number", value))
        if value < minimum:
            return place.note(f"must be at least {minimum}, not {shown(value)}")
        if value > maximum:
            return place.note(f"must be at most {maximum}, not {shown(value)}")
        return value

    return read


def number(maximum: int) -> Reader:
    """A positive number, whole or not; the answer keeps the type that the user wrote."""

    def read(value: object, place: Place) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return place.note(not_a("a number", value))
        if not 0 < value <= maximum:  # false for NaN
            return place.note(f"must be more than 0, at most {maximum}, not {shown(value)}")
        return value

    return read


def not_a(wanted: str, value: object) -> str:
    hint = ""
    if isinstance(value, str) and re.fullmatch(r"[-+]?[0-9.]+|true|false", value):
        hint = "; write it without quotes"
    return f"must be {wanted}, not {shown(value)}{hint}"


def nullable(read: Reader) -> Reader:
    """What ``read`` takes, or null."""
    return lambda value, place: None if value is None else read(value, place)


def then(read: Reader, step: Callable[[Any, Place], Any]) -> Reader:
    """What ``read`` gives, handed on to ``step`` where it is valid."""

    def both(value: object, place: Place) -> Any:
        decoded = read(value, place)
        return INVALID if decoded is INVALID else step(decoded, place)

    return both


def list_of(read: Reader, *, minimum: int = 0) -> Reader:
    """A tuple with one entry for each item; those of invalid items are INVALID."""

    def read_all(value: object, place: Place) -> Any:
        if not isinstance(value, list):
            return place.note(f"must be a list, not {shown(value)}")
        if len(value) < minimum:
            return place.note("must not be empty")
        return tuple(read(item, place.item(index)) for index, item in enumerate(value))

    return read_all


def pair_of(read: Reader, names: str) -> Reader:
    """A list of exactly two."""

    def read_pair(value: object, place: Place) -> Any:
        if not isinstance(value, list) or len(value) != 2:
            return place.note(f"must be a list of two numbers, [{names}]")
        pair = tuple(read(item, place.item(index)) for index, item in enumerate(value))
        return INVALID if INVALID in pair else pair

    return read_pair


def mapping_of(check_key: Check, read: Reader) -> Reader:
    """An object whose keys are the user's own."""

    def read_all(value: object, place: Place) -> Any:
        if not isinstance(value, dict):
            return place.note(f"must be an object of names and values, not {shown(value)}")
        decoded = {}
        for key, item in value.items():
            message = sound(key) or check_key(key) if isinstance(key, str) else "must be text"
            if message:
                place.key(key).note(f"the name {message}")
            decoded[key] = read(item, place.key(key))
        return decoded

    return read_all


def record(
    table: Table,
    build: Callable[..., Any],
    *,
    elsewhere: Mapping[str, str] | None = None,
    check: Callable[[Mapping[str, Any], Place], None] | None = None,
) -> Reader:
    """An object with the keys of ``table``, made into ``build(attribute=value, …)``.

    Invalid optional values are left out, so that rules between values still have something to look
    at. ``elsewhere``: as for :func:`read_keys`. ``check`` sees the object as it was written.
    """

    def read(value: object, place: Place) -> Any:
        decoded = read_keys(value, place, table, elsewhere or {})
        if decoded is INVALID:
            return INVALID
        if check and isinstance(value, dict):
            check(value, place)
        required = (field.attribute for field in table.values() if field.required)
        return build(**decoded) if all(name in decoded for name in required) else INVALID

    return read


def read_keys(value: object, place: Place, table: Table, elsewhere: Mapping[str, str]) -> Any:
    """The valid values of an object by attribute; required ones may be absent.

    ``elsewhere``: keys of other objects and where they belong, for those written in the wrong one.
    """
    if not isinstance(value, dict):
        return place.note(f"must be an object, not {shown(value)}")
    for key in value:
        if key not in table:
            place.key(key).note(unknown_key(key, table, elsewhere))
    decoded = {}
    for key, field in table.items():
        if key in value:
            item = field.read(value[key], place.key(key))
            if item is not INVALID:
                decoded[field.attribute] = item
        elif field.required:
            place.key(key).note("is required")
    return decoded


def unknown_key(key: object, table: Table, elsewhere: Mapping[str, str]) -> str:
    """Names the nearest known key, or the place where this very key belongs."""
    if not isinstance(key, str):
        return "is not a known key"
    if key in elsewhere:
        return f"is not a key here; it belongs in {elsewhere[key]}"
    import difflib  # costs a millisecond or two that only a wrong description pays

    folded = {known.lower(): known for known in table}
    guess = key.lower().replace("_", "").replace("-", "")[:100]
    if near := difflib.get_close_matches(guess, folded, n=1):
        return f"is not a known key; did you mean {folded[near[0]]}?"
    return f"is not a known key; known here: {', '.join(table)}"
