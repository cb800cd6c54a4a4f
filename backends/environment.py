"""What of the login node's environment a job, and a scheduler's command, get to see: little."""

import os
from collections.abc import Mapping

__all__ = ["SYSTEM_PATH", "job_environment"]

# What a node is looked through for programs; a site adds to it with prologue lines.
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"

# Who the user is holds on every machine; all the rest is the login node's own affair.
_KEPT = ("HOME", "LOGNAME", "SHELL", "USER")


def job_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment that a job starts with: who the user is, a plain PATH, UTF-8.

    Modules that are loaded, virtual environments, proxies, tokens and agents of the login node are
    not in it; a site that wants them there says so in ``prologue`` or ``environment``.
    """
    given = os.environ if environment is None else environment
    kept = {name: given[name] for name in _KEPT if name in given}
    return {**kept, "LANG": "C.UTF-8", "PATH": SYSTEM_PATH}
