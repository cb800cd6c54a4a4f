"""Fixtures of the backends' tests."""

import os
from pathlib import Path

import pytest

from tests.unit.backends.helpers import FakePrograms


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePrograms:
    """No scheduler's program on PATH but those that the test adds."""
    programs = FakePrograms(tmp_path / "programs")
    monkeypatch.setenv("PATH", f"{programs.folder}{os.pathsep}/usr/bin")
    return programs
