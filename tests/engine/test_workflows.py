"""Workflows on the real engines: what runs after what, what each job of a factory gets, and what becomes of failures."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.engine.inside import until
from tests.engine.prominence import Prominence
from tests.engine.workflows import job, jobs_by_name, run, sweep, wait, workflow


def statuses(jobs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {name: item["status"] for name, item in jobs.items()}


def downloaded(prominence: Prominence, number: int, *options: str) -> dict[str, str]:
    """Every file that the download of a workflow brings, below a new folder, and what is in it."""
    prominence.shell("rm -rf got && mkdir got")
    done = prominence.site.run(
        ["prominence", "download", *options, "workflow", str(number)],
        user=prominence.user,
        cwd=f"{prominence.folder}/got",
        env=prominence.variables(),
    )
    read = "import pathlib,json; print(json.dumps({str(p): p.read_text() for p in pathlib.Path('.').rglob('*') if p.is_file()}))"
    text = prominence.site.run(
        ["python3", "-c", read], user=prominence.user, cwd=f"{prominence.folder}/got"
    ).stdout
    files: dict[str, str] = json.loads(text)
    assert sorted(done.stdout.splitlines()) == sorted(files)
    return files


@pytest.mark.honours("dependencies")
def test_steps_run_one_after_the_other(prominence: Prominence, image: str) -> None:
    document = workflow(
        job(image, "third"),
        job(image, "first", "sleep 2"),
        job(image, "second"),
        dependencies={"first": ["second"], "second": ["third"]},
    )
    number = run(prominence, document)
    assert wait(prominence, number) == 0
    jobs = jobs_by_name(prominence, number)
    assert set(statuses(jobs).values()) == {"completed"}
    first, second, third = (jobs[f"flow/{name}"] for name in ("first", "second", "third"))
    assert first["endTime"] <= second["startTime"] + 1
    assert second["endTime"] <= third["startTime"] + 1


@pytest.mark.honours("dependencies")
def test_scatter_and_gather(prominence: Prominence, image: str) -> None:
    document = workflow(
        job(image, "scatter", "echo s > s", outputFiles=["s"]),
        *(job(image, f"work{n}", f"echo {n} > w{n}", outputFiles=[f"w{n}"]) for n in range(3)),
        job(image, "gather", "echo g > g", outputFiles=["g"]),
        dependencies={
            "scatter": ["work0", "work1", "work2"],
            **{f"work{n}": ["gather"] for n in range(3)},
        },
    )
    number = run(prominence, document)
    assert wait(prominence, number) == 0
    jobs = jobs_by_name(prominence, number)
    last_work = max(jobs[f"flow/work{n}"]["endTime"] for n in range(3))
    assert last_work <= jobs["flow/gather"]["startTime"] + 1
    files = downloaded(prominence, number)
    assert files == {"s": "s\n", "w0": "0\n", "w1": "1\n", "w2": "2\n", "g": "g\n"}


@pytest.mark.honours("factories parameterSweep")
def test_a_sweep_over_one_parameter(prominence: Prominence, image: str) -> None:
    command = (
        "echo $x $PROMINENCE_PARAMETER_x $PROMINENCE_JOB_ID $PROMINENCE_WORKFLOW_ID > out-$x.txt"
    )
    document = workflow(
        job(image, "point", command, outputFiles=["out-$x.txt"]),
        factories=[sweep("point", x=(0, 1, 0.1))],
    )
    number = run(prominence, document)
    assert wait(prominence, number) == 0
    jobs = jobs_by_name(prominence, number)
    assert list(jobs) == [f"flow/point/{index}" for index in range(11)]
    values = ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]
    expected = {
        f"out-{value}.txt": f"{value} {value} {number + 1 + index} {number}\n"
        for index, value in enumerate(values)
    }
    assert downloaded(prominence, number) == expected
    described = prominence.describe(number + 4)
    assert described["name"] == "flow/point/3"
    assert described["tasks"][0]["cmd"].startswith("sh -c 'echo 0.3 ")
    assert described["outputFiles"][0]["name"] == "out-0.3.txt"


@pytest.mark.honours("factories parameterSweep")
def test_a_sweep_over_three_parameters(prominence: Prominence, image: str) -> None:
    document = workflow(
        job(image, "point", "echo $a,$b,${c} > ${a}_${b}_$c", outputFiles=["${a}_${b}_$c"]),
        factories=[sweep("point", a=(1, 2, 1), b=(0, 0.5, 0.5), c=(-1, 1, 1))],
    )
    number = run(prominence, document)
    assert wait(prominence, number) == 0
    expected = {
        f"{a}_{b}_{c}": f"{a},{b},{c}\n" for a in (1, 2) for b in ("0.0", "0.5") for c in (-1, 0, 1)
    }
    assert downloaded(prominence, number) == expected


@pytest.mark.honours("factories zip")
def test_a_zip_gives_each_job_its_own_file(prominence: Prominence, image: str) -> None:
    shelf = f"zip-{prominence.engine}"
    for name in ("one", "two words", "three"):
        prominence.write("object", f"content of {name}\n")
        prominence("upload", "--name", f"{shelf}/{name}.txt", "--filename", "object")
    document = workflow(
        job(
            image,
            "read",
            'cat "$name.txt" > "of $name"; echo $number >> "of $name"',
            artifacts=[{"url": f"{shelf}/$name.txt"}],
            outputFiles=["of $name"],
        ),
        factories=[
            {
                "name": "files",
                "type": "zip",
                "jobs": ["read"],
                "parameters": [
                    {"name": "name", "values": ["one", "two words", "three"]},
                    {"name": "number", "values": [1, 2, 3]},
                ],
            }
        ],
    )
    number = run(prominence, document)
    assert wait(prominence, number) == 0
    files = downloaded(prominence, number, "--dir")
    assert files == {
        f"{number}/read/0/of one": "content of one\n1\n",
        f"{number}/read/1/of two words": "content of two words\n2\n",
        f"{number}/read/2/of three": "content of three\n3\n",
    }


@pytest.mark.honours("factories repeat")
def test_a_job_several_times_and_several_factories(prominence: Prominence, image: str) -> None:
    document = workflow(
        job(image, "same", "echo $PROMINENCE_JOB_ID > id", outputFiles=["id"]),
        job(image, "point", "true $x"),
        factories=[
            {"name": "again", "type": "repeat", "jobs": ["same"], "number": 3},
            sweep("point", name="other", x=(1, 2, 1)),
        ],
    )
    number = run(prominence, document)
    assert wait(prominence, number) == 0
    jobs = jobs_by_name(prominence, number)
    assert list(jobs) == [
        *(f"flow/same/{index}" for index in range(3)),
        *(f"flow/point/{index}" for index in range(2)),
    ]
    ids = [jobs[f"flow/same/{index}"]["id"] for index in range(3)]
    refused = prominence("download", "workflow", str(number), check=False)
    assert refused.returncode == 8  # three files of one name
    assert "--dir" in refused.stderr
    files = downloaded(prominence, number, "--dir")
    assert files == {f"{number}/same/{index}/id": f"{ids[index]}\n" for index in range(3)}


def test_a_factory_between_two_jobs(prominence: Prominence, image: str) -> None:
    document = workflow(
        job(image, "before", "sleep 1"),
        job(image, "many", "sleep $x"),
        job(image, "after"),
        dependencies={"before": ["many"], "many": ["after"]},
        factories=[sweep("many", x=(0, 2, 1))],
    )
    number = run(prominence, document)
    assert wait(prominence, number) == 0
    jobs = jobs_by_name(prominence, number)
    many = [jobs[f"flow/many/{index}"] for index in range(3)]
    assert jobs["flow/before"]["endTime"] <= min(item["startTime"] for item in many) + 1
    assert max(item["endTime"] for item in many) <= jobs["flow/after"]["startTime"] + 1


def switched(prominence: Prominence, image: str, name: str, code: int) -> dict[str, Any]:
    """A job that ends as an object in storage says, which may be another one next time."""
    url = f"switch-{prominence.engine}.sh"
    prominence.write("switch", f"exit {code}\n")
    prominence("upload", "--name", url, "--filename", "switch")
    return job(image, name, f". ./{url}", artifacts=[{"url": url}])


def test_what_failed_and_what_was_not_reached_is_run_again(
    prominence: Prominence, image: str
) -> None:
    document = workflow(
        job(image, "first", "echo 1 > first", outputFiles=["first"]),
        switched(prominence, image, "middle", 3),
        job(image, "last", "echo 3 > last", outputFiles=["last"]),
        dependencies={"first": ["middle"], "middle": ["last"]},
    )
    number = run(prominence, document)
    assert wait(prominence, number) == 10
    jobs = jobs_by_name(prominence, number)
    assert statuses(jobs) == {
        "flow/first": "completed",
        "flow/middle": "completed",  # whatever the exit code of its tasks
        "flow/last": "failed",
    }
    assert jobs["flow/last"]["statusReason"] == "Not run: middle failed"
    assert jobs["flow/last"]["startTime"] is None
    switched(prominence, image, "middle", 0)
    done = prominence("rerun", str(number))
    again = int(done.stdout.removeprefix("Workflow created with id "))
    assert wait(prominence, again) == 0
    assert list(jobs_by_name(prominence, again)) == ["flow/middle", "flow/last"]
    # what has succeeded is kept, and comes with the rest
    assert downloaded(prominence, again) == {"first": "1\n", "last": "3\n"}
    assert downloaded(prominence, number) == {"first": "1\n"}
    nothing = prominence("rerun", str(again), check=False)
    assert (nothing.returncode, "nothing to run again" in nothing.stderr) == (8, True)


def test_of_a_sweep_only_what_failed_is_run_again(prominence: Prominence, image: str) -> None:
    url = f"limit-{prominence.engine}.sh"
    prominence.write("limit", "limit=2\n")
    prominence("upload", "--name", url, "--filename", "limit")
    command = f". ./{url}; [ $x -lt $limit ] && echo $x > out-$x"
    document = workflow(
        job(image, "many", command, artifacts=[{"url": url}], outputFiles=["out-$x"]),
        job(image, "merge"),
        dependencies={"many": ["merge"]},
        factories=[sweep("many", x=(0, 3, 1))],
    )
    number = run(prominence, document)
    assert wait(prominence, number) == 10
    merge = jobs_by_name(prominence, number)["flow/merge"]
    assert merge["statusReason"] == "Not run: many failed"
    prominence.write("limit", "limit=9\n")
    prominence("upload", "--name", url, "--filename", "limit")
    again = int(prominence("rerun", str(number)).stdout.split()[-1])
    assert wait(prominence, again) == 0
    assert list(jobs_by_name(prominence, again)) == [
        "flow/many/2",
        "flow/many/3",
        "flow/merge",
    ]
    assert downloaded(prominence, again) == {f"out-{x}": f"{x}\n" for x in range(4)}
    # by their own indices
    assert prominence("stdout", str(again), "many", "3").stdout == ""
    assert prominence("stdout", str(again), "many", "0", check=False).returncode == 4


def test_a_failure_that_does_not_count(prominence: Prominence, image: str) -> None:
    document = workflow(
        job(image, "fails", "exit 1", policies={"reportJobSuccessOnTaskFailure": True}),
        job(image, "after"),
        dependencies={"fails": ["after"]},
    )
    number = run(prominence, document)
    assert wait(prominence, number) == 0
    assert jobs_by_name(prominence, number)["flow/after"]["status"] == "completed"


def test_the_time_in_the_queue_of_a_child_begins_when_its_parents_have_ended(
    prominence: Prominence, image: str
) -> None:
    document = workflow(
        job(image, "long", "sleep 70"),
        job(image, "child", policies={"maximumTimeInQueue": 1}),
        dependencies={"long": ["child"]},
    )
    number = run(prominence, document)
    assert wait(prominence, number) == 0
    assert jobs_by_name(prominence, number)["flow/child"]["status"] == "completed"


def test_retries_of_the_whole_workflow_are_those_of_its_jobs(
    prominence: Prominence, image: str
) -> None:
    document = workflow(job(image, "fails", "exit 1"), policies={"maximumRetries": 1})
    number = run(prominence, document)
    assert wait(prominence, number) == 11
    described = prominence.describe(number + 1)
    assert [item["exitCodes"] for item in described["execution"]["attempts"]] == [[1], [1]]


def test_what_a_job_of_a_factory_writes_is_found_by_its_name(
    prominence: Prominence, image: str
) -> None:
    document = workflow(
        job(image, "say", "echo value $x; echo problem $x >&2"),
        factories=[sweep("say", x=(5, 7, 1))],
    )
    number = run(prominence, document)
    assert wait(prominence, number) == 0
    assert prominence("stdout", str(number), "say", "1").stdout == "value 6\n"
    assert prominence("stderr", str(number), "say", "2").stdout == "problem 7\n"
    assert prominence("stdout", str(number + 1)).stdout == "value 5\n"
    wrong = prominence("stdout", str(number), "say", "3", check=False)
    assert (wrong.returncode, "there are 3, from 0 to 2" in wrong.stderr) == (4, True)


def test_deleting_a_workflow_ends_all_of_it(prominence: Prominence, image: str) -> None:
    document = workflow(
        job(image, "long", "sleep 300"),
        job(image, "many", "sleep $x"),
        job(image, "after"),
        dependencies={"long": ["after"]},
        factories=[sweep("many", x=(300, 340, 1))],
    )
    number = run(prominence, document)
    assert prominence("delete", "workflow", str(number)).stdout == "Success\n"
    assert wait(prominence, number) == 10
    assert set(statuses(jobs_by_name(prominence, number)).values()) == {"deleted"}
    gone = prominence("delete", str(number), check=False)
    assert (gone.returncode, "has ended already" in gone.stderr) == (8, True)


def test_a_clone_is_the_same_workflow_again(prominence: Prominence, image: str) -> None:
    document = workflow(
        job(image, "point", "echo $x > $x", outputFiles=["$x"], labels={"app": "points"}),
        factories=[sweep("point", x=(1, 2, 1))],
        labels={"kind": "demo"},
    )
    number = run(prominence, document)
    assert wait(prominence, number) == 0
    again = int(prominence("clone", "workflow", str(number)).stdout.split()[-1])
    assert again > number + 2
    assert wait(prominence, again) == 0
    assert downloaded(prominence, again) == {"1": "1\n", "2": "2\n"}
    labelled = json.loads(
        prominence("list", "--all", "--json", "--constraint", "app=points").stdout
    )
    assert len(labelled) == 4
    assert downloaded(prominence, again, "--constraint", "app=points") == {"1": "1\n", "2": "2\n"}


def said(prominence: Prominence, number: int, index: str) -> str:
    return prominence("stdout", str(number), "wait", index, check=False).stdout


def test_a_way_into_one_job_of_many(prominence: Prominence, image: str) -> None:
    document = workflow(
        job(image, "wait", "echo $x > mine; echo begun; sleep 300"),
        factories=[sweep("wait", x=(1, 2, 1))],
    )
    number = run(prominence, document)
    for index in ("0", "1"):
        until(lambda at=index: said(prominence, number, at) == "begun\n")
    done = prominence("exec", str(number + 2), "cat", "mine")
    assert done.stdout == "2\n"
    assert prominence("stdout", str(number), "wait", "1").stdout == "begun\n"
    prominence("snapshot", str(number + 1), "mine")
    assert prominence.shell("tar xzOf snapshot.tgz mine") == "1\n"
    prominence("delete", str(number + 2))
    assert prominence.ended(number + 2)["status"] == "deleted"
    assert prominence.describe(number + 1)["status"] == "running"
    prominence("delete", str(number))
