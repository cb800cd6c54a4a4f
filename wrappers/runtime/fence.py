"""Making files in a folder that no name, link or earlier member can lead out of.

Every step down is an openat(2) that follows no link, so what is checked is what is used.
"""

import errno
import os
import stat

from .errors import UnsafeName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Tuple

    Parts = Tuple[bytes, ...]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def split_name(name: bytes) -> "Parts":
    """The steps of a relative name; empty for the folder itself. Raises UnsafeName.

    >>> split_name(b"./a//b/")
    (b'a', b'b')
    """
    if name.startswith(b"/"):
        msg = "it has an absolute path"
        raise UnsafeName(msg)
    if b"\0" in name:
        msg = "its name holds a zero byte"
        raise UnsafeName(msg)
    parts = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
    if b".." in parts:
        msg = 'its path has ".."'
        raise UnsafeName(msg)
    return parts


def check_link(parts: "Parts", target: bytes) -> None:
    """Whether a symbolic link at ``parts`` stays inside, whatever else lies there.

    Only leading ".." are taken, no more than there are folders above: such a link, and any
    chain of such links, cannot leave. (After a name, ".." could follow another link upwards.)
    """
    if target.startswith(b"/"):
        msg = "it is a link to an absolute path"
        raise UnsafeName(msg)
    if not target or b"\0" in target:
        msg = "it is a link without a valid target"
        raise UnsafeName(msg)
    steps = [step for step in target.split(b"/") if step not in (b"", b".")]
    climb = 0
    while climb < len(steps) and steps[climb] == b"..":
        climb += 1
    if climb > len(parts) - 1:
        msg = "it is a link that leads out of the working directory"
        raise UnsafeName(msg)
    if b".." in steps[climb:]:
        msg = 'it is a link with ".." after a name'
        raise UnsafeName(msg)


class Fence:
    """One folder and one user of it: not for several threads at once."""

    def __init__(self, root: bytes) -> None:
        self._root = os.open(root, _DIRECTORY)
        self._parts: "Parts" = ()
        self._folder = self._root  # the descriptor of _parts: members of one folder come together

    def __enter__(self) -> "Fence":
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()
        os.close(self._root)

    def _leave(self) -> None:
        if self._folder != self._root:
            os.close(self._folder)
        self._folder, self._parts = self._root, ()

    def _enter(self, parts: "Parts", create: bool) -> int:
        """A descriptor of the folder ``parts``; folders that are missing are made."""
        if parts == self._parts:
            return self._folder
        self._leave()
        folder = self._root
        try:
            for part in parts:
                below = _step(folder, part, create)
                if folder != self._root:
                    os.close(folder)
                folder = below
        except (OSError, UnsafeName):
            if folder != self._root:
                os.close(folder)
            raise
        self._folder, self._parts = folder, parts
        return folder

    def file(self, name: bytes, mode: int) -> int:
        """A descriptor of a new file, open for writing; what was there is replaced."""
        parts = _some(split_name(name))
        folder = self._enter(parts[:-1], create=True)
        mode = mode & 0o777 | 0o600
        try:
            return os.open(parts[-1], _NEW_FILE, mode, dir_fd=folder)
        except FileExistsError:
            _make_room(parts[-1], folder)
            return os.open(parts[-1], _NEW_FILE, mode, dir_fd=folder)

    def directory(self, name: bytes, mode: int = 0o755) -> None:
        """Make a folder, or give one that is there this mode; its owner can always work in it."""
        parts = split_name(name)
        if not parts:
            return
        folder = self._enter(parts, create=True)
        os.fchmod(folder, mode & 0o777 | 0o700)

    def symlink(self, name: bytes, target: bytes) -> None:
        parts = _some(split_name(name))
        check_link(parts, target)
        folder = self._enter(parts[:-1], create=True)
        try:
            os.symlink(target, parts[-1], dir_fd=folder)
        except FileExistsError:
            _make_room(parts[-1], folder)
            os.symlink(target, parts[-1], dir_fd=folder)

    def link(self, name: bytes, target: bytes) -> None:
        """A hard link to a regular file that is inside already."""
        try:
            source = _some(split_name(target))
        except UnsafeName as error:
            msg = "it is a link and of its target %s" % error
            raise UnsafeName(msg) from error
        parts = _some(split_name(name))
        if source == parts:
            return
        folder = os.dup(self._enter(source[:-1], create=False))
        try:
            if not stat.S_ISREG(os.lstat(source[-1], dir_fd=folder).st_mode):
                msg = "it is a link to what is no regular file"
                raise UnsafeName(msg)
            here = self._enter(parts[:-1], create=True)
            options = {"src_dir_fd": folder, "dst_dir_fd": here, "follow_symlinks": False}
            try:
                os.link(source[-1], parts[-1], **options)  # type: ignore[arg-type]
            except FileExistsError:
                _make_room(parts[-1], here)
                os.link(source[-1], parts[-1], **options)  # type: ignore[arg-type]
        finally:
            os.close(folder)

    def read(self, name: bytes, limit: int) -> bytes:
        """The first bytes of a file that was made here."""
        parts = _some(split_name(name))
        folder = self._enter(parts[:-1], create=False)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(parts[-1], flags, dir_fd=folder)
        try:
            return os.read(descriptor, limit)
        finally:
            os.close(descriptor)

    def chmod(self, name: bytes, mode: int) -> None:
        """Give a file that was made here this mode; set-user-ID and its like are dropped."""
        parts = _some(split_name(name))
        folder = self._enter(parts[:-1], create=False)
        descriptor = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            os.fchmod(descriptor, mode & 0o777 | 0o600)
        finally:
            os.close(descriptor)


def _some(parts: "Parts") -> "Parts":
    if not parts:
        msg = "its name is that of the working directory itself"
        raise UnsafeName(msg)
    return parts


def _step(folder: int, part: bytes, create: bool) -> int:
    """Open the folder ``part`` of a folder, made if need be; never through a link."""
    try:
        return os.open(part, _DIRECTORY, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            msg = "its path leads through %s, which is no folder" % os.fsdecode(part)
            raise UnsafeName(msg) from error
        if error.errno != errno.ENOENT or not create:
            raise
    try:
        os.mkdir(part, 0o755, dir_fd=folder)
    except FileExistsError:
        pass  # another artifact made it at the same time
    return os.open(part, _DIRECTORY, dir_fd=folder)


def _make_room(name: bytes, folder: int) -> None:
    """Remove what is in the way of a new file; a folder is not."""
    if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
        msg = "a folder of that name is there already"
        raise UnsafeName(msg)
    os.unlink(name, dir_fd=folder)
