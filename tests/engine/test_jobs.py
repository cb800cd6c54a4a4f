"""One job after another on each backend: what goes in, what the task sees, what comes back."""

import json
import shlex

import pytest

from tests.engine.prominence import Prominence


@pytest.mark.honours("name", "labels", "inputs", "outputFiles")
def test_a_job_from_start_to_end(prominence: Prominence, image: str) -> None:
    """Input in, command run, output back; describe tells what happened where."""
    prominence.write("input.txt", "forty-two\n")
    described = prominence.completed(
        "--name", "a job", "--label", "kind=test", "--cpus", "2", "--memory", "0.5",
        "--input", "input.txt", "--output", "result.txt",
        image, "sh -c 'cat input.txt > result.txt; echo said; echo complained >&2'",
    )  # fmt: skip
    job_id = described["id"]
    assert prominence.stdout(job_id) == "said\n"
    assert prominence("stderr", str(job_id)).stdout == "complained\n"
    assert prominence("download", str(job_id)).stdout == "result.txt\n"
    assert prominence.read("result.txt") == "forty-two\n"
    execution = described["execution"]
    assert execution["backend"] == prominence.backend
    assert execution["provisionedResources"]["cpus"] == 2
    assert execution["cpu"].keys() == {"vendor", "model", "clock"}
    assert described["events"].keys() == {"createTime", "startTime", "endTime"}
    assert described["labels"] == {"kind": "test"}
    for chosen in ("kind=test", "kind=other"):
        listed = prominence("list", "--completed", "--constraint", chosen, "--json").stdout
        found = [(row["id"], row["name"], row["status"]) for row in json.loads(listed)]
        assert found == [(job_id, "a job", "completed")] * (chosen == "kind=test")


@pytest.mark.honours("outputFiles", "outputDirs")
def test_outputs_of_every_kind(prominence: Prominence, image: str) -> None:
    script = "mkdir -p d/e && echo 1 > a.dat && echo 2 > b.dat && echo 3 > 'd/e/deep file' && echo 4 > one"
    described = prominence.completed(
        "--output", "*.dat", "--output", "one", "--outputdir", "d",
        image, f"sh -c {shlex.quote(script)}",
    )  # fmt: skip
    prominence("download", str(described["id"]))
    assert (
        prominence.shell("cat a.dat b.dat one; tar xzf d.tgz; cat 'd/e/deep file'")
        == "1\n2\n4\n3\n"
    )
    url = described["outputFiles"][1]["url"]
    assert prominence.shell(f"curl -sSf {shlex.quote(url)}") == "4\n"


def test_overlapping_outputs_are_downloaded_once(prominence: Prominence, image: str) -> None:
    described = prominence.completed(
        "--output",
        "a*.dat",
        "--output",
        "a1.dat",
        image,
        "sh -c 'echo 1 > a1.dat; echo 2 > a2.dat'",
    )
    done = prominence("download", "--dir", str(described["id"]))
    assert sorted(done.stdout.split()) == [f"{described['id']}/a{n}.dat" for n in (1, 2)]


def test_the_next_job_finds_the_image_on_the_node(prominence: Prominence, image: str) -> None:
    """Three jobs one after the other on at most two nodes: one is where another was before."""
    tasks = [prominence.completed(image, "true")["execution"]["tasks"][0] for _ in range(3)]
    found = [task["imagePullTime"] for task in tasks if task["imagePullStatus"] == "cached"]
    assert found
    assert set(found) == {-1}


def test_tasks_run_in_order_and_a_failure_stops_the_rest(
    prominence: Prominence, image: str
) -> None:
    description = {
        "resources": {"cpus": 1, "memory": 1, "disk": 1},
        "tasks": [
            {"image": image, "cmd": "sh -c 'echo first > file; echo one'"},
            {"image": image, "cmd": "sh -c 'cat file; exit 3'"},
            {"image": image, "cmd": "sh -c 'echo never'"},
        ],
        "outputFiles": ["file"],
    }
    prominence.write("job.json", json.dumps(description))
    described = prominence.ended(prominence.created(prominence("run", "job.json")))
    assert described["status"] == "completed"
    assert [task["exitCode"] for task in described["execution"]["tasks"]] == [0, 3]
    assert prominence.stdout(described["id"]) == "one\nfirst\n"
    assert prominence("wait", str(described["id"]), check=False).returncode == 11
    prominence("download", str(described["id"]))
    assert prominence.read("file") == "first\n"


@pytest.mark.honours("inputs", "tasks.cmd")
def test_yaml_with_file_input_and_several_lines(prominence: Prominence, image: str) -> None:
    prominence.write("words.txt", "from a file\n")
    prominence.write(
        "job.yaml",
        f"""
name: from yaml
resources: {{cpus: 1, memory: 1, disk: 1}}
inputs:
  - "file://words.txt"
  - {{filename: "a tool", content: {TOOL}, executable: true}}
tasks:
  - image: {image}
    cmd: |
      cat words.txt
      './a tool' second
""",
    )
    described = prominence.ended(prominence.created(prominence("run", "job.yaml")))
    assert [task["exitCode"] for task in described["execution"]["tasks"]] == [0, 0]
    assert described["inputFiles"] == ["words.txt", "a tool"]
    assert prominence.stdout(described["id"]) == "from a file\ntold second\n"


TOOL = "IyEvYmluL3NoCmVjaG8gdG9sZCAiJEAiCg=="  # a shell script: echo told "$@"
HOSTILE = "sp ace \"quote' $(touch /tmp/pwned) `touch /tmp/pwned` %n %% $$(X) \\ , ; & 🐟 end"


