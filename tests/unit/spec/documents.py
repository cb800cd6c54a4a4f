"""Small descriptions to change in one place, and the problems that are found in them."""

from typing import Any

import pytest

from prominence_hpc.adapter.spec.decode import decode_job
from prominence_hpc.errors import SpecError


def job(**changes: Any) -> dict[str, Any]:
    return {"tasks": [{"image": "centos:7"}], "resources": {"memory": 1}} | changes


def with_task(**changes: Any) -> dict[str, Any]:
    return job(tasks=[{"image": "centos:7"} | changes])


def with_resources(**resources: Any) -> dict[str, Any]:
    return job(resources=resources)


def problems(document: object) -> list[str]:
    with pytest.raises(SpecError) as caught:
        decode_job(document)
    return [str(problem) for problem in caught.value.problems]


def assert_one_problem(document: dict[str, Any], problem: str | None) -> None:
    """``document`` has one problem; its text is ``problem``, or of no matter."""
    (found,) = problems(document)
    if problem is not None:
        assert found == problem
