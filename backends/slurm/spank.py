"""Whether a site has SPANK plugins, some of which act within sbatch: plugstack.conf, read.

https://slurm.schedmd.com/spank.html#SECTION_CONFIGURATION
"""

import glob
import os
from pathlib import Path

__all__ = ["has_spank_plugins"]

_SLURM_CONF = "/etc/slurm/slurm.conf"


def has_spank_plugins(plugstack: str | None) -> bool:
    """Whether plugstack.conf, or a file that it includes, names a plugin.

    ``plugstack`` is slurm.conf's PlugStackConfig; without one the file lies beside slurm.conf. A file
    that cannot be read may name some.
    """
    beside = Path(os.environ.get("SLURM_CONF") or _SLURM_CONF).with_name("plugstack.conf")
    return _names_plugin(Path(plugstack) if plugstack else beside)


def _names_plugin(path: Path) -> bool:
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    words = [line.split(maxsplit=1) for line in lines if line.split("#", 1)[0].strip()]
    return any(_includes_plugin(path, word[-1]) if word[0] == "include" else True for word in words)


def _includes_plugin(path: Path, pattern: str) -> bool:
    included = glob.glob(str(path.parent / pattern.strip()))  # noqa: PTH207 - may be absolute
    return any(_names_plugin(Path(name)) for name in included)
