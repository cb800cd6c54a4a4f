"""`python -m tests.benchmarks.make_data …/SIZE/KIND`: one of the files or folders of `data`."""

import os
import subprocess
import sys
import tarfile
from binascii import hexlify
from collections.abc import Iterator
from pathlib import Path

FILE_BYTES = 16 << 20


def main() -> None:
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"unfinished-{path.name}")
    make(path.name, unfinished, int(path.parent.name))
    unfinished.rename(path)


def make(kind: str, path: Path, size: int) -> None:
    match kind:
        case "random-file":
            with path.open("wb") as file:
                file.writelines(blocks(size, os.urandom(FILE_BYTES)))
        case "random-folder":
            fill(path, blocks(size, os.urandom(FILE_BYTES)))
        case "text-folder":
            fill(path, blocks(size, hexlify(os.urandom(FILE_BYTES // 2))))
        case "archive.tar":
            with tarfile.open(path, "w") as tar:
                tar.add(path.with_name("text-folder"), arcname="data")
        case "archive.tar.gz":
            with path.open("wb") as file:
                argv = ["gzip", "-1", "-c", str(path.with_name("archive.tar"))]
                subprocess.run(argv, stdout=file, check=True)
        case _:
            message = f"no data of the kind {kind}"
            raise ValueError(message)


def blocks(size: int, block: bytes) -> Iterator[bytes]:
    """The same block again and again: gzip looks back 32 KiB and does not see that."""
    return (block for _ in range(size // len(block)))


def fill(folder: Path, contents: Iterator[bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for number, content in enumerate(contents):
        (folder / f"part-{number:04d}").write_bytes(content)


if __name__ == "__main__":
    main()
