"""Images that are files: uploaded, at a web address, or on the node."""

import os

from .errors import Corrupt, TransferError
from .fetch import PRESIGNED, Facts
from .text import decode, is_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from .images import Images, Place

SIF_MARK, SIF_AT = b"SIF_MAGIC", 32


def from_file(images: "Images", index: int, entry: "dict[str, Any]") -> "Place":
    """Where the image is, whether it was there before this job, and its checksum."""
    source, sha256 = entry["source"], (entry.get("sha256") or "").lower()
    if is_url(source):
        version = "" if sha256 else _version(images, source, entry)
        name = sha256 or (_name_at(source, version) if version else None)
        return images.kept(
            index, entry, name, lambda target: _fetch(images, index, target, version)
        )
    path = images.fetcher.plan.local(source)
    if os.path.isdir(path) or not is_archive(path):
        return _where_it_lies(images, path, sha256, entry)
    # A file that came with this job is not there for the next one under this name.
    lasting = os.path.isabs(source)
    name = sha256 or (_name_of(path) if lasting else "")
    return images.kept(index, entry, name or None, lambda target: _fetch(images, index, target))


def _where_it_lies(images: "Images", path: bytes, sha256: str, entry: "dict[str, Any]") -> "Place":
    images.engines[entry["runtime"]].check_file(path)
    if not sha256:
        return path, True, None
    if os.path.isdir(path):
        msg = "it is a folder, which has no SHA-256"
        raise Corrupt(msg)
    from .cache_note import sha256_of

    if images.cache is not None and os.path.isabs(entry["source"]):
        right = images.cache.checked(path, sha256)
    else:
        right = sha256_of(path, images.fetcher.control) == sha256
    if not right:
        msg = "its SHA-256 is not %s, as it should be" % sha256
        raise Corrupt(msg)
    return path, True, sha256


def _version(images: "Images", url: str, entry: "dict[str, Any]") -> str:
    """What the server calls what is at this address just now; "" where it does not say."""
    from .retry import Transient

    try:
        version = images.fetcher.version(url)
    except (TransferError, Transient):
        return ""  # the download itself says what is wrong, or tries again
    if not version:
        images.note(entry)("not cached: it has no checksum, and the server no ETag for it")
    return version


def _name_at(url: str, version: str) -> str:
    from .cache_note import sha256_text

    if PRESIGNED in url:
        url = url.partition("?")[0]  # the signature is another one in every job
    return sha256_text(("%s\n%s" % (url, version)).encode("utf-8", "surrogateescape"))


def _name_of(path: bytes) -> str:
    """The same for a file that is there without a checksum, by all that a write to it changes."""
    from .cache_note import identity, sha256_text

    status = os.stat(path)
    words = [decode(os.path.realpath(path)), status.st_dev, sorted(identity(status).items())]
    return sha256_text(repr(words).encode("utf-8", "surrogateescape"))


def _fetch(images: "Images", index: int, target: bytes, version: str = "") -> "dict[str, str]":
    """Leave what the runtime takes at ``target``: content decides what it was."""
    plan = images.fetcher.plan
    entry = plan.document["images"][index]
    facts = Facts()
    blocks = images.fetcher.blocks(
        lambda: str(plan.document["images"][index]["source"]),
        entry.get("size_bytes"),
        entry.get("sha256"),
        images.note(entry),
        facts,
    )
    engine = images.engines[entry["runtime"]]
    part = target + b".download"
    try:
        _write(part, _unpacked(blocks))
        if is_archive(part):
            engine.take_archive(part, target)
        else:
            engine.check_file(part)
            os.rename(part, target)
    finally:
        if os.path.lexists(part):
            os.unlink(part)
    if version and facts.version != version:
        msg = "it changed while it was fetched"
        raise Corrupt(msg)
    return {"sha256": facts.sha256}


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


def is_sif(path: bytes) -> bool:
    with open(path, "rb") as stream:
        start = stream.read(SIF_AT + len(SIF_MARK))
    return start[SIF_AT:] == SIF_MARK


def is_archive(path: bytes) -> bool:
    """Whether this is a tar file, compressed or not: a docker archive."""
    from .decompress import TAR_AT, TAR_MARK, sniff

    with open(path, "rb") as stream:
        start = stream.read(512)
    if start[SIF_AT : SIF_AT + len(SIF_MARK)] == SIF_MARK:
        return False
    if not start:
        msg = "%s is empty" % decode(os.path.basename(path))
        raise Corrupt(msg)
    return sniff(start) is not None or start[TAR_AT : TAR_AT + len(TAR_MARK)] == TAR_MARK
