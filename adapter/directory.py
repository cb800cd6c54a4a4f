"""``create --directory``: a local folder packed and uploaded, to be unpacked in the job."""

import tarfile
import tempfile
from pathlib import Path

from prominence_hpc.adapter.objects import upload_object
from prominence_hpc.adapter.storage.base import Storage
from prominence_hpc.errors import NotFoundError

__all__ = ["upload_directory"]

COMPRESSION_LEVEL = 1  # the network is seldom slower than this; a higher level seldom pays


def upload_directory(storage: Storage, user: str, name: str, directory: Path) -> None:
    """Store what lies in ``directory`` (not the folder itself) as the archive ``name``.

    The archive lies in the temporary folder meanwhile. NotFoundError where a file cannot be read;
    then nothing is stored.
    """
    with tempfile.NamedTemporaryFile(prefix="prominence-", suffix=".tar.gz") as temporary:
        with tarfile.open(
            fileobj=temporary, mode="w:gz", compresslevel=COMPRESSION_LEVEL
        ) as archive:
            for entry in sorted(directory.iterdir()):
                add(archive, entry)
        temporary.flush()
        upload_object(storage, user, name, Path(temporary.name))


def add(archive: tarfile.TarFile, entry: Path) -> None:
    try:
        archive.add(entry, arcname=entry.name)
    except OSError as error:
        msg = f"{error.filename or entry} cannot be packed: {error.strerror or error}"
        raise NotFoundError(msg) from error
