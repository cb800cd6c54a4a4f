"""What one run of the command line works with: configuration, store, storage, backends.

Each part is opened when it is first used: ``list`` needs no object storage, ``ls`` no store.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from prominence_hpc.adapter.config.load import Config, load_config
from prominence_hpc.adapter.storage.base import Storage
from prominence_hpc.adapter.store.state_folder import state_folder
from prominence_hpc.adapter.store.store import Store
from prominence_hpc.backends.base import Backend

__all__ = ["Workspace", "open_workspace"]


class Workspace:
    """One user's jobs on this machine. Not shared between threads."""

    def __init__(self, config: Config, state: Path) -> None:
        self.config = config
        self.state = state
        self._backends: dict[str, Backend] = {}

    @cached_property
    def store(self) -> Store:
        return Store(self.state)

    @cached_property
    def storage(self) -> Storage:
        from prominence_hpc.adapter.storage import open_storage  # not every command stores

        return open_storage(self.config.storage, state_folder=self.state, user=self.config.user)

    def backend(self, site: str) -> Backend:
        """The engine of a site; ConfigError where the configuration names no such site."""
        if site not in self._backends:
            from prominence_hpc.backends import BACKENDS  # nor does every command ask a scheduler

            settings = self.config.site(site)
            self._backends[site] = BACKENDS[settings.backend](settings, self.state)
        return self._backends[site]


def open_workspace(environ: Mapping[str, str], *, site: str | None = None) -> Workspace:
    """The workspace of whoever runs this; ``site`` takes the place of the configured default."""
    return Workspace(load_config(environ=environ, site=site), state_folder(environ))
