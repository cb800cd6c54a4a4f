"""Finishing what an earlier command, killed or left without an answer, has begun."""

import time

from prominence_hpc.adapter.submission import recover
from prominence_hpc.adapter.workspace import Workspace

__all__ = ["settle"]


def settle(workspace: Workspace) -> list[str]:
    """Find or finish interrupted submissions; what the user is to be told of them.

    Every command about jobs begins with this. Costs two looks at the store where there are none.
    """
    now = time.time()
    recovered = recover(workspace.store, workspace.backend, now=now)
    messages = [item.message for item in recovered if item.message]
    if workspace.store.has_open_workflows():
        from prominence_hpc.adapter.workflows.recover import recover_workflows

        messages += recover_workflows(workspace, now=now)
    return list(dict.fromkeys(messages))
