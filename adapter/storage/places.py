"""Whose folder is whose, below a root that many users write to.

Each user has one folder directly below the root, so that no folder on the way to an object belongs
to anybody else but the root's owner; in a sticky root nobody can move or replace another's. Who
comes first could still make a folder in another's name: hence the owner is looked at each time.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from prominence_hpc.errors import ConfigError, StorageError

__all__ = ["OTHERS_MAY_WRITE", "Place"]

OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class Place:
    """The folder ``root/owner``; ``own``: it is to be ours."""

    root: Path
    owner: str
    own: bool

    @property
    def folder(self) -> Path:
        return self.root / self.owner

    def exists(self) -> bool:
        """Is the folder there, and that of its owner?

        What lies there instead of another user's folder counts as nothing; in the place of our own
        it is a StorageError. Raises ConfigError where the root is not safe.
        """
        try:
            check_root(self.root, self.root.stat())
            status = self.folder.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            msg = f"Cannot look up {self.folder}: {error.strerror or error}."
            raise StorageError(msg) from error
        if self.own:
            self._check_own(status)
            return True
        return stat.S_ISDIR(status.st_mode) and login_name(status.st_uid) == self.owner

    def make(self) -> None:
        """Make our own folder, and the root if it is missing. Raises as :meth:`exists`; OSError."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_root(self.root, self.root.stat())
        self.folder.mkdir(mode=0o700, exist_ok=True)
        status = self.folder.lstat()
        self._check_own(status)
        if status.st_mode & OTHERS_MAY_WRITE:
            self.folder.chmod(0o700)

    def _check_own(self, status: os.stat_result) -> None:
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
            return
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "link or file"
        owner = login_name(status.st_uid) or f"user {status.st_uid}"
        msg = (
            f"{self.folder} should be your own folder and is a {kind} of {owner}: "
            "ask them, or the administrator, to remove it."
        )
        raise StorageError(msg)


def check_root(root: Path, status: os.stat_result) -> None:
    """Raise ConfigError where others than root and we could replace what lies in ``root``."""
    if status.st_uid not in {0, os.geteuid()}:
        owner = login_name(status.st_uid) or f"user {status.st_uid}"
        msg = (
            f"The storage folder {root} belongs to {owner}, who could replace all files in it: "
            "use one that is yours, or that root has made."
        )
        raise ConfigError(msg)
    if status.st_mode & OTHERS_MAY_WRITE and not status.st_mode & stat.S_ISVTX:
        msg = (
            f"The storage folder {root} lets its users remove each other's files: "
            "chmod it to 1777, or to 0700 if it is yours alone."
        )
        raise ConfigError(msg)


def login_name(uid: int) -> str:
    """Empty where the system does not know the user."""
    import pwd  # here: a user's own files need no names

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""
