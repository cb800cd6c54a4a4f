"""Where images are kept when a scheduler gives every job its own /tmp and /var/tmp."""

import os
import time
from pathlib import Path

import pytest

from prominence_hpc.wrappers.runtime import cache_place
from prominence_hpc.wrappers.runtime.cache_place import lasting
from prominence_hpc.wrappers.runtime.control import Control
from prominence_hpc.wrappers.runtime.log import Log
from tests.unit.wrappers.conftest import MakePlan

CACHE = b"/var/tmp/prominence-alice/images"
SCRATCH = "/var/lib/condor/execute/dir_3071/scratch"
NODE = "122 121 254:1 / / rw,relatime - ext4 /dev/vda rw"
SHM = "249 122 0:89 / /dev/shm rw,relatime - tmpfs /dev/shm rw"
# As HTCondor 25 leaves it in a job; then 10, whose scratch has no folder of its own below dir_N.
CONDOR = [
    f"247 122 254:1 {SCRATCH}{name} {name} rw - ext4 /dev/vda rw" for name in ("/tmp", "/var/tmp")
]
OLD = ["248 122 254:1 /var/lib/condor/execute/dir_9/var/tmp /var/tmp rw - ext4 /dev/vda rw"]
# EXECUTE on a disk of its own, and on one made for the job.
OWN_DISK = [
    "130 122 8:1 /pool /var/lib/condor/execute rw - xfs /dev/sdb rw",
    "248 122 8:1 /pool/dir_3071/scratch/var/tmp /var/tmp rw - xfs /dev/sdb rw",
]
JOB_DISK = [
    f"130 122 253:7 / {SCRATCH} rw - ext4 /dev/mapper/condor rw",
    "248 122 253:7 /var/tmp /var/tmp rw - ext4 /dev/mapper/condor rw",
]
# slurm: job_container/tmpfs with Dirs=/tmp,/var/tmp,/dev/shm
SLURM = ["300 122 8:1 /containers/4711/.4711/_var_tmp /var/tmp rw - xfs /dev/sdb rw"]
LASTING = ["131 122 8:2 / /var/tmp rw - xfs /dev/sdc rw"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The node's home of this user; HOME says otherwise, as a submitting host may."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setattr(cache_place, "_home", lambda: bytes(folder))
    monkeypatch.setenv("HOME", "/nowhere")
    return folder


@pytest.fixture(autouse=True)
def outside_of_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("_CONDOR_SCRATCH_DIR", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


def place(
    lines: list[str], variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[bytes | None, str]:
    """Where the cache goes on a node with these mounts, and what the log says."""
    (tmp_path / "mountinfo").write_text("".join(f"{line}\n" for line in [NODE, SHM, *lines]))
    monkeypatch.setattr(cache_place, "MOUNTINFO", str(tmp_path / "mountinfo"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = lasting(CACHE, Log(bytes(tmp_path / "log")))
    return found, (tmp_path / "log").read_text()


PRIVATE = {
    "htcondor 25": (CONDOR, {"_CONDOR_SCRATCH_DIR": SCRATCH}),
    "htcondor 10": (OLD, {"_CONDOR_SCRATCH_DIR": "/var/lib/condor/execute/dir_9"}),
    "execute on its own disk": (OWN_DISK, {"_CONDOR_SCRATCH_DIR": SCRATCH}),
    "a disk for the job": (JOB_DISK, {"_CONDOR_SCRATCH_DIR": SCRATCH}),
    "slurm": (SLURM, {"SLURM_JOB_ID": "4711"}),
}
SHARED = {
    "no mounts over it": ([], {"_CONDOR_SCRATCH_DIR": SCRATCH}),
    "a disk of the node": (LASTING, {"_CONDOR_SCRATCH_DIR": SCRATCH}),
    "slurm without": (LASTING, {"SLURM_JOB_ID": "4711"}),
    "by hand": ([], {}),
}


@pytest.mark.parametrize("case", PRIVATE)
def test_a_cache_that_ends_with_the_job_goes_to_the_home(
    case: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, log = place(*PRIVATE[case], tmp_path, monkeypatch)
    assert found == bytes(home / ".cache/prominence/images")
    assert log.count("\n") == 1
    assert f"{CACHE.decode()} is not used: it would end with the job; {home}" in log
    assert "image_cache" in log


@pytest.mark.parametrize("case", SHARED)
def test_a_cache_that_lasts_is_used(
    case: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert home.exists()
    assert place(*SHARED[case], tmp_path, monkeypatch) == (CACHE, "")


@pytest.mark.parametrize("kind", ["nfs4", "tmpfs", None])
def test_without_a_home_on_a_disk_there_is_no_cache(
    kind: str | None, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [*CONDOR]
    if kind is None:
        monkeypatch.setattr(cache_place, "_home", lambda: None)
    else:
        lines.append(f"400 122 0:99 / {home} rw - {kind} server:/home rw")
    found, log = place(lines, {"_CONDOR_SCRATCH_DIR": SCRATCH}, tmp_path, monkeypatch)
    assert found is None
    assert log.count("\n") == 1
    assert "no home on a disk of this node; the site's image_cache can name another folder" in log


def test_a_home_that_cannot_be_written_is_not_used(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, _: path != bytes(home))
    found, _ = place(CONDOR, {"_CONDOR_SCRATCH_DIR": SCRATCH}, tmp_path, monkeypatch)
    assert found is None


def test_names_with_spaces(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [r"248 122 254:1 /a\040b\134c/dir_9/var/tmp /var/tmp rw - ext4 /dev/vda rw"]
    found, _ = place(lines, {"_CONDOR_SCRATCH_DIR": "/a b\\c/dir_9"}, tmp_path, monkeypatch)
    assert found == bytes(home / ".cache/prominence/images")


def test_a_job_asks(
    make_plan: MakePlan, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "dir_1"
    plan = make_plan(image_cache=str(scratch / "var/tmp/images"), image_cache_bytes=1)
    monkeypatch.setenv("_CONDOR_SCRATCH_DIR", str(scratch))
    monkeypatch.setattr(cache_place, "NO_DISKS", ())
    control = Control(time.time(), 1000, 10, 5)
    found = cache_place.cache_of(plan.document, control, Log(b"/dev/null"))
    assert found is not None
    assert found.folder == bytes(home / ".cache/prominence/images")
