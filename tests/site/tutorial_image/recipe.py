"""What an image is made of. A change of anything here makes it anew."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One image, and the names that its files and its folder below `paths.WORK` get."""

    folder: str
    file: str
    suite: str
    packages: tuple[str, ...]
    excluded: tuple[str, ...]  # never unpacked
    removed: tuple[str, ...]  # once all packages are installed
    name: str
    environment: tuple[str, ...]
    command: tuple[str, ...]
    epoch: int  # the date of every file and record of the image
    # A script that is run with the tree's path when all else is done, and the files that it reads.
    hook: Path | None = None
    hook_files: tuple[Path, ...] = ()

    def digest(self) -> str:
        parts: list[object] = [self.suite, self.packages, self.excluded, self.removed]
        parts += [self.name, self.environment, self.command, self.epoch]
        if self.hook:
            parts += [path.read_text() for path in (self.hook, *self.hook_files)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


# What comes with the packages and no simulation opens: compilers, headers, documentation and
# LAMMPS's table of potentials (the Lennard-Jones potential is a formula).
EXCLUDED: Final = (
    "/usr/bin/*-linux-gnu-*",
    "/usr/include/*",
    "/usr/lib/*.a",
    "/usr/lib/*/gconv/*",
    "/usr/lib/*/gprofng/*",
    "/usr/lib/*/lib?san.so*",
    "/usr/lib/*/libbfd*",
    "/usr/lib/*/libgprofng*",
    "/usr/lib/*/libicu*",
    "/usr/lib/*/libisl.so*",
    "/usr/lib/*/libopcodes*",
    "/usr/lib/*/libubsan.so*",
    "/usr/lib/gcc/*",
    "/usr/share/X11/*",
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/lammps/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
)
# Perl configures packages: it can go only once all of them are installed.
REMOVED: Final = ("usr/share/perl", "usr/share/perl5", "usr/lib/*/perl", "usr/lib/*/libperl*")

LAMMPS: Final = Recipe(
    folder="tutorial",
    file="lammps",
    # Debian 12's LAMMPS needs neither VTK nor a GPU runtime, as later ones do: 160 MB, not 840.
    suite="bookworm",
    packages=("lammps", "python3-minimal"),
    excluded=EXCLUDED,
    removed=REMOVED,
    name="lammps:tutorial",
    environment=("PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "OMP_NUM_THREADS=1"),
    command=("lmp", "-help"),
    epoch=1672531200,  # 2023-01-01
)
