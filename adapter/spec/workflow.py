"""A workflow as its description says it: jobs, what waits for what, and factories that make many jobs of one.

Made by :mod:`prominence_hpc.adapter.spec.decode_workflow`; names are the contract's, in Python's spelling.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from prominence_hpc.adapter.spec.job import Job, Notification, Placement

__all__ = [
    "Factory",
    "ParameterSweep",
    "Repeat",
    "SweepParameter",
    "Workflow",
    "WorkflowPolicies",
    "Zip",
    "ZipParameter",
]


@dataclass(frozen=True, kw_only=True)
class SweepParameter:
    """``count`` values from ``start`` on, ``step`` apart, exact; ``whole``: shown as integers."""

    name: str
    start: Fraction
    step: Fraction
    count: int
    whole: bool


@dataclass(frozen=True, kw_only=True)
class ParameterSweep:
    """Each combination of the parameters' values; the last parameter changes fastest."""

    name: str
    jobs: tuple[str, ...]
    parameters: tuple[SweepParameter, ...]


@dataclass(frozen=True, kw_only=True)
class ZipParameter:
    """The values of one parameter, numbers already as text."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Zip:
    """The i-th job takes the i-th value of each parameter; all have as many."""

    name: str
    jobs: tuple[str, ...]
    parameters: tuple[ZipParameter, ...]


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """The same job ``number`` times."""

    name: str
    jobs: tuple[str, ...]
    number: int


Factory = ParameterSweep | Zip | Repeat


@dataclass(frozen=True, kw_only=True)
class WorkflowPolicies:
    """``policies`` of the whole; None is "not said"."""

    maximum_retries: int | None = None
    maximum_reruns: int | None = None
    leave_in_queue: bool = False
    placement: Placement | None = None


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """``document`` is the description as JSON data."""

    jobs: tuple[Job, ...]
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # parent to children
    factories: tuple[Factory, ...] = ()
    policies: WorkflowPolicies = WorkflowPolicies()
    notifications: tuple[Notification, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)
