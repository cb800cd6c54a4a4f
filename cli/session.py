"""Opening the workspace for a command; the only place that reads the environment."""

import os

from prominence_hpc.adapter.workspace import Workspace, open_workspace
from prominence_hpc.cli.output import warn

__all__ = ["settled_workspace", "workspace"]


def workspace(site: str | None = None) -> Workspace:
    """The user's jobs, storage and schedulers, as configuration and environment say."""
    return open_workspace(os.environ, site=site)


def settled_workspace(site: str | None = None) -> Workspace:
    """The same for commands that submit, once interrupted submissions have been seen to."""
    from prominence_hpc.adapter.settle import settle  # not every command needs a store

    session = workspace(site)
    for message in settle(session):
        warn(message)
    return session
