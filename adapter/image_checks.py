"""What can be known of images and their runtimes before a job is submitted."""

import os
from collections.abc import Mapping

from prominence_hpc.adapter.sources import Source
from prominence_hpc.adapter.spec.job import Job
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import Problem, SpecError

__all__ = ["known_runtimes", "refuse_other_checksums"]


def known_runtimes(settings: SiteSettings) -> tuple[str, ...]:
    """Container runtimes that the site's nodes have, by its configuration; none: nobody knows.

    Of ``local`` this machine knows whether there is udocker, unless a prologue may bring it.
    """
    if settings.runtimes or settings.backend != "local" or settings.prologue:
        return settings.runtimes
    return ("singularity", "udocker") if has_program("udocker") else ("singularity",)


def has_program(name: str) -> bool:
    """shutil.which without its import, which a submission would wait for."""
    return any(os.access(os.path.join(folder, name), os.X_OK) for folder in os.get_exec_path())  # noqa: PTH118


def refuse_other_checksums(job: Job, sources: Mapping[str, Source]) -> None:
    """SpecError where an uploaded image is known to be another than its task's imageSha256."""
    problems = []
    for index, task in enumerate(job.tasks):
        known = sources[task.image].sha256 if task.image in sources else None
        if known and task.image_sha256 and known.lower() != task.image_sha256.lower():
            message = (
                f"the uploaded {task.image} has the SHA-256 {known}; upload the right one, or "
                "correct this"
            )
            problems.append(Problem(f"tasks[{index}].imageSha256", message))
    if problems:
        raise SpecError(problems)
