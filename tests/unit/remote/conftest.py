"""One running job for all the tests of a process that only look into it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.remote.jobs import Place, as_if_begun_long_ago, running
from tests.unit.wrappers.runs import Runs, shell, until


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a job whose task, in a working directory of its own, has noted its environment."""
    runs = Runs(tmp_path_factory.mktemp("shared"))
    task = shell(
        "env -0 > environment; pwd > cwd; touch ready; exec sleep 1000",
        workdir="sub",
        environment={"GREETING": "good day, *$HOME'\"\\\nand \xe9"},
    )
    with running(runs, task, walltime_seconds=1000, limit_seconds=2000) as folder:
        until(lambda: list(runs.folder.glob("scratch/*/work/sub/ready")))
        as_if_begun_long_ago(folder)
        yield folder


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
