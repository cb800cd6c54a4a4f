"""Opening the workspace for a command; the only place that reads the environment."""

import os

from prominence_hpc.adapter.workspace import Workspace, open_workspace

__all__ = ["workspace"]


def workspace(site: str | None = None) -> Workspace:
    """The user's jobs, storage and schedulers, as configuration and environment say."""
    return open_workspace(os.environ, site=site)
