"""Images kept on the node between jobs, as SIF files named by the checksum of what was fetched."""

import fcntl
import json
import os
import stat
import time

from .errors import Stopped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional

    from .control import Control
    from .log import Log

WAIT_SECONDS = 1800.0  # for another job of this node that is fetching the same image
STALE_SECONDS = 86400.0  # after which a part of a download belongs to nobody


class ImageCache:
    """A folder of this user alone: ``SHA256.sif``, beside it ``SHA256.json`` (size, time of use).

    Entries appear by rename, whole, so that readers need no lock; the lock only keeps several jobs
    from fetching the same. The least recently used are removed beyond ``limit_bytes``; a running
    container keeps its open file.
    """

    def __init__(self, folder: bytes, limit_bytes: int, control: "Control", log: "Log") -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.control = control
        self.log = log

    def get(self, sha256: str, fetch: "Callable[[bytes], None]") -> "tuple[bytes, bool]":
        """The path of the image, and whether it was there already; ``fetch`` leaves it at a path."""
        name = sha256.lower().encode("ascii")
        path = os.path.join(self.folder, name + b".sif")
        if self._usable(name):
            return path, True
        lock = self._lock(name)
        try:
            if lock is not None and self._usable(name):
                return path, True
            part = os.path.join(self.folder, b".%s-%d.part" % (name, os.getpid()))
            self._discard(part)
            try:
                fetch(part)
                self._record(name, part, path)
            finally:
                self._discard(part)
        finally:
            if lock is not None:
                os.close(lock)
        self._evict(keep=name)
        return path, False

    def _usable(self, name: bytes) -> bool:
        """Whether the entry is whole and ours; its last use is now."""
        path = os.path.join(self.folder, name + b".sif")
        note = os.path.join(self.folder, name + b".json")
        try:
            status = os.lstat(path)
            with open(note, "rb") as stream:
                size = json.loads(stream.read().decode("ascii"))["size_bytes"]
            os.utime(note)
        except (OSError, ValueError, KeyError):
            return False
        mine = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
        return mine and status.st_size == size

    def _record(self, name: bytes, part: bytes, path: bytes) -> None:
        os.chmod(part, 0o500)
        with open(part, "rb") as stream:
            os.fsync(stream.fileno())
        note = os.path.join(self.folder, name + b".json")
        with open(note + b".part", "w") as text:
            json.dump({"size_bytes": os.stat(part).st_size}, text)
        os.rename(part, path)
        os.rename(note + b".part", note)

    def _lock(self, name: bytes) -> "Optional[int]":
        """The lock of one entry, waited for; None where locks do not work or nobody lets go."""
        path = os.path.join(self.folder, name + b".lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        end = time.time() + WAIT_SECONDS
        said = False
        while time.time() < end:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not said:
                    self.log("image is being fetched by another job: waiting")
                    said = True
                self._sleep(descriptor)
                continue
            except OSError:
                break  # the file system has no locks
            return descriptor
        os.close(descriptor)
        return None

    def _sleep(self, descriptor: int) -> None:
        try:
            self.control.sleep(0.2)
        except Stopped:
            os.close(descriptor)
            raise

    def _evict(self, keep: bytes) -> None:
        """Remove the least recently used until the rest fits, and what broken downloads left."""
        entries = []
        for file_name in os.listdir(self.folder):
            path = os.path.join(self.folder, file_name)
            name, ending = os.path.splitext(file_name)
            try:
                status = os.lstat(path)
                if ending == b".part" and time.time() - status.st_mtime > STALE_SECONDS:
                    os.unlink(path)
                if ending == b".json":
                    size = os.stat(os.path.join(self.folder, name + b".sif")).st_size
                    entries.append((status.st_mtime, name, size))
            except FileNotFoundError:
                continue
        total = sum(size for _, _, size in entries)
        for _, name, size in sorted(entries):
            if total <= self.limit_bytes:
                return
            if name != keep:
                self._discard(os.path.join(self.folder, name + b".json"))
                self._discard(os.path.join(self.folder, name + b".sif"))
                self.log("image cache: removed %s" % name.decode("ascii", "replace"))
                total -= size

    @staticmethod
    def _discard(path: bytes) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass


def open_cache(
    folder: bytes, limit_bytes: int, control: "Control", log: "Log"
) -> "Optional[ImageCache]":
    """The cache in ``folder``, made if need be; None where it cannot be had, which is logged.

    It must be a folder of this user that nobody else can write to: what is in it is run.
    """
    try:
        os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass
        status = os.lstat(folder)
    except OSError as error:
        log("image cache %r is not used: %s" % (folder, error.strerror))
        return None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        log("image cache %r is not used: it is no folder of this user" % folder)
        return None
    if status.st_mode & 0o022:
        log("image cache %r is not used: others can write to it" % folder)
        return None
    return ImageCache(folder, limit_bytes, control, log)