def test_what_the_user_gave_is_what_the_task_sees(prominence: Prominence, image: str) -> None:
    """Environment values, arguments and file names, byte for byte, and nothing is executed."""
    value, name = HOSTILE + "\nsecond line", HOSTILE.replace("/", "_")
    prominence.write(name, "content of an odd name\n")
    described = prominence.completed(
        "--env", f"ODD={value}", "--input", name, "--output", name,
        image, shlex.join(["sh", "-c", 'printf "%s|%s|" "$ODD" "$1"; cat "$2"', "sh", value, name]),
    )  # fmt: skip
    expected = f"{value}|{value}|content of an odd name\n"
    assert prominence.stdout(described["id"]) == expected
    prominence.shell("rm -f -- *")
    prominence("download", str(described["id"]))
    assert prominence.read(name) == "content of an odd name\n"
    for host in ("login", "node1", "node2", "exec1", "exec2"):
        assert prominence.site.run(["ls", "/tmp"], host=host).stdout.find("pwned") == -1


def test_delete_ends_a_running_job(prominence: Prominence, image: str) -> None:
    job_id = prominence.create(image, "sleep 600")
    for _ in range(60):
        if prominence.describe(job_id)["status"] == "running":
            break
        prominence.shell("sleep 0.5")
    assert prominence("delete", str(job_id)).stdout == "Success\n"
    described = prominence.ended(job_id)
    assert described["status"] == "deleted"
    again = prominence("delete", str(job_id), check=False)
    assert (again.returncode, again.stdout) == (8, "")
    assert "has ended already" in again.stderr


@pytest.mark.honours("resources.walltime", "tasks.type sidecar")
def test_walltime_kills_and_keeps_outputs(prominence: Prominence, image: str) -> None:
    """The task has some seconds to end, and after it its sidecar has, before outputs are stored."""
    saves = 'trap "echo saved > {0}; exit 9" TERM; echo early > {0}; sleep 600 & wait'
    description = {
        "resources": {"cpus": 1, "memory": 0.5, "disk": 1, "walltime": 1},
        "tasks": [
            {"image": image, "type": "sidecar", "cmd": f"sh -c '{saves.format('beside')}'"},
            {"image": image, "cmd": f"sh -c '{saves.format('kept')}'"},
        ],
        "outputFiles": ["kept", "beside"],
    }
    prominence.write("job.json", json.dumps(description))
    described = prominence.ended(prominence.created(prominence("run", "job.json")))
    assert (described["status"], described["statusReason"]) == ("killed", "Walltime limit exceeded")
    tasks = described["execution"]["tasks"]
    assert [task["exitCode"] for task in tasks] == [9, 9], prominence.told(
        described["id"], described
    )
    assert tasks[0]["endedEarly"] is False
    assert 59.5 <= tasks[1]["wallTimeUsage"] < 75  # the minute is that of all tasks
    prominence("download", str(described["id"]))
    assert (prominence.read("kept"), prominence.read("beside")) == ("saved\n", "saved\n")


def test_missing_output_is_named(prominence: Prominence, image: str) -> None:
    described = prominence.run("--output", "there", "--output", "absent", image, "touch there")
    assert described["status"] == "failed"
    assert described["statusReason"] == "Stageout failed due to no such file or directory"
    assert "absent" in described["execution"]["detail"]
    assert prominence("download", str(described["id"])).stdout == "there\n"


def test_archive_that_leaves_the_working_directory_is_refused(
    prominence: Prominence, image: str
) -> None:
    prominence.shell("echo x > evil && tar -P -czf evil.tgz --transform='s|evil|../../evil|' evil")
    name = f"evil-{prominence.engine}.tgz"
    prominence("upload", "--name", name, "--filename", "evil.tgz")
    described = prominence.run("--artifact", name, image, "ls")
    assert described["status"] == "failed"
    assert described["statusReason"] == "Artifact uncompress failed"
    assert "../../evil" in described["execution"]["detail"]
    prominence("rm", name)


def test_a_clone_is_a_job_of_its_own_with_the_same_description(
    prominence: Prominence, image: str
) -> None:
    """It goes where the first one went, whatever the default site is by then."""
    prominence.write("input.txt", "carried over\n")
    first = prominence.completed(
        "--name", "twice", "--label", "kind=clone", "--input", "input.txt", image, "cat input.txt"
    )
    elsewhere = {**prominence.environment, "PROMINENCE_SITE": "local"}
    with_default = Prominence(prominence.site, prominence.folder, environment=elsewhere)
    second = prominence.ended(prominence.created(with_default("clone", "job", str(first["id"]))))
    assert second["id"] != first["id"]
    assert prominence.stdout(second["id"]) == "carried over\n"
    assert second["execution"]["site"] == first["execution"]["site"]
    for key in ("name", "labels", "resources", "tasks", "inputFiles"):
        assert second[key] == first[key]


def test_watch_tells_each_change_until_all_have_ended(prominence: Prominence, image: str) -> None:
    job_ids = [prominence.create(image, "sleep 3"), prominence.create(image, "true")]
    lines = prominence("watch", *map(str, job_ids)).stdout.splitlines()
    words = [line.split()[1:4] for line in lines]
    for job_id in job_ids:
        seen = [status.rstrip(":") for _, number, status in words if number == str(job_id)]
        assert seen[0] in ("idle", "running")
        assert seen[-1] == "completed"
    quiet = prominence("watch")
    assert (quiet.stdout, quiet.stderr) == ("", "")
