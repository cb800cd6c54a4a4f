"""A sweep of many real jobs, to its end: every output is there, and is the right one.

``PROMINENCE_LARGE_SWEEP=2000`` runs as many, which takes ten minutes on two cores.
"""

import json
import os

import pytest

from tests.engine.prominence import Prominence
from tests.engine.workflows import job, run, sweep, wait, workflow
from tests.site.handle import Site

JOBS = int(os.environ.get("PROMINENCE_LARGE_SWEEP", "300"))
READ = """
import json, pathlib
print(json.dumps({path.name: path.read_text() for path in pathlib.Path(".").iterdir()}))
"""


@pytest.mark.alone  # it wants all slots
@pytest.mark.parametrize("backend", ["slurm", "htcondor"])
def test_many_jobs_and_every_output(site: Site, folder: str, backend: str, image: str) -> None:
    prominence = Prominence(site, folder, backend=backend)
    document = workflow(
        job(image, "point", "echo $x $PROMINENCE_JOB_ID > out-$x", outputFiles=["out-$x"]),
        factories=[sweep("point", x=(0, JOBS - 1, 1))],
    )
    document["jobs"][0]["resources"] = {"cpus": 1, "memory": 0.1, "disk": 0.1, "walltime": 5}
    number = run(prominence, document)
    assert wait(prominence, number, timeout=1500) == 0
    site.run(["mkdir", f"{folder}/got"])
    site.run(
        ["prominence", "download", "--concurrency", "8", "workflow", str(number)],
        user=prominence.user,
        cwd=f"{folder}/got",
        env=prominence.variables(),
        timeout=300,
    )
    files = json.loads(site.run(["python3", "-c", READ], cwd=f"{folder}/got").stdout)
    assert files == {f"out-{x}": f"{x} {number + 1 + x}\n" for x in range(JOBS)}
