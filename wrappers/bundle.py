"""``runner.pyz``: the modules of ``wrappers/runtime`` in one file that any python3 runs."""

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from prominence_hpc import __version__

if TYPE_CHECKING:
    import zipfile

__all__ = ["bundle", "install_runner"]

SOURCES = Path(__file__).parent / "runtime"
PACKAGE = "prominence_runner"
DATE = (1980, 1, 1, 0, 0, 0)  # the oldest that zip knows: the same sources, the same bytes
MAIN = f"from {PACKAGE}.__main__ import entry\n\nentry()\n"


def sources() -> list[Path]:
    """The modules that travel, in the order of their names."""
    return sorted(SOURCES.glob("*.py"))


@cache
def bundle() -> bytes:
    """The runner as a zip file, byte for byte reproducible from its sources."""
    import io
    import zipfile  # 10 ms, for the first job after an installation alone

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _add(archive, "__main__.py", MAIN.encode())
        for path in sources():
            _add(archive, f"{PACKAGE}/{path.name}", path.read_bytes())
    return buffer.getvalue()


def _add(archive: "zipfile.ZipFile", name: str, content: bytes) -> None:
    import zipfile

    entry = zipfile.ZipInfo(name, DATE)
    entry.external_attr = 0o644 << 16
    entry.create_system = 3
    archive.writestr(entry, content, zipfile.ZIP_DEFLATED, compresslevel=9)


def install_runner(folder: Path) -> Path:
    """The runner in ``folder``, named by its sources; written (by write-and-rename) only where absent.

    Jobs that wait keep the runner they were submitted with, whatever is installed meanwhile.
    """
    # Sizes and times of the sources stand for their content: packing takes ten times as long, and
    # importing hashlib alone as long as all of this.
    with os.scandir(SOURCES) as entries:
        statuses = [entry.stat() for entry in entries if entry.name.endswith(".py")]
    size = sum(status.st_size for status in statuses)
    latest = max(status.st_mtime_ns for status in statuses)
    target = folder / f"runner-{__version__}-{size:x}-{latest:x}.pyz"
    if not target.exists():
        _write(target, bundle())
    return target


def _write(target: Path, content: bytes) -> None:
    import tempfile  # as zipfile

    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".runner-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            os.fsync(stream.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink()
        raise
