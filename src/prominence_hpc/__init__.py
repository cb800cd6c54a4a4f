"""PROMINENCE jobs on the HTCondor and Slurm clusters that people already have."""

__all__ = ["__version__"]

__version__ = "0.1.0"
