"""Images kept between jobs, on a node or in a folder that nodes share, each fetched once."""

import errno
import os
import stat

from .beat import Beat
from .cache_note import Note, sha256_of, sha256_text
from .entry_lock import EntryLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, Optional

    from .control import Control
    from .log import Log

    # Leaves an image at a path and says what there is to remember of where it came from; the file's
    # own checksum, where it is known already, as "file_sha256".
    Fetch = Callable[[bytes], Dict[str, str]]

UNUSED_SECONDS = 120.0  # without a sign of life, after which a mark of use belongs to nobody
STALE_SECONDS = 86400.0  # after which a part of a download belongs to nobody
CHECKED = b".seen"
FULL = (errno.ENOSPC, errno.EDQUOT)


class Entry:
    """``path`` of an image in the cache, whether it was there already, and its ``source``."""

    def __init__(self, path: bytes, cached: bool, source: "dict[str, str]") -> None:
        self.path = path
        self.cached = cached
        self.source = source


class ImageCache:
    """A folder of this user alone. Of each entry: NAME, the image; NAME.json, a :class:`Note`;
    NAME.lock while one job looks at it or fetches it; NAME.use-… while jobs run it.

    A name stands for one content for ever. Images appear by rename, whole. They are checked before every use, see :meth:`Note.holds`. Beyond
    ``limit_bytes`` the least recently used leave, but none that a job uses: a node that reads a file
    over NFS loses it when another removes it.
    """

    def __init__(self, folder: bytes, limit_bytes: int, control: "Control", log: "Log") -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.control = control
        self.log = log
        self.beat = Beat()
        self._me = b"%s-%d-%s" % (
            os.fsencode(os.uname().nodename),
            os.getpid(),
            os.urandom(4).hex().encode("ascii"),
        )
        self._marks: "dict[bytes, int]" = {}
        self._grown = False

    def get(self, name: str, fetch: "Fetch") -> "Optional[Entry]":
        """The image called ``name``; None where the cache cannot be used now, which is logged.

        What ``fetch`` raises is raised, unless it is the cache's disk that is full.
        """
        entry = name.encode("ascii")
        lock = EntryLock(self._path(entry, b".lock"), self.beat)
        try:
            if not lock.take(self.control, self._waits):
                self.log("image cache: nobody lets go of %s" % name)
                return None
        except OSError as error:
            self.log("image cache is not used: %s" % error.strerror)
            return None
        try:
            found = self._found(entry)
            return found or self._fetched(entry, fetch)
        except OSError as error:
            if error.errno not in FULL:
                raise
            self.log("image cache is full: %s" % error.strerror)
            return None
        finally:
            lock.release()

    def _waits(self) -> None:
        self.log("image is being fetched by another job: waiting")

    def _found(self, name: bytes) -> "Optional[Entry]":
        """The entry, marked as used, if it is there and whole."""
        path, note = self._path(name), Note(self._path(name, b".json"))
        try:
            if not note.read():
                return None
            if not note.holds(path, self.control):
                self.log("image cache: %s is damaged" % os.fsdecode(name))
                return None
            self._mark(name)
            note.used()
        except FileNotFoundError:
            return None
        return Entry(path, True, note.document["source"])

    def _fetched(self, name: bytes, fetch: "Fetch") -> Entry:
        path, part = self._path(name), self._path(b".", name, b"-", self._me, b".part")
        try:
            source = fetch(part)
            os.chmod(part, 0o500)
            sha256 = source.pop("file_sha256", None) or sha256_of(part, self.control)
            with open(part, "rb") as stream:
                os.fsync(stream.fileno())
            _discard(self._path(name, b".json"))  # it speaks of the image before
            os.rename(part, path)
            Note(self._path(name, b".json")).write(path, sha256, source)
        finally:
            _discard(part)
        self._mark(name)
        self._grown = True
        return Entry(path, False, source)

    def _mark(self, name: bytes) -> None:
        mark = self._path(name, b".use-", self._me)
        if mark not in self._marks:
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._marks[mark] = os.open(mark, flags, 0o600)
            self.beat.add(self._marks[mark])

    def checked(self, path: bytes, sha256: str) -> bool:
        """Whether a file elsewhere has this checksum: read once, as long as it looks untouched."""
        key = sha256_text(os.path.realpath(path)).encode("ascii")
        note = Note(self._path(key, CHECKED))
        try:
            if note.read() and note.document["sha256"] == sha256:
                return note.holds(path, self.control, of_anybody=True)
            if sha256_of(path, self.control) != sha256:
                return False
            note.write(path, sha256, {})
        except OSError as error:
            if error.errno not in FULL:
                raise
        return True

    def end(self) -> None:
        """This job uses no image any more: the cache may shrink to its size."""
        for mark, descriptor in self._marks.items():
            self.beat.remove(descriptor)
            _discard(mark)
        self._marks.clear()
        if self._grown:
            self._evict()
        self.beat.end()

    def make_room(self) -> None:
        """After the images of a job are there: others leave, before it has run its course."""
        if self._grown:
            self._evict()

    def _evict(self) -> None:
        """Remove the least recently used until the rest fits, and what broken downloads left."""
        entries = []
        for file_name in os.listdir(self.folder):
            path = self._path(file_name)
            name, ending = os.path.splitext(file_name)
            try:
                status = os.lstat(path)
                if ending == b".json":
                    size = os.stat(self._path(name)).st_size
                    entries.append((status.st_mtime, name, size))
            except FileNotFoundError:
                continue
        total = sum(size for _, _, size in entries)
        for _, name, size in sorted(entries):
            if total > self.limit_bytes and self._remove(name):
                total -= size

    def _remove(self, name: bytes) -> bool:
        """Whether the entry could go: nobody uses it or is about to."""
        lock = EntryLock(self._path(name, b".lock"), self.beat)
        if not lock.try_to_take():
            return False
        try:
            if self._in_use(name, lock.now()):
                return False
            _discard(self._path(name, b".json"))
            _discard(self._path(name))
        finally:
            lock.release()
        self.log("image cache: removed %s" % os.fsdecode(name))
        return True

    def _in_use(self, name: bytes, now: float) -> bool:
        """Whether a job that lives has marked it; the marks of those that died are removed."""
        used = False
        for file_name in os.listdir(self.folder):
            path = self._path(file_name)
            try:
                age = now - os.lstat(path).st_mtime
            except FileNotFoundError:
                continue
            if file_name.startswith(name + b".use-"):
                if age < UNUSED_SECONDS:
                    used = True
                else:
                    _discard(path)
            elif file_name.endswith((b".part", b".download", CHECKED)) and age > STALE_SECONDS:
                _discard(path)
        return used

    def _path(self, *parts: bytes) -> bytes:
        return os.path.join(self.folder, b"".join(parts))


def _discard(path: bytes) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def open_cache(
    folder: bytes, limit_bytes: int, control: "Control", log: "Log"
) -> "Optional[ImageCache]":
    """The cache in ``folder``, made if need be; None where it cannot be had, which is logged.

    It must be a folder of this user that nobody else can write to: what is in it is run. Several
    users cannot share one: whoever writes an image there decides what the others run, and their own
    checksum of it would be the writer's word.
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
