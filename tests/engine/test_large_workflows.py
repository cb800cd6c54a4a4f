"""A sweep of two thousand real jobs, to its end."""

import json

import pytest

from tests.engine.prominence import Prominence
from tests.engine.workflows import job, run, sweep, wait, workflow
from tests.site.handle import Site

JOBS = 2000
READ = """
import json, pathlib
print(json.dumps({path.name: path.read_text() for path in pathlib.Path(".").iterdir()}))
"""


@pytest.mark.alone  # it wants all slots, and minutes of them
@pytest.mark.parametrize("backend", ["slurm", "htcondor"])
def test_two_thousand_jobs_and_every_output(
    site: Site, folder: str, backend: str, image: str
) -> None:
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
