"""What is written beside an image of the cache: what it must be, and where it came from."""

import hashlib
import json
import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .control import Control

NOTE_VERSION = 1
BLOCK = 1 << 20
# A file that looks untouched is believed for this long; then its bytes are read once more, for a
# disk that loses some of them leaves no trace in its times.
VERIFIED_SECONDS = 86400.0


class Note:
    """``NAME.json``: the checksum of the file, its identity when it was last checked, its source."""

    def __init__(self, path: bytes) -> None:
        self.path = path
        self.document: "dict[str, Any]" = {}

    def read(self) -> bool:
        """Whether there is one that can be understood."""
        try:
            with open(self.path, "rb") as stream:
                document = json.loads(stream.read().decode("ascii"))
            known = bool(document["version"] == NOTE_VERSION)
            document["sha256"], document["identity"], document["verified"], document["source"]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        self.document = document
        return known

    def write(self, image: bytes, sha256: str, source: "dict[str, str]") -> None:
        """For an image that is in its place now, and that has this checksum."""
        self.document = {
            "version": NOTE_VERSION,
            "sha256": sha256,
            "identity": identity(os.stat(image)),
            "verified": time.time(),
            "source": source,
        }
        part = b"%s.%s.part" % (self.path, os.urandom(8).hex().encode("ascii"))
        with open(part, "w") as text:
            json.dump(self.document, text)
        os.rename(part, self.path)

    def used(self) -> None:
        """Now: the least recently used are those whose notes are the oldest."""
        os.utime(self.path)

    def holds(self, image: bytes, control: "Control", of_anybody: bool = False) -> bool:
        """Whether the image is what was noted; it is read where its times do not vouch for it."""
        status = os.stat(image) if of_anybody else os.lstat(image)
        if not of_anybody and not (stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()):
            return False
        age = time.time() - self.document["verified"]
        if self.document["identity"] == identity(status) and 0 <= age < VERIFIED_SECONDS:
            return True
        if self.document["identity"]["size"] != status.st_size:
            return False
        if sha256_of(image, control) != self.document["sha256"]:
            return False
        self.write(image, self.document["sha256"], self.document["source"])
        return True


def identity(status: os.stat_result) -> "dict[str, int]":
    """What changes with every write. No device number: each node has its own for a shared folder."""
    return {
        "size": status.st_size,
        "inode": status.st_ino,
        "modified_ns": status.st_mtime_ns,
        "changed_ns": status.st_ctime_ns,
    }


def sha256_of(path: bytes, control: "Optional[Control]" = None) -> str:
    """Of a file's bytes; raises OSError, or Stopped."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as stream:
        while True:
            if control is not None:
                control.check()
            block = stream.read(BLOCK)
            if not block:
                return digest.hexdigest()
            digest.update(block)


def sha256_text(name: bytes) -> str:
    return hashlib.sha256(name).hexdigest()
