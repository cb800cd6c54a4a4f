"""``prominence snapshot``: files of a running job, packed where it runs, and brought here.

By way of object storage, from which several connections fetch at once; or over the connection to
the node itself. The object is the user's alone, below the job's unguessable UID, and removed when it
has been fetched.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prominence_hpc.adapter.remote.reach import reach
from prominence_hpc.adapter.remote.target import Target, find_running
from prominence_hpc.adapter.remote.visit import Visit, decoded, printable
from prominence_hpc.adapter.storage.base import PartUpload, Progress
from prominence_hpc.adapter.storage.local import replacing, verify
from prominence_hpc.adapter.translate import shares_files
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.errors import ConflictError, NotFoundError, ProminenceError, RemoteError
from prominence_hpc.wrappers import frames

__all__ = ["Snapshot", "snapshot_key", "take_snapshot"]

# Makes a progress bar: a label and how many bytes there will be, None where nobody knows.
Bar = Callable[[str, int | None], AbstractContextManager[Progress | None]]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What was asked for. ``direct``: without object storage; ``keep``: leave it there."""

    job_id: int
    path: str
    target: Path
    node_number: int = 0
    direct: bool = False
    keep: bool = False


def snapshot_key(uid: str) -> str:
    """The object's key, as the contract has it."""
    return f"snapshots/{uid}/snapshot.tgz"


def take_snapshot(
    workspace: Workspace, wanted: Snapshot, *, bar: Bar, note: Callable[[str], None]
) -> None:
    """Pack, bring here, remove from storage. ``note`` is told what is not as it should be in the archive.

    Where it fails ``target`` is as it was, and nothing is in storage. ConflictError where another
    snapshot of the job is under way.
    """
    check_target(wanted.target)
    target = find_running(workspace, wanted.job_id, wanted.node_number, surely=False)
    if wanted.direct or not reaches_storage(workspace, target):
        fetch_directly(workspace, target, wanted, bar, note)
        if wanted.keep:
            workspace.storage.upload(wanted.target, snapshot_key(target.record.uid))
        return
    with one_at_a_time(target.folder, wanted.job_id):
        fetch_by_storage(workspace, target, wanted, bar, note)


def check_target(target: Path) -> None:
    """Before anything is packed: can the file be written at all?"""
    if target.is_dir():
        msg = f"{target} is a directory: name a file with -o."
        raise ConflictError(msg)
    if not target.absolute().parent.is_dir():
        msg = f"There is no folder {target.parent} for {target.name}."
        raise NotFoundError(msg)
    if not os.access(target.absolute().parent, os.W_OK):
        msg = f"You may not write to the folder {target.absolute().parent}: name a file with -o."
        raise ConflictError(msg)


def reaches_storage(workspace: Workspace, target: Target) -> bool:
    """Whether the node can write to storage: S3 by its address, a folder where it is shared."""
    site = workspace.config.site(target.record.site)
    return workspace.config.storage.type == "s3" or shares_files(site)


@contextmanager
def one_at_a_time(folder: Path, job_id: int) -> Iterator[None]:
    """The object has one name: two snapshots at once would be each other's."""
    # Of a job of a sweep on HTCondor it comes home at the job's end.
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / "snapshot.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = (
                f"Another snapshot of job {job_id} is under way: wait for it, or give --direct, "
                "which does not use object storage."
            )
            raise ConflictError(msg) from error
        yield
    finally:
        os.close(descriptor)


def fetch_directly(
    workspace: Workspace, target: Target, wanted: Snapshot, bar: Bar, note: Callable[[str], None]
) -> None:
    """The archive comes over the connection to the node."""
    digest = hashlib.sha256()
    with replacing(wanted.target) as descriptor, reach(workspace, target) as visit:

        def receive(payload: bytes) -> None:
            digest.update(payload)
            view = memoryview(payload)
            while view:
                view = view[os.write(descriptor, view) :]

        visit.ask(request(wanted.path, None))
        done = follow_packing(visit, bar, note, {frames.OUTPUT: receive})
        verify(wanted.target, digest.hexdigest(), done["sha256"])


def fetch_by_storage(
    workspace: Workspace, target: Target, wanted: Snapshot, bar: Bar, note: Callable[[str], None]
) -> None:
    """The node stores the archive, and we fetch it from there."""
    storage = workspace.storage
    key = snapshot_key(target.record.uid)
    storage.prepare(key.rpartition("/")[0])
    done = None
    try:
        done = pack_into_storage(workspace, target, wanted.path, key, bar, note)
        with bar("Downloading", done["size_bytes"]) as progress:
            storage.download(key, wanted.target, sha256=done["sha256"], progress=progress)
    finally:
        if done is None or not wanted.keep:
            clear(workspace, key, note)


def clear(workspace: Workspace, key: str, note: Callable[[str], None]) -> None:
    """Leave nothing in storage; that it could not be done is not what the command ends with."""
    # In a folder the node may have been killed before it gave the file its name.
    names = [key] if workspace.config.storage.type == "s3" else [key, f"{key}.part"]
    try:
        for name in names:
            workspace.storage.delete(name)
    except ProminenceError as error:
        note(f"the archive stays in storage: {error}")


def pack_into_storage(
    workspace: Workspace,
    target: Target,
    path: str,
    key: str,
    bar: Bar,
    note: Callable[[str], None],
) -> dict[str, Any]:
    """The node's last word on an archive that is whole in storage."""
    storage = workspace.storage
    destination = storage.destination(key)
    place = {
        "method": destination.method,
        "url": destination.url,
        "path": destination.path,
        "name": key.rpartition("/")[2],
    }
    uploads: list[PartUpload] = []
    try:
        with reach(workspace, target) as visit:

            def give_address(payload: bytes) -> None:
                try:
                    if not uploads:
                        uploads.append(storage.begin_parts(key))
                    answer = {"url": uploads[0].url(json.loads(payload))}
                except ProminenceError as error:
                    answer = {"error": str(error)}
                visit.send(frames.ADDRESS, json.dumps(answer).encode("ascii"))

            visit.ask(request(path, place))
            done = follow_packing(visit, bar, note, {frames.PART: give_address})
        for upload in uploads:
            upload.complete(done["parts"])
    except BaseException:
        for upload in uploads:
            upload.abandon()
        raise
    return done


def request(path: str, destination: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"verb": "snapshot", "path": path, "destination": destination}


def follow_packing(
    visit: Visit,
    bar: Bar,
    note: Callable[[str], None],
    takers: Mapping[bytes, Callable[[bytes], None]],
) -> dict[str, Any]:
    """Hear the node out, whose first word is how much there is; return its last."""
    for warning in visit.warnings:
        note(warning)
    answers = visit.answers()
    kind, total = next(answers)
    if kind != frames.TOTAL:
        msg = "The job's node does not say how much there is to pack."
        raise RemoteError(msg)
    with bar("Packing", total_of(total)) as progress:
        for kind, payload in answers:
            if kind in takers:
                takers[kind](payload)
            elif kind == frames.PROGRESS and progress is not None:
                progress(frames.count_of(payload))
            elif kind == frames.NOTE:
                note(printable(payload.decode("utf-8", "replace")))
            elif kind == frames.DONE:
                return decoded(payload, "size_bytes", "sha256", "parts")
    raise AssertionError  # the last answer is DONE


def total_of(payload: bytes) -> int | None:
    """Bytes of files; None where looking took too long."""
    try:
        return int(payload)
    except ValueError:
        return None
