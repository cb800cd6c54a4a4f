"""What tests of the runner share: a plan on disk, time that is not over, waits that are short."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers.runtime import retry
from prominence_hpc.wrappers.runtime.control import Control
from prominence_hpc.wrappers.runtime.planfile import PlanFile

MakePlan = Callable[..., PlanFile]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(retry, "LONGEST_SECONDS", 0.05)
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def control() -> Control:
    return Control(time.time(), 1000, 10, 5)


def a_plan(**fields: Any) -> plans.Plan:
    values: dict[str, Any] = {
        "job_id": 7,
        "job_uid": "uid",
        "name": "",
        "cpus": 2,
        "memory_gb": 1,
        "disk_gb": 10,
        "walltime_seconds": 60,
        "limit_seconds": 100,
        "reserve_seconds": 20,
    }
    return plans.Plan(**{**values, **fields})


@pytest.fixture
def make_plan(tmp_path: Path) -> MakePlan:
    """Writes a plan and reads it as the runner does."""

    def make(**fields: Any) -> PlanFile:
        path = tmp_path / "plan" / "plan.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(plans.render(a_plan(**fields)))
        return PlanFile(bytes(path))

    return make


def rewrite(plan: PlanFile, change: Callable[[dict[str, Any]], None]) -> None:
    """What a later command does that renews addresses."""
    document = json.loads(Path(plan.path.decode()).read_text())
    change(document)
    Path(plan.path.decode()).write_text(json.dumps(document))
