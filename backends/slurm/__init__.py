"""Slurm, through its commands: ``sbatch``, ``squeue``, ``sacct`` and ``scancel``."""

from prominence_hpc.backends.slurm.backend import SlurmBackend

__all__ = ["SlurmBackend"]
