"""The data that is moved: made once on the login node and kept there as long as the site is up."""

import sys
from pathlib import Path

from tests.benchmarks.measure import timed
from tests.benchmarks.workbench import SOURCE, WORK, Workbench

DATA = WORK / "data"


def random_file(bench: Workbench) -> Path:
    """One file that no compression makes smaller."""
    return kept("random-file", bench.size)


def random_folder(bench: Workbench) -> Path:
    """The same as files of 16 MiB."""
    return kept("random-folder", bench.size)


def text_folder(size: int) -> Path:
    """Files of 16 MiB of hexadecimal digits, of which gzip makes 57 %."""
    return kept("text-folder", size)


def archive(bench: Workbench) -> Path:
    """A text folder as .tar."""
    text_folder(bench.size)
    return kept("archive.tar", bench.size)


def compressed_archive(bench: Workbench) -> Path:
    archive(bench)
    return kept("archive.tar.gz", bench.size)


def size_of(path: Path) -> int:
    """Bytes of content of something that `kept` returned."""
    return int(path.parent.name)


def kept(kind: str, size: int) -> Path:
    """The file or folder, made if it is not there yet.

    It is made by a process of its own: what this one ever held in memory would be counted as the
    peak of every process that it starts afterwards.
    """
    path = DATA / str(size) / kind
    if not path.exists():
        print(f"making {kind} of {size} bytes", file=sys.stderr, flush=True)
        timed([sys.executable, "-m", "tests.benchmarks.make_data", str(path)], folder=SOURCE)
    return path
