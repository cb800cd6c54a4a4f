"""Slurm's short form of node names: ``node[1-3,7],gpu01``.

https://slurm.schedmd.com/scontrol.html, "show hostnames"; no process is started for it here.
"""

import re
from collections.abc import Iterator

__all__ = ["expand_hostlist"]

_NO_NODES = ("", "(null)", "None assigned", "Unknown")
# Commas between names, not those within brackets.
_SEPARATOR = re.compile(r",(?![^\[]*\])")
_BRACKETS = re.compile(r"([^\[]*)\[([^\]]*)\](.*)", re.DOTALL)


def expand_hostlist(text: str) -> tuple[str, ...]:
    """The names that a node list stands for, in its order.

    >>> expand_hostlist("node[1-2,10],gpu[08-10]-ib")
    ('node1', 'node2', 'node10', 'gpu08-ib', 'gpu09-ib', 'gpu10-ib')
    >>> expand_hostlist("rack[1-2]n[1-2]")
    ('rack1n1', 'rack1n2', 'rack2n1', 'rack2n2')
    >>> expand_hostlist("(null)")
    ()
    """
    if text in _NO_NODES:
        return ()
    return tuple(name for part in _SEPARATOR.split(text) for name in _expand(part))


def _expand(text: str) -> Iterator[str]:
    match = _BRACKETS.fullmatch(text)
    if match is None:
        yield text
        return
    before, ranges, after = match.groups()
    for number in _numbers(ranges):
        for rest in _expand(after):
            yield f"{before}{number}{rest}"


def _numbers(ranges: str) -> Iterator[str]:
    for item in ranges.split(","):
        first, dash, last = item.partition("-")
        if not (dash and first.isdecimal() and last.isdecimal()):
            yield item
            continue
        for number in range(int(first), int(last) + 1):
            yield str(number).zfill(len(first))
