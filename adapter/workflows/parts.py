"""The parts of a workflow: each entry of its jobs, with what the whole says of it. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from prominence_hpc.adapter.spec.factories import point, size
from prominence_hpc.adapter.spec.job import Job
from prominence_hpc.adapter.spec.substitution import replace as put_values
from prominence_hpc.adapter.spec.substitution import substituted
from prominence_hpc.adapter.spec.workflow import Factory, Workflow
from prominence_hpc.adapter.spec.workflow_jobs import full_name

__all__ = ["Chosen", "Part", "in_order", "parts_of"]

# Which jobs of a workflow are run once more: by the part's name its indices, or None for a plain job.
Chosen = Mapping[str, Sequence[int] | None]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One job, or the many that a factory makes of it. ``parents`` are positions among all parts.

    ``job`` is as described, parameters not put in, with the policies of the workflow where it says nothing
    itself. ``indices`` are those of the copies, where not all of the factory's are wanted.
    """

    name: str  # as in the description
    full_name: str  # WORKFLOW/JOB
    job: Job
    factory: Factory | None = None
    indices: tuple[int, ...] | None = None
    parents: tuple[int, ...] = ()

    @cached_property
    def size(self) -> int:
        """How many jobs it is."""
        if self.indices is not None:
            return len(self.indices)
        return 1 if self.factory is None else size(self.factory)

    @property
    def swept(self) -> bool:
        return self.factory is not None

    def index(self, copy: int) -> int:
        """The index that the factory gives a copy."""
        return copy if self.indices is None else self.indices[copy]

    def parameters(self, copy: int | None) -> dict[str, str]:
        """The values that a copy has, by name."""
        if self.factory is None or copy is None:
            return {}
        return point(self.factory, self.index(copy))

    def name_of(self, copy: int | None) -> str:
        """``WORKFLOW/JOB``, with ``/INDEX`` after it for a copy."""
        return self.full_name if copy is None else f"{self.full_name}/{self.index(copy)}"

    def document(self, copy: int | None) -> dict[str, Any]:
        """The description of one of its jobs, parameters put in."""
        document = dict(self.job.document)
        if copy is None:
            return document
        return substituted(document, self.parameters(copy))

    def shown(self) -> Iterator[tuple[str, str, str]]:
        """Name, image and command of each of its jobs, as a list shows them."""
        # Lists show the first task, which is none that only helps.
        task = next((item for item in self.job.tasks if item.type != "sidecar"), self.job.tasks[0])
        command = task.cmd or ""
        if self.factory is None:
            yield self.full_name, task.image, command
            return
        changes = "$" in command
        for copy in range(self.size):
            written = put_values(command, self.parameters(copy)) if changes else command
            yield self.name_of(copy), task.image, written


def parts_of(workflow: Workflow, chosen: Chosen | None = None) -> tuple[Part, ...]:
    """All parts, in the order of the description; of ``chosen`` ones only these.

    A part that waits for one that is not chosen does not wait for it: that has been done.
    """
    made_by = {name: factory for factory in workflow.factories for name in factory.jobs}
    jobs = [job for job in workflow.jobs if chosen is None or job.name in chosen]
    numbers = {job.name: number for number, job in enumerate(jobs)}
    parents: dict[str, list[int]] = {}
    for parent, children in workflow.dependencies.items():
        for child in dict.fromkeys(children):
            if parent in numbers:
                parents.setdefault(child, []).append(numbers[parent])
    return tuple(
        Part(
            name=job.name,
            full_name=full_name(workflow.name, job.name),
            job=with_policies(job, workflow),
            factory=made_by.get(job.name),
            indices=indices_of(job.name, chosen),
            parents=tuple(sorted(parents.get(job.name, ()))),
        )
        for job in jobs
    )


def indices_of(name: str, chosen: Chosen | None) -> tuple[int, ...] | None:
    indices = None if chosen is None else chosen[name]
    return None if indices is None else tuple(indices)


def with_policies(job: Job, workflow: Workflow) -> Job:
    """What the workflow says of all of its jobs; what a job says itself goes before."""
    own, whole = job.policies, workflow.policies
    policies = replace(
        own,
        maximum_retries=(
            whole.maximum_retries if own.maximum_retries is None else own.maximum_retries
        ),
        leave_in_queue=own.leave_in_queue or whole.leave_in_queue,
        placement=own.placement or whole.placement,
    )
    return replace(job, policies=policies)


def in_order(parents: Sequence[Sequence[int]]) -> list[int]:
    """Positions such that each comes after all of its parents; else as they are.

    >>> in_order([(2,), (), (1,)])
    [1, 2, 0]
    """
    order: list[int] = []
    placed: set[int] = set()
    waiting = list(range(len(parents)))
    while waiting:
        ready = [number for number in waiting if placed.issuperset(parents[number])]
        order += ready
        placed.update(ready)
        waiting = [number for number in waiting if number not in placed]
    return order
