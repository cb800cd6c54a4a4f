"""Tasks of a job: what each is given, where it runs, where its output goes, and how they follow each other."""

import json
import textwrap

import pytest

from tests.engine.prominence import Prominence
from tests.site.handle import Site

RESOURCES = {"cpus": 1, "memory": 0.5, "disk": 1}
# As users write them: an image with a run script, an environment and an app of its own.
DEFINITION = """\
Bootstrap: localimage
From: engine-test.sif

%runscript
    echo the run script $#

%environment
    export FROM_IMAGE=image

%apprun hello
    echo app says $APPVAR $#

%appenv hello
    export APPVAR=appvalue

%appinstall hello
    mkdir -p bin
    printf '#!/bin/sh\\necho tool of the app: "$@"\\n' > bin/tool
    chmod +x bin/tool
"""
APP_IMAGE = "engine-test-apps.sif"
MAKE_IMAGE = f"""
cd ~/engine-tests
exec 9> lock && flock 9
[ -e {APP_IMAGE} ] || apptainer -q build {APP_IMAGE} apps.def
prominence upload --name {APP_IMAGE} --filename {APP_IMAGE}
"""


@pytest.fixture(scope="session")
def app_image(site: Site, image: str) -> str:
    """The name of an uploaded image that is built over ``image``."""
    assert image in DEFINITION
    site.write("/home/alice/engine-tests/apps.def", DEFINITION)
    site.run(["bash", "-ec", MAKE_IMAGE])
    return APP_IMAGE


@pytest.mark.honours(
    "tasks.cmd", "tasks.cmd absent", "tasks.app", "tasks.type basic", "tasks.env", "tasks.workdir", "tasks.stdout"
)  # fmt: skip
def test_what_each_task_of_a_job_is_given(
    prominence: Prominence, image: str, app_image: str
) -> None:
    """Two images, each fetched once; one folder for all; run scripts, apps, variables, folders, files."""
    prominence.shell("mkdir data && echo inside > data/file && tar cf data.tar data")
    archive = f"tasks-{prominence.engine}.tar"
    prominence("upload", "--name", archive, "--filename", "data.tar")
    odd = "sp ace \"quote' $HOME `id` \\ , ; & 🐟\nsecond line\ttab"
    numbers = {"INTEGER": 5, "NEGATIVE": -0.25, "FLOAT": 1.5, "ZERO": 0, "LARGE": 10**18}
    workdirs = {
        "run-$PROMINENCE_JOB_ID/${PROMINENCE_JOB_ID}": "/home/user/run-{id}/{id}",
        "/home/user/abs-${PROMINENCE_JOB_ID}": "/home/user/abs-{id}",
        "/mnt/data/w$PROMINENCE_WORKFLOW_ID": "/mnt/data/w",
        "/bin": "/bin",
    }
    tasks = [
        {"image": app_image},
        {"image": app_image, "app": "hello"},
        {"image": app_image, "app": "hello", "cmd": "tool 'one word' \"$HOME\" a\\ b"},
        {
            "image": app_image,
            "cmd": "env",
            "env": {**numbers, "ODD": odd, "EMPTY": "", "FROM_IMAGE": "task"},
            "stdout": "below/environment",
        },
        *({"image": image, "cmd": "pwd", "workdir": folder} for folder in workdirs),
        {"image": image, "cmd": "sh -c 'echo first; cat > /dev/null; echo to stderr >&2'", "stdout": "/mnt/data/out"},
        {"image": image, "cmd": "cat data/out /mnt/data/file below/environment"},
    ]  # fmt: skip
    job = {
        "resources": RESOURCES,
        "tasks": tasks,
        "artifacts": [{"url": archive, "mountpoint": "data:/mnt/data"}],
        "outputFiles": ["/mnt/data/out"],
    }
    prominence.write("job.json", json.dumps(job))
    described = prominence.ended(prominence.created(prominence("run", "job.json")))
    prominence("rm", archive)
    job_id = described["id"]
    told = prominence.told(job_id, described)
    executed = described["execution"]["tasks"]
    assert described["status"] == "completed", told
    assert [task["exitCode"] for task in executed] == [0] * len(tasks), told
    pulls = [task["imagePullTime"] for task in executed]
    assert {*pulls[1:4], *pulls[5:]} == {-1}  # pulls[0] and [4] too where the node has the images
    said, environment = prominence.stdout(job_id).split("first\n")
    assert said.splitlines() == [
        "the run script 0",
        "app says appvalue 0",
        "tool of the app: one word $HOME a b",
        *(folder.format(id=job_id) for folder in workdirs.values()),
    ]
    assert environment.startswith("inside\n")
    for name, value in numbers.items():
        assert f"\n{name}={value}\n" in environment
    assert f"\nODD={odd}\n" in environment
    assert "\nEMPTY=\n" in environment
    assert "\nFROM_IMAGE=task\n" in environment
    assert prominence("stderr", str(job_id)).stdout == "to stderr\n"
    prominence("download", str(job_id))
    assert prominence.read("out") == "first\n"


