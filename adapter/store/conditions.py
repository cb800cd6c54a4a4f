"""The conditions of a selection, of jobs and of workflows, as SQL."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

__all__ = ["where"]


def where(
    terms: Sequence[str],
    *,
    name: str | None = None,
    labels: Mapping[str, str] | None = None,
    statuses: Collection[str] | None = None,
    **columns: str | int | None,
) -> tuple[str, list[Any]]:
    """``WHERE …`` and its values: ``terms`` as they are, and whatever else is not None.

    ``name`` is the whole name, or a pattern with ``*`` and ``?``, which names cannot hold. ``columns``
    must have these very values.
    """
    found, values = list(terms), list[Any]()
    if statuses is not None:
        found.append(f"status IN ({', '.join('?' * len(statuses))})")
        values += statuses
    if name is not None:
        found.append("name GLOB ?")
        values.append(name)
    for key, value in (labels or {}).items():
        found.append("id IN (SELECT job FROM labels WHERE key = ? AND value = ?)")
        values += [key, value]
    for column, wanted in columns.items():
        if wanted is not None:
            found.append(f"{column} = ?")
            values.append(wanted)
    return f"WHERE {' AND '.join(found)}", values
