"""``stdout --tail``, ``stderr --tail`` and ``logs -f``: everything, as it comes, to the end of the job."""

import time

import pytest

from tests.engine.inside import until
from tests.engine.prominence import Prominence
from tests.site.handle import Site

LINES = 200_000


def test_no_line_of_a_fast_writer_is_missed(prominence: Prominence, image: str) -> None:
    """From the first line to the last one, which the job writes just before it ends."""
    script = (
        f"busybox seq 1 {LINES}; busybox sleep 7; busybox seq {LINES + 1} {2 * LINES}; echo end"
    )
    job_id = prominence.create(image, f"sh -c '{script}'")
    done = prominence("stdout", "--tail", str(job_id))
    lines = done.stdout.splitlines()
    assert lines[-1] == "end"
    assert lines[:-1] == [str(number) for number in range(1, 2 * LINES + 1)]
    assert prominence.describe(job_id)["status"] == "completed"


def test_lines_come_while_the_job_runs(prominence: Prominence, image: str) -> None:
    """What is there first, then each line soon after it was written."""
    script = "echo early >&2; for i in 1 2 3; do busybox sleep 4; echo late $i >&2; done; busybox sleep 60"
    job_id = prominence.create(image, f"sh -c '{script}'")
    process = prominence.site.popen(
        ["prominence", "stderr", "-t", str(job_id)],
        cwd=prominence.folder,
        env=prominence.variables(),
    )
    assert process.stdout is not None
    seen = [process.stdout.readline() for _ in range(4)]
    assert seen == [b"early\n", b"late 1\n", b"late 2\n", b"late 3\n"]
    assert prominence.describe(job_id)["status"] == "running"
    start = time.monotonic()
    prominence("delete", str(job_id))
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert time.monotonic() - start < 45


def test_both_streams_and_what_the_wrapper_does(prominence: Prominence, image: str) -> None:
    job_id = prominence.create(image, "sh -c 'echo to out; echo to err >&2; exit 3'")
    done = prominence("logs", "-f", str(job_id))
    assert done.stdout == "to out\n"
    told = [line for line in done.stderr.splitlines() if not line.startswith("prominence:")]
    assert "to err" in told
    phases = [line for line in told if line.startswith("| ")]
    assert phases[0].endswith(
        f"job {job_id} begins on {prominence.describe(job_id)['execution']['host']}"
    )
    assert phases[-1].partition(" ")[2].partition(" ")[2].startswith("job ends: completed")
    assert any("task 0: exit code 3" in line for line in phases)
    again = prominence("logs", str(job_id))
    assert again.stdout == "to out\n"
    assert sorted(again.stderr.splitlines()) == sorted(told)


def test_of_a_running_job_as_of_now(prominence: Prominence, image: str) -> None:
    job_id = prominence.create(image, "sh -c 'echo now; busybox sleep 600'")
    until(lambda: prominence.describe(job_id)["status"] == "running")
    until(lambda: prominence("logs", str(job_id)).stdout == "now\n")
    assert "task 0: begins" in prominence("logs", str(job_id)).stderr
    prominence("delete", str(job_id))


@pytest.mark.parametrize("backend", ["slurm", "htcondor"])
def test_a_job_that_waits_is_waited_for(site: Site, folder: str, image: str, backend: str) -> None:
    hold = {"slurm": "--hold", "htcondor": "hold = true"}[backend]
    release = {"slurm": "scontrol release", "htcondor": "condor_release"}[backend]
    path = f"{folder}/held.toml"
    site.write(path, f'[sites.{backend}]\ndirectives = ["{hold}"]\n')
    config = {"PROMINENCE_CONFIG": path}
    prominence = Prominence(site, folder, backend=backend, environment=config)
    job_id = prominence.create(image, "echo at last")
    process = site.popen(
        ["prominence", "stdout", "--tail", str(job_id)],
        cwd=folder,
        env=prominence.variables(),
    )
    assert process.stderr is not None
    said = process.stderr.readline().decode()
    assert f"job {job_id} is idle" in said
    assert "waiting for it to start" in said
    site.run(["sh", "-c", f"{release} {prominence.describe(job_id)['execution']['backendId']}"])
    out, _ = process.communicate(timeout=90)
    assert out == b"at last\n"


def test_of_a_finished_job(prominence: Prominence, image: str) -> None:
    job_id = prominence.completed(image, "echo done")["id"]
    start = time.monotonic()
    assert prominence("stdout", "--tail", str(job_id)).stdout == "done\n"
    assert prominence("stderr", "--tail", str(job_id)).stdout == ""
    assert time.monotonic() - start < 10


def test_of_no_job(prominence: Prominence) -> None:
    done = prominence("stdout", "--tail", "7", check=False)
    assert (done.returncode, done.stderr) == (4, "prominence: There is no job 7.\n")
