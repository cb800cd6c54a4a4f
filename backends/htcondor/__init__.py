"""HTCondor, through its Python bindings ``htcondor2`` and its own file transfer."""

from prominence_hpc.backends.htcondor.backend import HTCondorBackend

__all__ = ["HTCondorBackend"]
