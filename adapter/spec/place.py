"""Where a value stands in a description, what was found wrong there, and how messages show it."""

import re
from typing import Any, Final

from prominence_hpc.errors import Problem

__all__ = ["INVALID", "Place", "quoted", "shown"]

INVALID: Final[Any] = object()  # in place of a value of which a problem has been noted

PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
SHOWN_CHARACTERS = 60


class Place:
    """A path such as ``tasks[0].image``, and the list that takes the problems found there."""

    __slots__ = ("path", "problems")

    def __init__(self, path: str = "", problems: list[Problem] | None = None) -> None:
        self.path = path
        self.problems = [] if problems is None else problems

    def key(self, name: object) -> "Place":
        if isinstance(name, str) and PLAIN_KEY.fullmatch(name):
            path = f"{self.path}.{name}" if self.path else name
        else:
            label = quoted(name) if isinstance(name, str) else shown(name)
            path = f"{self.path}[{label}]"
        return Place(path, self.problems)

    def item(self, index: int) -> "Place":
        return Place(f"{self.path}[{index}]", self.problems)

    def note(self, message: str) -> Any:
        """Keep a problem; the answer is INVALID, for ``return place.note(…)``."""
        self.problems.append(Problem(self.path, message))
        return INVALID


def quoted(value: str) -> str:
    r"""``value`` in double quotes for a message: one line, cut where it is long.

    >>> print(quoted('say "hi"' + chr(10)))
    "say \"hi\"\n"
    """
    cut = value[:SHOWN_CHARACTERS].replace("\\", "\\\\").replace('"', '\\"')
    escaped = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in cut
    )
    return f'"{escaped}…"' if len(value) > SHOWN_CHARACTERS else f'"{escaped}"'


def shown(value: object) -> str:
    """A value as messages show it: lists and objects, which may be endless, by their kind alone."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {quoted(value)}"
        case int() if value.bit_length() > 100:
            return "a number of many digits"
        case int() | float():
            return f"the number {value}"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return f"a {type(value).__name__}"
