"""Container images: fetched once for all tasks of a job, and once for all jobs where cached."""

import os
import time

from .errors import IMAGE_FAILED, Corrupt, JobFailed, Stopped, TransferError
from .retry import Transient, retrying
from .text import decode, encode, is_url, redact, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, Optional

    from .engine import Engine
    from .fetch import Fetcher
    from .image_cache import ImageCache
    from .log import Log
    from .scratch import Scratch

SIF_MARK, SIF_AT = b"SIF_MAGIC", 32
PULL_PATIENCE_SECONDS = 300.0
# mksquashfs(1); the level 9 of its default takes four times as long. Every kernel reads gzip.
QUICK_COMPRESSION = b"-comp gzip -Xcompression-level 1"


class Image:
    """One image: where it is (nowhere where it ``failed``) and what it took, -1 s where cached."""

    def __init__(self, path: bytes, status: str, seconds: float, sha256: "Optional[str]") -> None:
        self.path = path
        self.status = status
        self.seconds = seconds
        self.sha256 = sha256


class Images:
    """Gets the images of a plan."""

    def __init__(
        self,
        fetcher: "Fetcher",
        engine: "Engine",
        scratch: "Scratch",
        cache: "Optional[ImageCache]",
        log: "Log",
    ) -> None:
        self.fetcher = fetcher
        self.engine = engine
        self.scratch = scratch
        self.cache = cache
        self.log = log
        self.ready: "dict[int, Image]" = {}
        self.failed: "dict[int, Image]" = {}

    def get(self, index: int) -> None:
        """Make ``ready[index]``; raises JobFailed with the image's name, or Stopped."""
        entry = self.fetcher.plan.document["images"][index]
        name = _name(entry)
        self.log("image %s: begins" % name)
        start = time.time()
        try:
            path, cached = self._get(index, entry)
        except Stopped:
            raise
        except (OSError, TransferError, Transient, Corrupt) as error:
            words = getattr(error, "strerror", None) or str(error)
            detail = "Image %s: %s." % (name, words.rstrip("."))
            self.failed[index] = Image(b"", "failed", time.time() - start, None)
            raise JobFailed(IMAGE_FAILED, detail) from error
        seconds = -1.0 if cached else time.time() - start
        status = "cached" if cached else "completed"
        self.ready[index] = Image(path, status, seconds, entry.get("sha256"))
        self.log("image %s: ready, %s, %.3f s" % (name, status, time.time() - start))

    def _get(self, index: int, entry: "dict[str, Any]") -> "tuple[bytes, bool]":
        """Where the image is, and whether it was there before this job."""
        source = entry["source"]
        if entry["kind"] == "registry":
            return self._pull(index, entry), False
        if not is_url(source):
            path = self.fetcher.plan.local(source)
            os.stat(path)
            if os.path.isdir(path) or not _is_archive(path):
                return path, True  # used where it lies
        cache, sha256 = self.cache, entry.get("sha256")
        if cache is None or not sha256:
            target = os.path.join(self.scratch.images, b"%d.sif" % index)
            self._fetch(index, target)
            return target, False
        return cache.get(sha256, lambda target: self._fetch(index, target))

    def _pull(self, index: int, entry: "dict[str, Any]") -> bytes:
        target = os.path.join(self.scratch.images, b"%d.sif" % index)
        login = {}
        if entry.get("username"):
            login = {"_DOCKER_USERNAME": entry["username"], "_DOCKER_PASSWORD": entry["token"]}
        reference = entry["source"]
        if "://" not in reference:
            reference = "docker://" + reference
        words = [b"pull", b"--force", target, encode(reference)]

        def pull() -> None:
            try:
                self.engine.call(words, self.scratch, self.fetcher.control, login)
            except TransferError as error:
                if _passing(str(error)):
                    raise Transient(str(error)) from error
                raise

        retrying(pull, self.fetcher.control, PULL_PATIENCE_SECONDS, self._note(entry))
        return target

    def _fetch(self, index: int, target: bytes) -> None:
        """Leave a SIF (or what the runtime takes as it is) at ``target``: content decides what it was."""
        entry = self.fetcher.plan.document["images"][index]
        blocks = self.fetcher.blocks(
            lambda: str(self.fetcher.plan.document["images"][index]["source"]),
            entry.get("size_bytes"),
            entry.get("sha256"),
            self._note(entry),
        )
        part = target + b".download"
        try:
            _write(part, _unpacked(blocks))
            if _is_archive(part):
                self._convert(part, target)
            else:
                os.rename(part, target)
        finally:
            if os.path.lexists(part):
                os.unlink(part)

    def _note(self, entry: "dict[str, Any]") -> "Callable[[str], None]":
        return lambda words: self.log("image %s: %s" % (_name(entry), words))

    def _convert(self, archive: bytes, target: bytes) -> None:
        """``docker save`` to SIF, once: running from the archive would convert it for every task."""
        self.log("image is a docker archive: converting")
        self.engine.call(
            [b"build", b"--force", *self._quickly(), target, b"docker-archive:" + archive],
            self.scratch,
            self.fetcher.control,
            {},
        )

    def _quickly(self) -> "list[bytes]":
        """Options for a light compression: a quarter of the CPU time, for a tenth more disk."""
        option = b"--mksquashfs-args"
        return [option, QUICK_COMPRESSION] if self.engine.knows(b"build", option) else []


def _name(entry: "dict[str, Any]") -> str:
    return shown(redact(entry["name"]))


def _passing(words: str) -> bool:
    """Whether a failed pull is worth another try."""
    lower = words.lower()
    marks = ("timeout", "timed out", "connection re", "toomanyrequests", " 50", "temporary", "eof")
    return any(mark in lower for mark in marks)


def _unpacked(blocks: "Iterator[bytes]") -> "Iterator[bytes]":
    from .artifacts import plain

    return plain(blocks)


def _write(path: bytes, blocks: "Iterator[bytes]") -> None:
    from .stream import write_all

    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for block in blocks:
            write_all(descriptor, block)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_archive(path: bytes) -> bool:
    """Whether this is a tar file, compressed or not: a docker archive that must be converted."""
    from .decompress import TAR_AT, TAR_MARK, sniff

    with open(path, "rb") as stream:
        start = stream.read(512)
    if start[SIF_AT : SIF_AT + len(SIF_MARK)] == SIF_MARK:
        return False
    if not start:
        msg = "%s is empty" % decode(os.path.basename(path))
        raise Corrupt(msg)
    return sniff(start) is not None or start[TAR_AT : TAR_AT + len(TAR_MARK)] == TAR_MARK
