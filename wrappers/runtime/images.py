"""Container images: fetched once for all tasks of a job, and once for all jobs where cached."""

import os
import time

from .errors import IMAGE_FAILED, Corrupt, JobFailed, Stopped, TransferError
from .registry import Unclear
from .retry import Transient, retrying
from .text import redact, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, Tuple

    from .engine import Engine
    from .fetch import Fetcher
    from .image_cache import Fetch, ImageCache
    from .log import Log
    from .reference import Reference
    from .registry import Found
    from .scratch import Scratch
    from .udocker import Udocker

    # Where an image is, whether it was there before this job, and its checksum if that is known.
    Place = Tuple[bytes, bool, Optional[str]]

PULL_PATIENCE_SECONDS = 300.0
# With a registry that does not answer us; the runtime itself tries for longer.
ASK_PATIENCE_SECONDS, NOBODY_SECONDS = 20.0, 2.0


class Image:
    """One image: where it is (nowhere where it ``failed``) and what it took, -1 s where cached."""

    def __init__(self, path: bytes, status: str, seconds: float, sha256: "Optional[str]") -> None:
        self.path = path
        self.status = status
        self.seconds = seconds
        self.sha256 = sha256


class Images:
    """Gets the images of a plan, each for the runtime that will run it."""

    def __init__(
        self,
        fetcher: "Fetcher",
        engines: "dict[str, Engine | Udocker]",
        scratch: "Scratch",
        cache: "Optional[ImageCache]",
        log: "Log",
    ) -> None:
        self.fetcher = fetcher
        self.engines = engines
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
            path, cached, sha256 = self._get(index, entry)
            path = self.engines[entry["runtime"]].prepare(path, index)
        except Stopped:
            raise
        except (OSError, TransferError, Transient, Corrupt, Unclear) as error:
            words = getattr(error, "strerror", None) or str(error)
            detail = "Image %s: %s." % (name, words.rstrip("."))
            self.failed[index] = Image(b"", "failed", time.time() - start, None)
            raise JobFailed(IMAGE_FAILED, detail) from error
        seconds = -1.0 if cached else time.time() - start
        status = "cached" if cached else "completed"
        self.ready[index] = Image(path, status, seconds, sha256)
        self.log("image %s: ready, %s, %.3f s" % (name, status, time.time() - start))

    def _get(self, index: int, entry: "dict[str, Any]") -> "Place":
        if entry["kind"] == "registry":
            return self._from_registry(index, entry)
        from .image_file import from_file

        return from_file(self, index, entry)

    def kept(
        self, index: int, entry: "dict[str, Any]", name: "Optional[str]", fetch: "Fetch"
    ) -> "Place":
        """What ``fetch`` leaves, from the cache under ``name``, or in the job's own folder.

        Its source has the checksum to report as "sha256"; without one the image has none.
        """
        suffix = self.engines[entry["runtime"]].SUFFIX
        if self.cache is not None and name is not None:
            found = self.cache.get(name + suffix, fetch)
            if found is not None:
                return found.path, found.cached, found.source.get("sha256")
        target = os.path.join(self.scratch.images, b"%d%s" % (index, suffix.encode("ascii")))
        return target, False, fetch(target).get("sha256")

    def _from_registry(self, index: int, entry: "dict[str, Any]") -> "Place":
        from .reference import parse

        reference = parse(_source(entry))
        found = None if reference is None else self._ask(reference, entry)
        if reference is None or found is None:
            return self.kept(index, entry, None, lambda target: self._pull_unknown(entry, target))
        digest = found.digest.partition(":")[2]
        sha256 = found.file_sha256 or digest
        _expect(entry, sha256, digest)
        known, pinned = found, reference.pinned(found.digest)

        def fetch(target: bytes) -> "dict[str, str]":
            self._pull(entry, pinned, target)
            return _of_pull(known, sha256, target)

        # One name may stand for images of several machines, of which the runtime takes its own.
        name = sha256 if found.file_sha256 else "%s-%s" % (digest, os.uname().machine)
        return self.kept(index, entry, name, fetch)

    def _ask(self, reference: "Reference", entry: "dict[str, Any]") -> "Optional[Found]":
        """What the registry has; None where it does not tell us, which is logged."""
        from .registry import Registry

        registry = Registry(reference, _login(entry), self.fetcher.web)
        note, control = self.note(entry), self.fetcher.control
        try:
            return retrying(registry.find, control, ASK_PATIENCE_SECONDS, note, NOBODY_SECONDS)
        except (Unclear, Transient) as error:
            note("not cached: %s" % error)
            return None

    def _pull_unknown(self, entry: "dict[str, Any]", target: bytes) -> "dict[str, str]":
        """An image of which nobody told the digest."""
        if entry.get("sha256"):
            msg = "its checksum cannot be known before it is run, which imageSha256 asks for"
            raise TransferError(msg)
        self._pull(entry, _source(entry), target)
        return {}

    def _pull(self, entry: "dict[str, Any]", reference: str, target: bytes) -> None:
        engine, login = self.engines[entry["runtime"]], _login(entry)

        def pull() -> None:
            try:
                engine.pull(reference, target, login)
            except TransferError as error:
                if _passing(str(error)):
                    raise Transient(str(error)) from error
                if login is None and _unauthorized(str(error)):
                    msg = "%s; a private registry needs imagePullCredential" % error
                    raise TransferError(msg) from error
                raise

        retrying(pull, self.fetcher.control, PULL_PATIENCE_SECONDS, self.note(entry))

    def note(self, entry: "dict[str, Any]") -> "Callable[[str], None]":
        return lambda words: self.log("image %s: %s" % (_name(entry), words))


def _of_pull(found: "Found", sha256: str, target: bytes) -> "dict[str, str]":
    if found.file_sha256 is None:
        return {"sha256": sha256}
    from .cache_note import sha256_of

    arrived = sha256_of(target)
    if arrived != found.file_sha256:
        msg = "its SHA-256 is %s and the registry says %s" % (arrived, found.file_sha256)
        raise Corrupt(msg)
    return {"sha256": sha256, "file_sha256": arrived}


def _expect(entry: "dict[str, Any]", *known: str) -> None:
    """Raises Corrupt where the user named a checksum that the registry does not have here."""
    wanted = (entry.get("sha256") or "").lower()
    if wanted and wanted not in known:
        msg = "its SHA-256 in the registry is %s and should be %s" % (known[0], wanted)
        raise Corrupt(msg)


def _source(entry: "dict[str, Any]") -> str:
    source = str(entry["source"])
    return source if "://" in source else "docker://" + source


def _login(entry: "dict[str, Any]") -> "Optional[Tuple[str, str]]":
    return (entry["username"], entry["token"]) if entry.get("username") else None


def _name(entry: "dict[str, Any]") -> str:
    return shown(redact(entry["name"]))


def _passing(words: str) -> bool:
    """Whether a failed pull is worth another try."""
    lower = words.lower()
    marks = ("timeout", "timed out", "connection re", "toomanyrequests", " 50", "temporary", "eof")
    return any(mark in lower for mark in marks)


def _unauthorized(words: str) -> bool:
    lower = words.lower()
    return any(mark in lower for mark in ("authentication", "unauthorized", "denied"))
