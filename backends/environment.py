"""What of the login node's environment a job, and a scheduler's command, get to see: nothing."""

import os
import pwd

__all__ = ["SYSTEM_PATH", "job_environment"]

# What a node is looked through for programs; a site adds to it with prologue lines.
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"

# Who the user is, where the system does not say.
_KEPT = ("HOME", "LOGNAME", "SHELL", "USER")


def job_environment() -> dict[str, str]:
    """The environment that a job starts with: who the user is, a plain PATH, UTF-8.

    Modules that are loaded, virtual environments, proxies, tokens and agents of the login node are
    not in it, nor is a home that a shell there has made up. A site that wants some of them in jobs
    says so in ``forward_environment``, ``environment`` or ``prologue``.
    """
    return {**_user(), "LANG": "C.UTF-8", "PATH": SYSTEM_PATH}


def _user() -> dict[str, str]:
    try:
        entry = pwd.getpwuid(os.geteuid())
    except KeyError:
        return {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {
        "HOME": entry.pw_dir,
        "LOGNAME": entry.pw_name,
        "SHELL": entry.pw_shell,
        "USER": entry.pw_name,
    }
