"""Where things are: the checkout, and the one folder on the machine that everything else is in."""

import os
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
CHECKOUT: Final = HERE.parents[1]

# Two sites on one machine need two names; the engine and its images they share.
NAME: Final = os.environ.get("PROMINENCE_SITE_NAME", "prominence-site")
WORK: Final = Path(os.environ.get("PROMINENCE_SITE_DIR", "/var/tmp/prominence-site"))

ENGINE: Final = WORK / "engine"
LOGS: Final = WORK / "logs"
STATE: Final = WORK / "sites" / NAME

# What the hosts of the site mount: homes, secrets (root alone), wheels, Ceph's files,
# and what HTCondor's execute nodes share with each other.
HOME: Final = STATE / "home"
SHARED: Final = STATE / "shared"
PRIVATE: Final = SHARED / "private"
WHEELS: Final = SHARED / "wheels"
CEPH: Final = STATE / "ceph"
POOL: Final = STATE / "pool"

# Every container, network and image of ours has this label.
LABEL: Final = "hpc.prominence.site"
