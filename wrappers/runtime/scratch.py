"""The job's own folder on the node: made for it alone, removed with it."""

import errno
import fcntl
import os
import stat
import time

from .errors import SCRATCH_FAILED, JobFailed
from .mounts import unmount
from .text import encode, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

PREFIX = b"prominence-"
LOCK = b"lock"
INSIDE, BESIDE = (
    b"inside",
    b"beside",
)  # held by visitors: "prominence exec", with and without --host
VISITOR_SECONDS = 4.0
MOUNT = (b"storage", b"mount")  # of remote storage, while there is one
FOLDERS = (b"work", b"tmp", b"images", b"cache", b"build")


def expand(path: str) -> bytes:
    """A folder's name with $NAME, ${NAME} and ~ filled in from the node's environment."""
    return os.path.expanduser(os.path.expandvars(encode(path)))


def base_folder(plan: "dict[str, Any]") -> bytes:
    """The site's choice, else the scheduler's scratch folder, else $TMPDIR, else /tmp."""
    if plan.get("scratch"):
        base = expand(plan["scratch"])
        if b"$" in base:
            detail = "Scratch folder %s names a variable that is not set here." % shown(base)
            raise JobFailed(SCRATCH_FAILED, detail)
        return base
    for name in (b"_CONDOR_SCRATCH_DIR", b"SLURM_TMPDIR", b"TMPDIR"):
        value = os.environb.get(name)
        if value and os.path.isdir(value):
            return value
    return b"/tmp"


class Folders:
    """``work`` is the containers' /home/user, ``tmp`` their /tmp; the rest is the runtime's."""

    def __init__(self, path: bytes) -> None:
        self.path = path
        self.work, self.tmp, self.images, self.cache, self.build = (
            os.path.join(path, folder) for folder in FOLDERS
        )

    def enter(self, name: bytes) -> None:
        """Be a visitor, INSIDE or BESIDE the container, for as long as this process lives."""
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            _locked(os.open(os.path.join(self.path, name), flags, 0o600), fcntl.LOCK_SH)
        except OSError:
            pass  # a full disk: then nobody waits for us


class Scratch(Folders):
    """The folders, made for this job.

    A lock is held on it for as long as this process lives, so that :func:`sweep` can tell a folder
    that a killed job left from one that is in use, over PID namespaces too.
    """

    def __init__(self, base: bytes, job_id: int) -> None:
        base = os.path.realpath(base)
        if b":" in base:
            detail = "Scratch folder %s has a colon, which binds cannot express." % shown(base)
            raise JobFailed(SCRATCH_FAILED, detail)
        try:
            os.makedirs(base, exist_ok=True)
            super().__init__(make_named(base, b"%s%d-" % (PREFIX, job_id)))
            self._lock = lock(self.path)
            for folder in FOLDERS:
                os.mkdir(os.path.join(self.path, folder), 0o700)
        except OSError as error:
            detail = "Scratch folder in %s: %s." % (shown(base), error.strerror)
            raise JobFailed(SCRATCH_FAILED, detail) from error
        self.base = base

    def wait_for_visitors(self, *names: bytes) -> None:
        """Until nobody of these is here any more; they are told to go and killed, so not for long."""
        end = time.monotonic() + VISITOR_SECONDS
        for name in names:
            try:
                descriptor = os.open(os.path.join(self.path, name), os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                continue  # nobody was ever here
            while not _locked(descriptor, fcntl.LOCK_EX) and time.monotonic() < end:
                time.sleep(0.05)
            os.close(descriptor)

    def remove(self) -> None:
        """Remove it whole, read-only folders too; raises OSError where something stays.

        The lock goes last: with it :func:`sweep` finds what had to stay.
        """
        unmount(os.path.join(self.path, *MOUNT))
        for name in os.listdir(self.path):
            path = os.path.join(self.path, name)
            if os.path.isdir(path) and not os.path.islink(path):
                remove_tree(path)
            elif name != LOCK:
                _remove(path)
        remove_tree(self.path)
        os.close(self._lock)


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def make_named(base: bytes, prefix: bytes) -> bytes:
    """A new folder of our own, 0700, whose name nobody could guess."""
    for _ in range(100):
        name = prefix + os.urandom(4).hex().encode("ascii")
        try:
            os.mkdir(os.path.join(base, name), 0o700)
        except FileExistsError:
            continue
        return os.path.join(base, name)
    raise FileExistsError(17, "no free name", base)


def lock(folder: bytes, content: bytes = b"") -> int:
    """Locked before it has its name: whoever finds it unlocked finds a dead job's."""
    path = os.path.join(folder, LOCK)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(path + b".new", flags, 0o600)
    os.write(descriptor, content)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pass  # no locks on this file system: then nobody can take one and sweep it
    os.rename(path + b".new", path)
    return descriptor


def sweep(base: bytes) -> "list[bytes]":
    """Remove what killed jobs of this user left here; returns the names of what was removed."""
    removed = []
    for name in os.listdir(base):
        path = os.path.join(base, name)
        if name.startswith(PREFIX) and abandoned(path):
            unmount(os.path.join(path, *MOUNT))
            remove_tree(path)
            removed.append(name)
    return removed


def abandoned(path: bytes) -> bool:
    """Whether this is a scratch folder of ours whose lock nobody holds."""
    try:
        status = os.lstat(path)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            return False
        descriptor = os.open(os.path.join(path, LOCK), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def remove_tree(path: bytes, device: "Optional[int]" = None) -> None:
    """Remove a folder and all below it; follows no link; makes read-only folders writable first.

    Raises OSError at a folder of another file system than ``device``, the folder's own: something is mounted
    there, and what lies in it is not ours.
    """
    here = os.lstat(path).st_dev
    if device not in (None, here):
        raise OSError(errno.EBUSY, "something is mounted there", path)
    try:
        entries = list(os.scandir(path))
    except PermissionError:
        os.chmod(path, 0o700)
        entries = list(os.scandir(path))
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(entry.path, here)
        else:
            _remove(entry.path)
    _remove(path, folder=True)


def _remove(path: bytes, folder: bool = False) -> None:
    action = os.rmdir if folder else os.unlink
    try:
        action(path)
    except PermissionError:
        os.chmod(os.path.dirname(path), 0o700)
        action(path)
