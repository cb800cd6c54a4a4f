"""Slurm, through its commands (``sbatch``, ``squeue``, ``sacct``, ``scancel``) or through pyslurm."""

from prominence_hpc.backends.slurm.backend import SlurmBackend

__all__ = ["SlurmBackend"]
