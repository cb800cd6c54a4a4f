"""Which of its transports each Slurm site uses, for ``prominence config``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from prominence_hpc.adapter.config.load import Config

if TYPE_CHECKING:
    from prominence_hpc.backends.slurm.transport import InUse

__all__ = ["transports_in_use"]


def transports_in_use(config: Config) -> Mapping[str, "InUse"]:
    """By name of site. Where pyslurm comes into question, the site's controller is asked."""
    slurm = {name: site for name, site in config.sites.items() if site.backend == "slurm"}
    if not slurm:
        return {}
    from prominence_hpc.backends.slurm.transport import in_use

    return {name: in_use(site) for name, site in slurm.items()}
