"""The values of factories' parameters: exact, counted right, and none computed before it is needed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prominence_hpc.adapter.spec.factories import point, points, size, sweep_parameter
from prominence_hpc.adapter.spec.workflow import ParameterSweep, Repeat, Zip, ZipParameter


def swept(*arguments: float, **options: float) -> list[str]:
    parameter = sweep_parameter("x", *arguments, **options)  # type: ignore[arg-type]
    sweep = ParameterSweep(name="f", jobs=("j",), parameters=(parameter,))
    return [values["x"] for values in points(sweep)]


def test_tenths_do_not_drift() -> None:
    tenths = ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]
    assert swept(0, 1, step=0.1) == tenths
    assert swept(0.0, 1.0, number=11) == tenths


@pytest.mark.parametrize(
    ("start", "end", "step", "expected"),
    [
        (1, 5, 2, ["1", "3", "5"]),
        (1, 6, 2, ["1", "3", "5"]),
        (5, 1, -2, ["5", "3", "1"]),
        (1, 1, 1, ["1"]),
        (1.0, 2, 1, ["1.0", "2.0"]),
        (-0.3, 0.3, 0.3, ["-0.3", "0.0", "0.3"]),
        (1e-6, 3e-6, 1e-6, ["1e-06", "2e-06", "3e-06"]),
        (1, 0, 1, []),
    ],
)
def test_steps(start: float, end: float, step: float, expected: list[str]) -> None:
    assert swept(start, end, step=step) == expected


@pytest.mark.parametrize(
    ("start", "end", "number", "expected"),
    [
        (0, 10, 3, ["0", "5", "10"]),
        (0, 1, 3, ["0.0", "0.5", "1.0"]),
        (0, 1, 4, ["0.0", "0.3333333333333333", "0.6666666666666666", "1.0"]),
        (7, 9, 1, ["7"]),
        (3, 1, 3, ["3", "2", "1"]),
    ],
)
def test_numbers_of_values(start: float, end: float, number: int, expected: list[str]) -> None:
    assert swept(start, end, number=number) == expected


@given(
    first=st.decimals(-1000, 1000, places=3),
    step=st.decimals("0.001", 10, places=3),
    count=st.integers(1, 200),
)
def test_every_value_is_the_decimal_number_that_one_would_write(
    first: "object", step: "object", count: int
) -> None:
    from decimal import Decimal

    assert isinstance(first, Decimal)
    assert isinstance(step, Decimal)
    last = first + (count - 1) * step
    values = swept(float(first), float(last), step=float(step))
    assert [float(value) for value in values] == [float(first + i * step) for i in range(count)]


def test_several_parameters_give_every_combination_the_last_changing_fastest() -> None:
    sweep = ParameterSweep(
        name="f",
        jobs=("j",),
        parameters=(
            sweep_parameter("a", 1, 2, step=1),
            sweep_parameter("b", 1, 3, step=1),
            sweep_parameter("c", 0, 1, number=2),
        ),
    )
    every = ["".join(values.values()) for values in points(sweep)]
    assert every == [f"{a}{b}{c}" for a in "12" for b in "123" for c in "01"]
    assert size(sweep) == 12


def test_a_point_of_a_million_is_computed_alone() -> None:
    parameters = tuple(sweep_parameter(name, 1, 1000, step=1) for name in ("a", "b"))
    sweep = ParameterSweep(name="f", jobs=("j",), parameters=parameters)
    assert size(sweep) == 1_000_000
    assert point(sweep, 999_999) == {"a": "1000", "b": "1000"}


def test_zip_and_repeat() -> None:
    parameters = (
        ZipParameter(name="a", values=("x", "y")),
        ZipParameter(name="b", values=("1", "2")),
    )
    assert list(points(Zip(name="f", jobs=("j",), parameters=parameters))) == [
        {"a": "x", "b": "1"},
        {"a": "y", "b": "2"},
    ]
    assert list(points(Repeat(name="f", jobs=("j",), number=3))) == [{}, {}, {}]
