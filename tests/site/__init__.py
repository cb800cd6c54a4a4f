"""The test site: real Slurm, HTCondor, Apptainer and Ceph in containers on one machine.

`tests/site/site` is the entry for people and make; tests take `tests.site.handle.Site`.
README.md says what the site is made of and which traps it steps around.
"""

import os

# testcontainers reads these when it is imported. Its reaper would remove the site as soon as the
# process that started it ends; and where this machine is itself a container, it would look for
# its own containers inside that one.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
os.environ.setdefault("TESTCONTAINERS_CONNECTION_MODE", "docker_host")
