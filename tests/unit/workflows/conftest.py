"""A scheduler that takes workflows, and a workspace whose one site it is."""

from pathlib import Path

import pytest

from prominence_hpc.adapter.workspace import Workspace
from tests.unit.workflows.site import FakeCluster, cluster_at, workspace_at


@pytest.fixture
def cluster(tmp_path: Path) -> FakeCluster:
    return cluster_at(tmp_path)


@pytest.fixture
def workspace(tmp_path: Path, cluster: FakeCluster) -> Workspace:
    return workspace_at(tmp_path, cluster)
