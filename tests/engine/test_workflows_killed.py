"""``prominence run`` of a workflow, killed at random moments: nothing is lost and nothing is doubled.

The settling time is the real one, so the engines' killed commands wait it out together.
"""

import json
import random
import time
from collections import Counter

import pytest

from prominence_hpc.adapter.submission import SETTLE_SECONDS
from tests.engine.prominence import Prominence
from tests.engine.workflows import job, sweep, wait, workflow
from tests.site.handle import Site

ENGINES = ("slurm", "htcondor")
KILLS = 20
# From before anything is recorded until after all is: a run takes half a second on an idle machine.
LONGEST_SECONDS = 1.2

READ = """
import json, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
ask = lambda what: [list(row) for row in database.execute(what)]
print(json.dumps({
    "workflows": ask("SELECT id, state, tag, handle FROM workflows"),
    "tags": ask("SELECT tag, handle FROM batches"),
    "jobs": ask("SELECT workflow, COUNT(*) FROM jobs GROUP BY workflow"),
}))
"""


def stored(user: Prominence) -> dict[str, list[list[object]]]:
    """What the store holds, by the file itself."""
    database = f"{user.folder}/.prominence/state.db"
    answer: dict[str, list[list[object]]] = json.loads(
        user.site.run(["python3", "-c", READ, database]).stdout
    )
    return answer


def submissions(site: Site, backend: str, name: str) -> Counter[str]:
    """How often each tag was taken by a scheduler, of jobs of workflows of this name."""
    if backend == "slurm":
        fields = "jobid,jobname%50,comment%200"
        text = site.run(["sacct", "-X", "-n", "-P", "-o", fields, "-S", "now-1hours"]).stdout
        # Other tests' jobs have names with newlines and bars in them.
        rows = [line.split("|") for line in text.splitlines()]
        taken = {
            (row[0].partition("_")[0], row[2].removeprefix("prominence:")[:32])
            for row in rows
            if len(row) == 3 and row[1].startswith(f"{name}/")
        }
    else:
        ask = f"-constraint 'regexp(\"^{name}(/|$)\", JobBatchName)' -af ClusterId ProminenceTag"
        text = site.run(
            ["sh", "-c", f"condor_q -all {ask}; condor_history -limit 5000 {ask}"]
        ).stdout
        taken = {(line.split()[0], line.split()[1]) for line in text.splitlines()}
    return Counter(tag for _, tag in taken)


@pytest.fixture
def users(site: Site, folder: str) -> list[Prominence]:
    for engine in ENGINES:
        site.run(["mkdir", "-p", f"{folder}/{engine}"])
    return [Prominence(site, f"{folder}/{engine}", backend=engine) for engine in ENGINES]


def test_twenty_runs_killed_at_random_moments(users: list[Prominence], image: str) -> None:
    chance = random.Random(5)
    for user in users:
        name = f"killed-{user.backend}"
        document = workflow(
            job(image, "a"),
            job(image, "many", "echo $x"),
            job(image, "b"),
            dependencies={"a": ["many"], "many": ["b"]},
            factories=[sweep("many", x=(1, 3, 1))],
        )
        user.write("workflow.json", json.dumps({**document, "name": name}))
        user("list")  # makes the state folder
        for _ in range(KILLS):
            seconds = chance.uniform(0.02, LONGEST_SECONDS)
            command = f"timeout --signal=KILL {seconds:.3f} prominence run workflow.json"
            user.site.run(
                ["sh", "-c", f"{command} || true"],
                user=user.user,
                cwd=user.folder,
                env=user.variables(),
                check=False,
            )
    for user in users:
        user("list")
    time.sleep(SETTLE_SECONDS + 5)
    for user in users:
        user("list")
        found = stored(user)
        ids = [row[0] for row in found["workflows"]]
        assert 0 < len(ids) <= KILLS
        assert {row[1] for row in found["workflows"]} == {"submitted"}
        assert [row[1] for row in found["jobs"]] == [5] * len(ids)
        for number in ids:
            assert isinstance(number, int)
            assert wait(user, number) == 0
        taken = submissions(user.site, user.backend, f"killed-{user.backend}")
        expected = {str(row[0]) for row in found["tags"]}
        if user.backend == "htcondor":
            expected |= {str(row[2]) for row in found["workflows"]}
        assert taken == Counter(expected)  # each once, and nothing else
