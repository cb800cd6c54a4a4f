"""The tutorial's private image: Debian with LAMMPS and Python, without a registry and without Docker.

`recipe` says what is in it, `rootfs` makes that tree with mmdebstrap, `docker_archive` writes it as
`docker save` would, `sif` has Apptainer convert the archive, and `cache` keeps both files for the
next time. `python -m tests.site.tutorial_image` prints where they are.
"""
