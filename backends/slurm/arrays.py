"""Job arrays: their handles, and Slurm's short form of many numbers, ``0-99,200-300:2%10``.

https://slurm.schedmd.com/job_array.html. An array's handle is its id (``4711``), that of one of its
jobs has its number (``4711_7``).
"""

import re
from collections.abc import Iterable

__all__ = ["Wanted", "compressed", "expand", "handle_of", "wanted_of"]

_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?)?")
_HANDLE = re.compile(r"(\d+)_(\d+)")

# By the id of an array: the numbers that are asked for. A job that is none of an array has none.
Wanted = dict[str, set[int]]


def handle_of(array: str, number: int) -> str:
    """The handle of one of an array's jobs."""
    return f"{array}_{number}"


def wanted_of(handles: Iterable[str]) -> Wanted:
    """What these handles ask for.

    >>> wanted_of(["4711_7", "12"])
    {'4711': {7}, '12': set()}
    """
    wanted: Wanted = {}
    for handle in handles:
        array, _, number = handle.partition("_")
        numbers = wanted.setdefault(array, set())
        if number.isdecimal():
            numbers.add(int(number))
    return wanted


def expand(expression: str, numbers: set[int]) -> set[int]:
    """Those of ``numbers`` that an expression stands for; what cannot be read stands for none.

    Its own numbers, of which there may be millions, are not gone through where fewer are asked for.

    >>> sorted(expand("[0-2,10-20:5%4]", {1, 2, 3, 10, 12, 15}))
    [1, 2, 10, 15]
    """
    found: set[int] = set()
    for item in expression.strip("[]").partition("%")[0].split(","):
        match = _RANGE.fullmatch(item)
        if match is None:
            continue
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        covered = range(first, last + 1, step or 1)
        if len(covered) < len(numbers):
            found.update(numbers.intersection(covered))
        else:
            found.update(number for number in numbers if number in covered)
    return found


def compressed(handles: Iterable[str]) -> list[str]:
    """The same jobs in few words, as scancel takes them: one word for each array.

    >>> compressed(["12", "4711_1", "4711_0", "4711_2", "4711_9"])
    ['12', '4711_[0-2,9]']
    """
    whole: dict[str, None] = {}
    copies: dict[str, set[int]] = {}
    for handle in handles:
        match = _HANDLE.fullmatch(handle)
        if match is None:
            whole[handle] = None
        else:
            copies.setdefault(match[1], set()).add(int(match[2]))
    parts = (
        f"{array}_[{_ranges(sorted(numbers))}]"
        for array, numbers in copies.items()
        if array not in whole
    )
    return [*whole, *parts]


def _ranges(numbers: list[int]) -> str:
    """The short form of numbers in their order."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in found)
