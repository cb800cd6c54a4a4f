"""Archives by hand, honest and otherwise, and the runner's way to unpack them."""

import io
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from prominence_hpc.wrappers.runtime.artifacts import plain
from prominence_hpc.wrappers.runtime.fence import Fence
from prominence_hpc.wrappers.runtime.untar import untar
from prominence_hpc.wrappers.runtime.unzip import unzip


def in_blocks(data: bytes, size: int = 700) -> Iterator[bytes]:
    """The data as a network might deliver them."""
    return (data[start : start + size] for start in range(0, len(data), size))


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=kind, linkname=target)


def tar(members: Iterable[tuple[tarfile.TarInfo, bytes]], **options: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.TarFile(fileobj=buffer, mode="w", **options) as archive:  # type: ignore[arg-type]
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zipped(members: Iterable[tuple[str, bytes, int]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of names, contents and modes; 0 leaves the mode out."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content, mode in members:
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.compress_type = method
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def unpack_tar(data: bytes, root: Path) -> None:
    root.mkdir(exist_ok=True)
    with Fence(bytes(root)) as fence:
        untar(plain(in_blocks(data)), fence)


def unpack_zip(data: bytes, root: Path) -> None:
    root.mkdir(exist_ok=True)
    with Fence(bytes(root)) as fence:
        unzip(in_blocks(data), fence)


def everything_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
