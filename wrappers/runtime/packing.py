"""A folder as the body of an upload: gzipped tar, never a copy on disk.

A PUT needs the length first. Data that gzip would shrink little are put into gzip's own stored
blocks, whose length follows from the files' sizes: one pass at the network's speed. Others are
compressed; what fits into some memory is sent from there, what does not is compressed twice, once
for the length and once to be sent.
"""

from .gzip_out import compressed, stored, stored_length
from .pack import Folder
from .upload import Body

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator


# Compression at 100 MB/s a core is slower than most networks of clusters: it must save a third.
WORTH_IT = 0.67
SMALL_BYTES = 1 << 20  # mostly tar's own zeros where files are small, and compressed in no time


def folder_body(path: bytes, name: bytes, threads: int, memory_bytes: int) -> "tuple[Body, Folder]":
    """The folder at ``path`` as ``NAME.tgz``; memory_bytes 0: no length needed."""
    folder = Folder(path, name)
    if folder.length > SMALL_BYTES and folder.shrinks_to() > WORTH_IT:
        return Body(stored_length(folder.length), lambda: stored(folder.blocks())), folder

    def blocks() -> "Iterator[bytes]":
        return compressed(folder.blocks(), threads)

    if not memory_bytes:
        return Body(None, blocks), folder
    kept, length = _measure(blocks(), memory_bytes)
    if kept is None:
        return Body(length, blocks), folder
    whole = kept
    return Body(length, lambda: iter(whole)), folder


def _measure(blocks: "Iterator[bytes]", memory_bytes: int) -> "tuple[list[bytes] | None, int]":
    """The blocks themselves where they are few enough, and their length in any case."""
    kept: "list[bytes] | None" = []
    length = 0
    for block in blocks:
        length += len(block)
        if kept is not None:
            kept.append(block)
            if length > memory_bytes:
                kept = None
    return kept, length
