"""The folder that all nodes of a job see: the working directory, and word of where the leader listens.

``SHARED/prominence.nodes-JOB-MARK-RANDOM/``, 0700, holds ``work`` (the containers' /home/user on all nodes) and
``leader.json``, 0600: addresses, port and secret. MARK is the same for all starts of a job, and tells
nobody its UID, by which its outputs can be had.
"""

import hashlib
import json
import os
import stat
import time

from .errors import SCRATCH_FAILED, JobFailed
from .scratch import LOCK, abandoned, expand, lock, make_named, remove_tree
from .text import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Optional

PREFIX = b"prominence.nodes-"  # unlike a scratch folder's, which any node may sweep
LEADER = b"leader.json"
WORK = b"work"
VERSION = 1
FIRST_LOOK_SECONDS, MOST_LOOK_SECONDS = 0.05, 2.0


class Shared:
    """Made by the leader, and removed with all that is in it by :meth:`remove`."""

    def __init__(self, plan: "dict[str, Any]") -> None:
        """Raises JobFailed where it cannot be made."""
        base = base_of(plan)
        try:
            os.makedirs(base, mode=0o700, exist_ok=True)
            for old in _left_here(base, plan):
                remove_tree(old)
            self.path = make_named(base, _prefix(plan))
            self._lock = lock(self.path, os.uname().nodename.encode())
            self.work = os.path.join(self.path, WORK)
            os.mkdir(self.work, 0o700)
        except OSError as error:
            detail = "Shared folder in %s: %s." % (shown(base), error.strerror)
            raise JobFailed(SCRATCH_FAILED, detail) from error

    def announce(self, addresses: "list[str]", port: int, secret: bytes) -> None:
        """Leave the word that followers look for; written whole, by write-and-rename."""
        document = {
            "version": VERSION,
            "addresses": addresses,
            "port": port,
            "secret": secret.hex(),
        }
        path = os.path.join(self.path, LEADER)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path + b".part", flags, 0o600)
        try:
            os.write(descriptor, json.dumps(document).encode("ascii"))
            os.fsync(descriptor)  # other nodes read it
        finally:
            os.close(descriptor)
        os.rename(path + b".part", path)

    def remove(self) -> None:
        """Raises OSError where something stays."""
        for name in (LEADER, WORK):
            path = os.path.join(self.path, name)
            if os.path.isdir(path):
                remove_tree(path)
            elif os.path.lexists(path):
                os.unlink(path)
        remove_tree(self.path)
        os.close(self._lock)


class Word:
    """What a leader has left: where it listens, and the folder that is shared with it."""

    def __init__(self, folder: bytes, document: "dict[str, Any]") -> None:
        self.folder = folder
        self.work = os.path.join(folder, WORK)
        self.addresses = [str(address) for address in document["addresses"]]
        self.port = int(document["port"])
        self.secret = bytes.fromhex(document["secret"])


def words(
    plan: "dict[str, Any]", seconds: float, told: "Optional[bytes]" = None
) -> "Iterator[Word]":
    """Every word of a leader of this job, the newest first, over and over for so long.

    Another start of the job may have left an older one: whoever asks has to try. Where the folder was
    ``told`` there is no other.
    """
    base = base_of(plan)
    end = time.monotonic() + seconds
    pause = FIRST_LOOK_SECONDS
    while True:
        for folder in [told] if told is not None else _folders(base, plan):
            word = _word(folder)
            if word is not None:
                yield word
        if time.monotonic() > end:
            return
        time.sleep(pause)
        pause = min(pause * 1.5, MOST_LOOK_SECONDS)


def base_of(plan: "dict[str, Any]") -> bytes:
    """The site's folder as this node knows it. Raises JobFailed where it names what is not set here."""
    base = expand(plan["shared_scratch"])
    if b"$" in base or not base.startswith(b"/") or b":" in base:
        detail = (
            "Shared folder %s: an absolute path without colons is wanted, and the variables that it "
            "names must be set on the nodes." % shown(base)
        )
        raise JobFailed(SCRATCH_FAILED, detail)
    return os.path.realpath(base)


def _prefix(plan: "dict[str, Any]") -> bytes:
    mark = hashlib.sha256(plan["job_uid"].encode()).hexdigest()[:12]
    return b"%s%d-%s-" % (PREFIX, plan["job_id"], mark.encode())


def _folders(base: bytes, plan: "dict[str, Any]") -> "list[bytes]":
    """Those of this job and this user, the newest first."""
    found = []
    _renew(base)
    try:
        names = os.listdir(base)
    except OSError:
        return []  # not yet, perhaps
    for name in names:
        path = os.path.join(base, name)
        if name.startswith(_prefix(plan)):
            try:
                status = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                found.append((status.st_mtime, path))
    return [path for _, path in sorted(found, reverse=True)]


def _renew(base: bytes) -> None:
    """Have NFS read the folder anew: a client that changes it itself does not trust what it remembers."""
    path = os.path.join(base, b".%s%s" % (PREFIX, os.urandom(6).hex().encode()))
    try:
        os.mkdir(path, 0o700)
        os.rmdir(path)
    except OSError:
        pass  # what it remembers is good for a minute at most


def _word(folder: bytes) -> "Word | None":
    try:
        with open(os.path.join(folder, LEADER), "rb") as stream:
            document = json.loads(stream.read().decode("ascii"))
        return Word(folder, document) if document["version"] == VERSION else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not written yet, or removed meanwhile


def _left_here(base: bytes, plan: "dict[str, Any]") -> "Iterator[bytes]":
    """What earlier starts of this job left, and what dead jobs did that this very node has led.

    Locks of other nodes are seen on some shared file systems alone.
    """
    yield from _folders(base, plan)
    here = os.uname().nodename.encode()
    for name in os.listdir(base):
        path = os.path.join(base, name)
        ours = name.startswith(PREFIX) and not name.startswith(_prefix(plan))
        if ours and _locked_by(path) == here and abandoned(path):
            yield path


def _locked_by(folder: bytes) -> bytes:
    try:
        with open(os.path.join(folder, LOCK), "rb") as stream:
            return stream.read(256)
    except OSError:
        return b""
