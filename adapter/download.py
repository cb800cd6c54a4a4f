"""Bringing the outputs of finished jobs home."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from prominence_hpc.adapter.storage.base import Progress
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.state_folder import REPORT_FILE, folder_of, scratch_prefix
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.errors import ConflictError, NotFoundError, ProminenceError
from prominence_hpc.wrappers.report import StoredObject
from prominence_hpc.wrappers.report import read as read_report

__all__ = ["Download", "download_all", "find_downloads"]


@dataclass(frozen=True)
class Download:
    """One object to fetch and the file that it becomes."""

    key: str
    target: Path
    size_bytes: int
    sha256: str | None  # as the wrapper measured it when it stored the object


def find_downloads(
    workspace: Workspace, records: Sequence[JobRecord], folder: Path, *, folder_per_job: bool
) -> list[Download]:
    """What these jobs left in storage, to be put into ``folder`` (or :func:`own_folder` there).

    ConflictError for a job that has not ended; NotFoundError where none of them stored anything.
    """
    found: list[Download] = []
    for record in records:
        if not record.final:
            msg = f"Job {record.id} is {record.status}: its outputs are stored when it ends."
            raise ConflictError(msg)
        into = folder / own_folder(workspace, record) if folder_per_job else folder
        found += downloads_of(workspace, record, into)
    if not found:
        raise NotFoundError(nothing_to_download(records))
    refuse_clashes(found)
    return found


def own_folder(workspace: Workspace, record: JobRecord) -> Path:
    """``ID``; of a workflow's job ``WORKFLOW_ID/JOB``, and of a factory's ``WORKFLOW_ID/JOB/INDEX``."""
    if record.workflow is None:
        return Path(str(record.id))
    from prominence_hpc.adapter.workflows.descriptions import part_of

    part = part_of(workspace.state, record)
    # A name may hold slashes, and must not lead elsewhere.
    names = [name for name in part.name.split("/") if name not in ("", ".", "..")]
    own = Path(str(record.workflow), *names)
    return own if record.copy is None else own / str(part.index(record.copy))


def nothing_to_download(records: Sequence[JobRecord]) -> str:
    if len(records) != 1:
        return "None of these jobs has stored any output."
    record = records[0]
    reason = f" ({record.status_reason})" if record.status_reason else ""
    return (
        f"Job {record.id} has stored no output: it is {record.status}{reason}. "
        f"'prominence describe {record.id}' shows the outputs it was to store."
    )


def downloads_of(workspace: Workspace, record: JobRecord, into: Path) -> list[Download]:
    report = read_report(folder_of(workspace.state, record) / REPORT_FILE)
    stored = [item for output in report["outputs"] for item in output["objects"]] if report else []
    # A file that several outputs name ("a*.dat" and "a1.dat") is one object.
    objects = list({item["name"]: item for item in stored}.values())
    prefix = scratch_prefix(record.uid)
    names = local_names(objects)
    return [
        Download(
            prefix + item["name"],
            into / names[item["name"]],
            item["size_bytes"],
            item["sha256"] or None,
        )
        for item in objects
    ]


def local_names(objects: Iterable[StoredObject]) -> dict[str, str]:
    """Basenames, as PROMINENCE has it; where two are the same, the names below the job's folder."""
    by_base: dict[str, list[str]] = {}
    for item in objects:
        by_base.setdefault(item["name"].rpartition("/")[2], []).append(item["name"])
    return {
        name: base if len(names) == 1 else name for base, names in by_base.items() for name in names
    }


def refuse_clashes(downloads: Sequence[Download]) -> None:
    """Two jobs' outputs of one name would overwrite each other in one folder."""
    seen: set[Path] = set()
    for download in downloads:
        if download.target in seen:
            msg = (
                f"Several of these jobs have an output {download.target.name}; "
                "give --dir to keep each job's files in a folder of its own."
            )
            raise ConflictError(msg)
        seen.add(download.target)


def download_all(
    workspace: Workspace,
    downloads: Sequence[Download],
    *,
    force: bool,
    concurrency: int,
    progress: Progress | None = None,
    done: Callable[[Download], None] = lambda _: None,
) -> None:
    """Fetch every object, ``concurrency`` at once; ``done`` is called for each that is complete.

    ConflictError, before anything is fetched, where a target exists and ``force`` is not given.
    The first failure ends the rest; files that are complete stay, no half file does.
    """
    if not force:
        refuse_overwriting(downloads)
    for folder in {download.target.parent for download in downloads}:
        make_folder(folder)
    storage = workspace.storage

    def fetch(download: Download) -> Download:
        storage.download(download.key, download.target, sha256=download.sha256, progress=progress)
        return download

    with ThreadPoolExecutor(max_workers=concurrency) as pool:
        futures = [pool.submit(fetch, download) for download in downloads]
        try:
            for future in futures:
                done(future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        msg = f"The folder {folder} cannot be made: there is a file of that name."
        raise ConflictError(msg) from error
    except OSError as error:
        msg = f"The folder {folder} cannot be made: {error.strerror}."
        raise ProminenceError(msg) from error


def refuse_overwriting(downloads: Sequence[Download]) -> None:
    existing = [str(download.target) for download in downloads if download.target.exists()]
    if existing:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        msg = f"{existing[0]}{more} exists already; give --force to replace it, or --dir."
        raise ConflictError(msg)
