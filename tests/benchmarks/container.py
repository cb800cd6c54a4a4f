"""The smallest container image: busybox in a SIF file, made once on the login node."""

import shutil
from pathlib import Path

from tests.benchmarks.measure import timed
from tests.benchmarks.workbench import WORK

FOLDERS = ("bin", "dev", "etc", "home", "proc", "sys", "tmp", "var")
APPLETS = ("sh", "cat", "cp", "dd", "head", "mkdir", "seq", "sleep", "true")


def image() -> Path:
    path = WORK / "busybox-2.sif"
    if not path.exists():
        root = WORK / "busybox"
        for name in FOLDERS:
            (root / name).mkdir(parents=True, exist_ok=True)
        shutil.copy2("/bin/busybox", root / "bin" / "busybox")
        for name in APPLETS:
            (root / "bin" / name).unlink(missing_ok=True)
            (root / "bin" / name).symlink_to("busybox")
        unfinished = path.with_suffix(".unfinished")
        timed(["apptainer", "--silent", "build", "--force", str(unfinished), str(root)])
        unfinished.rename(path)
    return path
