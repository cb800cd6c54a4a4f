"""What is known of images and runtimes before a job is submitted."""

from pathlib import Path

import pytest

from prominence_hpc.adapter.image_checks import known_runtimes, refuse_other_checksums
from prominence_hpc.adapter.sources import Source
from prominence_hpc.adapter.spec.job import Job, Resources, Task
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import SpecError

RIGHT, WRONG = "ab" * 32, "cd" * 32


def test_runtimes_are_what_the_site_says() -> None:
    said = SiteSettings(name="s", backend="slurm", runtimes=("udocker",))
    assert known_runtimes(said) == ("udocker",)
    assert known_runtimes(SiteSettings(name="s", backend="slurm")) == ()


def test_of_this_machine_it_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = SiteSettings(name="local", backend="local")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert known_runtimes(local) == ("singularity",)
    (tmp_path / "udocker").touch(mode=0o755)
    assert known_runtimes(local) == ("singularity", "udocker")
    prologue = SiteSettings(name="local", backend="local", prologue=("module load udocker",))
    assert known_runtimes(prologue) == ()


def checked(*tasks: Task) -> None:
    sources = {"x.sif": Source(location="/x", sha256=RIGHT, size_bytes=1)}
    refuse_other_checksums(Job(tasks=tasks, resources=Resources(memory=1)), sources)


def test_an_uploaded_image_with_another_checksum() -> None:
    checked(
        Task(image="x.sif"),
        Task(image="x.sif", image_sha256=RIGHT.upper()),
        Task(image="https://host/x.sif", image_sha256=WRONG),
    )
    message = rf"tasks\[1\].imageSha256: the uploaded x.sif has the SHA-256 {RIGHT}"
    with pytest.raises(SpecError, match=message):
        checked(Task(image="x.sif"), Task(image="x.sif", image_sha256=WRONG))
