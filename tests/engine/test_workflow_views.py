"""A workflow on real engines, as its user sees it from its beginning to its end."""

import json
import re
from typing import Any

import pytest

from tests.engine.prominence import BACKENDS, Prominence

SIZE = {"cpus": 1, "memory": 0.5, "disk": 1}


def submitted(prominence: Prominence, document: dict[str, Any]) -> int:
    prominence.write("workflow.json", json.dumps(document))
    said = prominence("run", "workflow.json").stdout
    found = re.fullmatch(r"Workflow created with id (\d+)\n", said)
    assert found, said
    return int(found[1])


def printed(prominence: Prominence, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(prominence(*arguments).stdout)
    return found


def job(name: str, image: str, cmd: str) -> dict[str, Any]:
    return {"name": name, "tasks": [{"image": image, "cmd": cmd}], "resources": SIZE}


def sweep_over(name: str) -> list[dict[str, Any]]:
    parameter = {"name": "x", "start": 0, "end": 2, "step": 1}
    return [{"name": "three", "type": "parameterSweep", "jobs": [name], "parameters": [parameter]}]


@pytest.mark.parametrize("prominence", BACKENDS, indirect=True)
def test_a_sweep_of_which_one_fails(prominence: Prominence, image: str) -> None:
    document = {
        "name": "study",
        "labels": {"kind": "sweep"},
        "jobs": [job("many", image, "sh -c 'test $x != 1'")],
        "factories": sweep_over("many"),
    }
    number = submitted(prominence, document)
    workflow = str(number)

    lines = [line.partition(" ")[2] for line in prominence("watch", workflow).stdout.splitlines()]
    assert lines[-2:] == [
        f"Workflow {number} failed: 2 of 3 done, 1 failed",
        f"Workflow {number} many failed: 2 of 3 done, 1 failed",
    ]
    waited = prominence("wait", "workflow", workflow, check=False)
    assert waited.returncode == 11
    assert waited.stdout == f"Workflow {number} failed: 2 of 3 jobs succeeded, 1 failed\n"

    (row,) = printed(prominence, "list", "workflows", "--completed", "--json")
    assert (row["id"], row["name"], row["status"]) == (number, "study", "failed")
    assert (row["success"], row["failed"], row["total"]) == (2, 1, 3)
    assert row["createTime"] - 5 <= row["startTime"] <= row["endTime"]
    assert printed(prominence, "list", "workflows", "--json") == []
    jobs = printed(prominence, "list", workflow, "--json")
    assert [item["name"] for item in jobs] == [f"study/many/{index}" for index in range(3)]

    (described,) = printed(prominence, "describe", workflow)
    (part,) = described["parts"]
    assert (part["firstId"], part["lastId"]) == (jobs[0]["id"], jobs[2]["id"])
    assert part["states"] == {"completed": 3}
    (failed,) = described["failedJobs"]
    assert (failed["id"], failed["statusReason"]) == (jobs[1]["id"], "A task failed")
    copy = prominence.describe(failed["id"])
    assert copy["parameters"] == {"x": "1"}
    assert copy["workflow"] == {"id": number, "name": "study"}
    assert [task["exitCode"] for task in copy["execution"]["tasks"]] == [1]


@pytest.mark.parametrize("prominence", BACKENDS, indirect=True)
def test_what_waits_for_a_failure_is_not_run(prominence: Prominence, image: str) -> None:
    document = {
        "name": "chain",
        "jobs": [
            job("prepare", image, "true"),
            job("many", image, "sh -c 'test $x != 1'"),
            job("merge", image, "true"),
        ],
        "dependencies": {"prepare": ["many"], "many": ["merge"]},
        "factories": sweep_over("many"),
    }
    number = submitted(prominence, document)
    waited = prominence("wait", str(number), check=False)
    assert waited.returncode == 10
    assert waited.stdout == f"Workflow {number} failed: 3 of 5 jobs succeeded, 2 failed\n"

    (described,) = printed(prominence, "describe", str(number))
    many, merge = described["failedJobs"]
    assert (many["name"], many["status"]) == ("chain/many/1", "completed")
    assert (merge["name"], merge["statusReason"]) == ("chain/merge", "Not run: many failed")
    assert [part["status"] for part in described["parts"]] == ["completed", "failed", "failed"]

    prominence("graph", str(number), "-o", "chain.svg")
    drawn = re.findall(r">([^<>\n]+)</text>", prominence.read("chain.svg"))
    assert drawn == [
        f"Workflow {number}: chain",
        *("prepare", "completed"),
        *("many", "2 of 3 done, 1 failed"),
        *("merge", "not run"),
    ]
