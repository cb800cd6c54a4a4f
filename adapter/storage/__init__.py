"""Where images, artifacts and outputs are kept: an S3 bucket, or a folder that nodes share."""

from pathlib import Path

from prominence_hpc.adapter.storage.base import ObjectInfo, Progress, Storage, StorageSettings

__all__ = ["ObjectInfo", "Progress", "Storage", "StorageSettings", "open_storage"]


def open_storage(settings: StorageSettings, *, state_folder: Path, user: str) -> Storage:
    """The storage that ``settings`` describe; nothing is asked or written before its first use.

    Raises ConfigError where the settings are incomplete or no credentials are found.
    """
    # Imported here: who keeps objects in a folder needs neither sockets nor TLS.
    if settings.type == "s3":
        from prominence_hpc.adapter.storage.s3 import S3Storage

        return S3Storage(settings)
    from prominence_hpc.adapter.storage.folder import FolderStorage

    root = Path(settings.path).expanduser() if settings.path else state_folder / "storage"
    return FolderStorage(root, user)