@pytest.mark.honours("policies.maximumTaskRetries", "policies.ignoreTaskFailures", "tasks.cmd")
def test_failing_tasks_are_run_again_and_passed_over(prominence: Prominence, image: str) -> None:
    """Retries stop at the first success; the next task runs after one that never succeeds."""
    tries = "echo x >> {0}; [ $(wc -l < {0}) = 2 ]"
    prominence.write(
        "job.json",
        json.dumps(
            {
                "resources": RESOURCES,
                "tasks": [
                    {"image": image, "cmd": f"sh -c '{tries.format('a')}'"},
                    {"image": image, "cmd": "sh -c 'echo y >> b; exit 7'"},
                    {"image": image, "cmd": "no-such-program"},
                    {"image": image, "cmd": "wc -l a b"},
                ],
                "policies": {"maximumTaskRetries": 2, "ignoreTaskFailures": True},
            }
        ),
    )
    stops = prominence.create(
        "--task-retries", "1", image, "sh -c 'echo z; exit 4'"
    )  # without ignoreTaskFailures
    described = prominence.ended(prominence.created(prominence("run", "job.json")))
    assert described["status"] == "completed"
    executed = described["execution"]["tasks"]
    assert [(task["exitCode"], task["retries"]) for task in executed] == [
        (0, 1),
        (7, 2),
        (255, 2),
        (0, 0),
    ]
    assert prominence.stdout(described["id"]).split() == ["2", "a", "3", "b", "5", "total"]
    assert "no-such-program" in prominence("stderr", str(described["id"])).stdout
    (task,) = prominence.ended(stops)["execution"]["tasks"]
    assert (task["exitCode"], task["retries"]) == (4, 1)
    assert prominence.stdout(stops) == "z\nz\n"


@pytest.mark.honours("tasks.cmd")
def test_commands_of_several_lines_and_scripts_of_a_file(
    prominence: Prominence, image: str
) -> None:
    """A line each is a task; a text with ``#!`` is a program, wherever its task runs."""
    text = f"""
        resources: {{cpus: 1, memory: 0.5, disk: 1}}
        tasks:
          - image: {image}
            cmd: |
              echo "line one"

              sh -c 'echo "line   $((1 + 1))" two'
          - image: {image}
            workdir: below
            env: {{WORD: "from the environment"}}
            cmd: |
              #!/bin/sh
              for i in 1 2; do
                echo "script $i: $WORD, $(pwd)"
              done
              exit 3
          - image: {image}
            cmd: |
              #!/bin/sh
              echo never
        """
    prominence.write("job.yaml", textwrap.dedent(text))
    described = prominence.ended(prominence.created(prominence("run", "job.yaml")))
    job_id = described["id"]
    assert prominence.stdout(job_id).splitlines() == [
        "line one",
        "line   2 two",
        "script 1: from the environment, /home/user/below",
        "script 2: from the environment, /home/user/below",
    ], prominence.told(job_id, described)
    assert [task["exitCode"] for task in described["execution"]["tasks"]] == [0, 0, 3]
    assert described["inputFiles"] == ["cmd-0.sh", "cmd-1.sh"]
