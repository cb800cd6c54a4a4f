"""What the image is made of. A change of anything here makes it anew."""

import hashlib
import json
from typing import Final

# Debian 12's LAMMPS needs neither VTK nor a GPU runtime, as later ones do: 160 MB, not 840.
SUITE: Final = "bookworm"
PACKAGES: Final = ("lammps", "python3-minimal")

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

NAME: Final = "lammps:tutorial"
ENVIRONMENT: Final = ("PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "OMP_NUM_THREADS=1")
COMMAND: Final = ("lmp", "-help")
# The date of every file and record of the image.
EPOCH: Final = 1672531200  # 2023-01-01


def digest() -> str:
    parts = [SUITE, PACKAGES, EXCLUDED, REMOVED, NAME, ENVIRONMENT, COMMAND, EPOCH]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
