"""What tests of the local backend share: real jobs, and what becomes of them."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prominence_hpc.backends.base import Condition, SchedulerState
from prominence_hpc.backends.local import LocalBackend
from prominence_hpc.backends.local.record import Record, read_record
from prominence_hpc.backends.settings import SiteSettings
from tests.unit.backends.helpers import submission


class Local:
    """Jobs on this machine, which run a Python text in place of the wrapper; one at once, if not told."""

    def __init__(self, folder: Path, slots: int = 1) -> None:
        self.folder = folder
        site = SiteSettings(name="here", backend="local", slots=slots)
        self.backend = LocalBackend(site, folder / "state")
        self.handles: list[str] = []
        self._numbers = itertools.count(1)

    def submit(self, code: str, **fields: Any) -> str:
        number = next(self._numbers)
        folder = self.folder / str(number)
        folder.mkdir(parents=True)
        (folder / "plan.json").write_text("{}")
        (folder / "runner.pyz").write_text(code)
        values = {"tag": f"{number:032x}", "runner": folder / "runner.pyz", "priority": None}
        self.handles.append(self.backend.submit(submission(folder, **{**values, **fields})))
        return self.handles[-1]

    def take_slot(self) -> Callable[[], None]:
        """Have the one slot taken by a job that ends when what is returned is called."""
        go = self.folder / "go"
        code = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)"
        handle = self.submit(code)
        end = time.monotonic() + 20
        while self.state(handle).condition is Condition.QUEUED:
            assert time.monotonic() < end
            time.sleep(0.02)
        return go.touch

    def ended(self, handle: str, seconds: float = 20) -> SchedulerState:
        end = time.monotonic() + seconds
        while (state := self.state(handle)).condition is not Condition.ENDED:
            assert time.monotonic() < end, state
            time.sleep(0.02)
        return state

    def state(self, handle: str) -> SchedulerState:
        return self.backend.poll([handle])[handle]

    def record(self, handle: str) -> Record:
        found = read_record(self.record_path(handle))
        assert found is not None
        return found

    def record_path(self, handle: str) -> Path:
        return self.backend._record_path(handle)
