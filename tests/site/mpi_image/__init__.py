"""An image with MPICH, Intel MPI's runtime, and a program of ours that both can run.

It is made by the tutorial's tools. `python -m tests.site.mpi_image` makes it and prints where it is.
"""
