"""Workflow descriptions: what is accepted, and every problem of the rest, each with its place."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prominence_hpc.adapter.spec.decode_workflow import decode_workflow
from prominence_hpc.adapter.spec.workflow_jobs import describe_jobs, jobs_of
from prominence_hpc.cli.flags import Flags
from prominence_hpc.cli.main import cli
from prominence_hpc.errors import SpecError
from tests.unit.spec.documents import job


def named(name: str, cmd: str = "true", **changes: Any) -> dict[str, Any]:
    return job(name=name, tasks=[{"image": "busybox", "cmd": cmd}], **changes)


def workflow(*jobs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"name": "wf", "jobs": list(jobs)} | changes


def sweep(*parameters: dict[str, Any], jobs: tuple[str, ...] = ("a",)) -> dict[str, Any]:
    return {
        "type": "parameterSweep",
        "name": "f",
        "jobs": list(jobs),
        "parameters": list(parameters),
    }


def zipped(**values: list[Any]) -> dict[str, Any]:
    parameters = [{"name": name, "values": items} for name, items in values.items()]
    return {"type": "zip", "name": "f", "jobs": ["a"], "parameters": parameters}


def problems(document: object) -> list[str]:
    with pytest.raises(SpecError) as caught:
        decode_workflow(document)
    return [str(problem) for problem in caught.value.problems]


X = {"name": "x", "start": 1, "end": 3, "step": 1}


def test_steps_in_order() -> None:
    document = workflow(
        named("a"), named("b"), named("c"), dependencies={"a": ["b"], "b": ["c"]}, labels={"k": "v"}
    )
    found = decode_workflow(document)
    assert [item.name for item in found.jobs] == ["a", "b", "c"]
    assert found.dependencies == {"a": ("b",), "b": ("c",)}
    assert [item.name for item in jobs_of(found)] == ["wf/a", "wf/b", "wf/c"]


def test_parameters_are_put_where_the_contract_says() -> None:
    template = named(
        "a",
        "run $x ${x}y $xy '$x'",
        outputFiles=["out-$x"],
        outputDirs=["d$x"],
        artifacts=[{"url": "http://host/$x.tgz"}],
    )
    template["tasks"][0] |= {"env": {"X": "v$x", "N": 3}, "workdir": "w$x", "stdout": "log$x"}
    made = list(jobs_of(decode_workflow(workflow(template, factories=[sweep(X)]))))
    assert [item.name for item in made] == ["wf/a/0", "wf/a/1", "wf/a/2"]
    assert [item.parameters for item in made] == [{"x": "1"}, {"x": "2"}, {"x": "3"}]
    second = made[1].document
    assert second["tasks"][0] == {
        "image": "busybox",
        "cmd": "run 2 2y $xy '2'",
        "env": {"X": "v2", "N": 3},
        "workdir": "w2",
        "stdout": "log2",
    }
    assert (second["outputFiles"], second["outputDirs"]) == (["out-2"], ["d2"])
    assert second["artifacts"] == [{"url": "http://host/2.tgz"}]


def test_a_dry_run_shows_each_job_and_submits_nothing(tmp_path: Path) -> None:
    document = workflow(named("a", "echo $x"), named("b"), factories=[sweep(X)])
    document["dependencies"] = {"a": ["b"]}
    file = tmp_path / "wf.json"
    file.write_text(json.dumps(document))
    done = CliRunner().invoke(cli, ["run", "--dry-run", str(file)], obj=Flags())
    shown = json.loads(done.stdout)
    assert [item["name"] for item in shown["jobs"]] == ["wf/a/0", "wf/a/1", "wf/a/2", "wf/b"]
    assert [item["tasks"][0]["cmd"] for item in shown["jobs"][:3]] == ["echo 1", "echo 2", "echo 3"]
    assert shown["jobs"][2]["parameters"] == {"x": "3"}
    assert shown["dependencies"] == {"a": ["b"]}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (workflow(), "jobs: must not be empty"),
        (
            workflow(named("a"), named("a")),
            'jobs[1].name: jobs[0] has the name "a" already',
        ),
        (
            workflow(job()),
            "jobs[0].name: is required: a workflow's jobs are known by their names",
        ),
        (
            workflow(named("a"), dependencies={"a": ["b"]}),
            'dependencies.a[0]: there is no job "b"; there are "a"',
        ),
        (
            workflow(named("a"), dependencies={"b": ["a"]}),
            'dependencies.b: there is no job "b"; there are "a"',
        ),
        (
            workflow(
                named("a"), named("b"), named("c"), dependencies={"a": ["b"], "b": ["c", "a"]}
            ),
            'dependencies: go round in a circle: "a" -> "b" -> "a"',
        ),
        (
            workflow(named("a"), dependencies={"a": ["a"]}),
            'dependencies: go round in a circle: "a" -> "a"',
        ),
        (
            workflow(named("a"), factories=[sweep(X, jobs=("b",))]),
            'factories[0].jobs[0]: there is no job "b"; there are "a"',
        ),
        (
            workflow(named("a"), factories=[sweep({**X, "start": 5})]),
            "factories[0].parameters[0]: is empty: no step of 1 leads from 5 to 3",
        ),
        (
            workflow(named("a"), factories=[sweep({**X, "number": 3})]),
            "factories[0].parameters[0]: give either step or number",
        ),
        (
            workflow(named("a"), factories=[sweep({**X, "step": 0})]),
            "factories[0].parameters[0].step: must not be 0",
        ),
        (
            workflow(named("a"), factories=[sweep({**X, "step": 1e-9})]),
            "factories[0].parameters[0]: has 2,000,000,001 values; at most 1,000,000 are possible",
        ),
        (
            workflow(named("a"), factories=[zipped(x=[1, 2], y=["p"])]),
            'factories[0].parameters[1].values: has 1 values, and "x" has 2: '
            + "a zip takes one of each for every job",
        ),
        (
            workflow(named("a"), factories=[sweep(X, X)]),
            'factories[0].parameters[1].name: another parameter has the name "x" already',
        ),
        (
            workflow(named("a"), factories=[sweep(X), {**sweep(X), "name": "g"}]),
            'factories[1].jobs[0]: the job "a" is made by factory "f" already',
        ),
        (
            workflow(named("a"), named("a/2"), factories=[sweep(X)]),
            'jobs[1].name: "a/2" is also the name of a copy of "a"; rename one of them',
        ),
        (
            workflow(named("a", outputFiles=["o$x", "o2"]), factories=[sweep(X)]),
            'jobs[0].outputFiles[1]: as copy 1 (x=2): is stored as "o2", as '
            + "outputFiles[0] is; leave out or rename one of them",
        ),
        (
            workflow(named("a", "echo $x"), factories=[zipped(x=["fine", "it's"])]),
            None,
        ),
        (
            workflow(named("a", outputFiles=["$x"]), factories=[zipped(x=["../up"])]),
            "jobs[0].outputFiles[0]: as copy 0 (x=../up): must name something inside the job's "
            + 'working directory, not "../up"',
        ),
        (
            workflow(named("a"), factories=[{"type": "sweep", "name": "f", "jobs": ["a"]}]),
            'factories[0].type: must be parameterSweep, zip or repeat, not the text "sweep"',
        ),
        (
            workflow(named("a"), factories=[{"type": "repeat", "name": "f", "jobs": ["a"]}]),
            "factories[0].number: is required",
        ),
        (
            workflow(named("a"), resources={"memory": 1}),
            "resources: is not a key here; it belongs in one of the jobs, in the list jobs",
        ),
        (
            workflow(job(name="a", tasks=[{"cmd": "true"}])),
            "jobs[0].tasks[0].image: is required",
        ),
        (
            workflow(named("a"), policies={"maximumRetries": 11}),
            "policies.maximumRetries: must be at most 10, not the number 11",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place(document: object, problem: str | None) -> None:
    (found,) = problems(document)
    if problem is None:
        assert found.startswith("jobs[0].tasks[0].cmd: as copy 1 (x=it's): cannot be split")
    else:
        assert found == problem


def test_problems_of_all_parts_are_told_at_once() -> None:
    document = workflow(
        named("a", outputFiles=["/x"]), named("b", policies={"priority": "high"}), factories=[{}]
    )
    assert [line.partition(":")[0] for line in problems(document)] == [
        "jobs[0].outputFiles[0]",
        "jobs[1].policies.priority",
        "factories[0].type",
        "factories[0].name",
        "factories[0].jobs",
    ]


def test_a_long_chain_is_no_circle_and_a_circle_at_its_end_is_found() -> None:
    names = [f"j{number}" for number in range(5000)]
    chain = dict(zip(names, ([name] for name in names[1:]), strict=False))
    decode_workflow(workflow(*map(named, names), dependencies=chain))
    closed = chain | {names[-1]: [names[-2]]}
    (problem,) = problems(workflow(*map(named, names), dependencies=closed))
    assert problem.endswith('"j4998" -> "j4999" -> "j4998"')


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
KEYS = (
    *("name", "jobs", "dependencies", "factories", "parameters", "type", "start", "end", "step"),
    *("number", "values", "policies", "a", "tasks", "resources", "image", "memory"),
)
anything = st.recursive(
    scalars | st.sampled_from(["parameterSweep", "zip", "repeat", "a", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=25,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    changes=st.fixed_dictionaries(
        {},
        optional={
            "factories": anything
            | st.lists(
                st.fixed_dictionaries(
                    {"type": st.sampled_from(["parameterSweep", "zip", "repeat"])},
                    optional={
                        "name": anything,
                        "jobs": anything,
                        "parameters": anything,
                        "number": anything,
                    },
                ),
                max_size=2,
            ),
            "dependencies": anything,
            "policies": anything,
            "jobs": anything,
        },
    )
)
def test_any_document_is_decoded_or_refused(changes: dict[str, Any]) -> None:
    try:
        found = decode_workflow(workflow(named("a")) | changes)
    except SpecError:
        return
    assert len(describe_jobs(found)["jobs"]) >= len(found.jobs)


def test_two_parameters_of_a_hundred_values_make_ten_thousand_jobs() -> None:
    document = workflow(
        named("a", "run $x $y", outputFiles=["a-$x", "b-$y"]),
        factories=[
            sweep(
                {"name": "x", "start": 0, "end": 1, "number": 100},
                {"name": "y", "start": 0, "end": 99, "step": 1},
            )
        ],
    )
    made = list(jobs_of(decode_workflow(document)))
    assert len({item.name for item in made}) == 10_000
    assert made[-1].document["tasks"][0]["cmd"] == "run 1.0 99"
