"""The jobs that a factory makes: how many, and the parameters of each, computed and never listed."""

from collections.abc import Iterator
from fractions import Fraction

from prominence_hpc.adapter.spec.workflow import Factory, ParameterSweep, Repeat, SweepParameter

__all__ = [
    "exact",
    "parameter_names",
    "parameter_values",
    "point",
    "points",
    "size",
    "sweep_parameter",
]


def exact(number: float) -> Fraction:
    """The decimal number that was written: 0.1 is a tenth, not the binary number near it."""
    return Fraction(repr(number))


def sweep_parameter(
    name: str, start: float, end: float, *, step: float | None = None, number: int | None = None
) -> SweepParameter:
    """From ``start`` to ``end``, both included, by ``step`` or in ``number`` equal steps.

    ``count`` of the answer is 0 where no step leads from start to end. Values are integers where
    all three numbers were, and otherwise all have a point.

    >>> sweep_parameter("x", 0, 1, step=0.1).count
    11
    """
    first, last = exact(start), exact(end)
    if step is not None:
        distance = exact(step)
        count = max(0, (last - first) // distance + 1)
    else:
        count = number or 0
        distance = (last - first) / (count - 1) if count > 1 else Fraction(0)
    given = (start, end) if step is None else (start, end, step)
    whole = all(isinstance(value, int) for value in given) and distance.denominator == 1
    return SweepParameter(name=name, start=first, step=distance, count=count, whole=whole)


def size(factory: Factory) -> int:
    """How many jobs it makes of each of its jobs."""
    if isinstance(factory, Repeat):
        return factory.number
    if isinstance(factory, ParameterSweep):
        product = 1
        for parameter in factory.parameters:
            product *= parameter.count
        return product
    return len(factory.parameters[0].values) if factory.parameters else 0


def parameter_names(factory: Factory) -> tuple[str, ...]:
    """What ``$name`` may be in its jobs."""
    if isinstance(factory, Repeat):
        return ()
    return tuple(parameter.name for parameter in factory.parameters)


def parameter_values(factory: Factory) -> dict[str, tuple[str, ...]]:
    """All values of each parameter, as text: of a sweep those that are combined, of a zip one for each job."""
    if isinstance(factory, Repeat):
        return {}
    if isinstance(factory, ParameterSweep):
        return {
            parameter.name: tuple(value(parameter, place) for place in range(parameter.count))
            for parameter in factory.parameters
        }
    return {parameter.name: parameter.values for parameter in factory.parameters}


def point(factory: Factory, index: int) -> dict[str, str]:
    """The parameters of the job with this index, by name, as text."""
    if isinstance(factory, Repeat):
        return {}
    if isinstance(factory, ParameterSweep):
        return swept(factory, index)
    return {parameter.name: parameter.values[index] for parameter in factory.parameters}


def points(factory: Factory) -> Iterator[dict[str, str]]:
    """The parameters of every job, in order of index."""
    return (point(factory, index) for index in range(size(factory)))


def swept(factory: ParameterSweep, index: int) -> dict[str, str]:
    found: dict[str, str] = {}
    for parameter in reversed(factory.parameters):
        index, place = divmod(index, parameter.count)
        found[parameter.name] = value(parameter, place)
    return {parameter.name: found[parameter.name] for parameter in factory.parameters}


def value(parameter: SweepParameter, place: int) -> str:
    """The shortest text that stands for the exact value."""
    number = parameter.start + place * parameter.step
    return str(int(number)) if parameter.whole else repr(float(number))
