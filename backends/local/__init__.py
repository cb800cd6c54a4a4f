"""This machine: jobs as background processes, a few at a time. No scheduler."""

from prominence_hpc.backends.local.backend import LocalBackend

__all__ = ["LocalBackend"]
