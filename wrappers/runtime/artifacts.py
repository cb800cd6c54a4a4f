"""Stage-in: input files out of the plan, artifacts from wherever they are, several at once."""

import os

from .errors import (
    ARTIFACT_FAILED,
    INPUT_FAILED,
    UNPACK_FAILED,
    Corrupt,
    JobFailed,
    TransferError,
    UnsafeName,
)
from .fence import Fence
from .retry import Transient
from .stream import write_all
from .text import encode, redact, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from .fetch import Fetcher
    from .log import Log

TAR_ENDINGS = (b".tar", b".tar.gz", b".tgz", b".tar.bz2", b".tar.xz")
SINGLE_ENDINGS = {b".gz": "gzip", b".bz2": "bzip2"}


class _Delivered(Exception):
    """Carries an error of the delivery through the code that unpacks, to be told apart there."""


def write_inputs(inputs: "list[dict[str, Any]]", work: bytes) -> None:
    """Write the plan's own files into the working directory."""
    if not inputs:
        return
    from binascii import a2b_base64

    with Fence(work) as fence:
        for entry in inputs:
            try:
                mode = 0o755 if entry["executable"] else 0o644
                descriptor = fence.file(encode(entry["filename"]), mode)
                try:
                    write_all(descriptor, a2b_base64(entry["content"]))
                finally:
                    os.close(descriptor)
            except (OSError, UnsafeName, ValueError) as error:
                detail = "Input %s: %s." % (shown(entry["filename"]), _words(error))
                raise JobFailed(INPUT_FAILED, detail) from error


def fetch_artifact(index: int, fetcher: "Fetcher", work: bytes, log: "Log") -> None:
    """Fetch one artifact of the plan and unpack it where its name says that it is an archive.

    Raises JobFailed with the artifact's name, or Stopped.
    """
    artifact = fetcher.plan.document["artifacts"][index]
    name = shown(redact(artifact["name"]))
    log("artifact %s: begins" % name)
    blocks = fetcher.blocks(
        lambda: str(fetcher.plan.document["artifacts"][index]["source"]),
        artifact.get("size_bytes"),
        artifact.get("sha256"),
        lambda words: log("artifact %s: %s" % (name, words)),
    )
    try:
        with Fence(work) as fence:
            _deliver(artifact, _marked(blocks), fence)
            mount = artifact.get("mount")
            if mount:
                fence.directory(encode(mount["directory"]))
    except _Delivered as error:
        cause = error.__cause__
        detail = "Artifact %s: %s." % (name, _words(cause))
        raise JobFailed(ARTIFACT_FAILED, detail) from cause
    except (OSError, UnsafeName, Corrupt) as error:
        detail = "Artifact %s: %s." % (name, _words(error))
        raise JobFailed(UNPACK_FAILED, detail) from error
    log("artifact %s: ready" % name)


def _marked(blocks: "Iterator[bytes]") -> "Iterator[bytes]":
    try:
        for block in blocks:
            yield block
    except (TransferError, Transient, Corrupt) as error:
        raise _Delivered from error


def _deliver(artifact: "dict[str, Any]", blocks: "Iterator[bytes]", fence: Fence) -> None:
    name = encode(artifact["filename"])
    lower = name.lower()
    if lower.endswith(TAR_ENDINGS):
        from .untar import untar

        untar(plain(blocks), fence)
    elif lower.endswith(b".zip"):
        from .unzip import unzip

        unzip(blocks, fence)
    else:
        ending = os.path.splitext(lower)[1]
        if ending in SINGLE_ENDINGS and len(os.path.basename(name)) > len(ending):
            from .decompress import decompressed

            blocks = decompressed(blocks, SINGLE_ENDINGS[ending])
            name = name[: -len(ending)]
        _write(name, blocks, fence, artifact["executable"])


def _write(name: bytes, blocks: "Iterator[bytes]", fence: Fence, executable: bool) -> None:
    descriptor = fence.file(name, 0o755 if executable else 0o644)
    try:
        for block in blocks:
            write_all(descriptor, block)
    finally:
        os.close(descriptor)


def plain(blocks: "Iterator[bytes]") -> "Iterator[bytes]":
    """What these blocks hold, decompressed where their content (not a name) says so.

    Decompression goes on in a thread of its own while the caller writes.
    """
    from .decompress import SNIFFED, decompressed, sniff

    start = b""
    while len(start) < SNIFFED:
        block = next(blocks, None)
        if block is None:
            break
        start += block
    kind = sniff(start)
    whole = _chain(start, blocks)
    if kind is None:
        return whole
    from .ahead import read_ahead

    return read_ahead(decompressed(whole, kind), depth=32)


def _chain(start: bytes, blocks: "Iterator[bytes]") -> "Iterator[bytes]":
    if start:
        yield start
    for block in blocks:
        yield block


def _words(error: "BaseException | None") -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return str(error)
