"""What ``run`` makes of commands of several lines and of ``file://`` inputs."""

import base64
import copy
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.adapter.spec.decode import decode_job
from prominence_hpc.adapter.spec.expand import expand
from prominence_hpc.errors import SpecError

RESOURCES = {"memory": 1}


def tasks_of(*tasks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return expand({"tasks": list(tasks), "resources": RESOURCES} | changes, None)


def test_each_line_is_a_task_with_all_else_of_the_first() -> None:
    expanded = tasks_of(
        {"image": "a", "cmd": "echo Hello\n\n   \r\ndate '+%s'\r\n", "env": {"A": "1"}},
        {"image": "b"},
    )
    assert expanded["tasks"] == [
        {"image": "a", "cmd": "echo Hello", "env": {"A": "1"}},
        {"image": "a", "cmd": "date '+%s'", "env": {"A": "1"}},
        {"image": "b"},
    ]
    assert "inputs" not in expanded


def test_a_command_of_one_line_stays_as_it_is() -> None:
    task = {"image": "a", "cmd": "  #! x  "}
    assert tasks_of(task)["tasks"] == [task]


def test_blank_lines_alone_are_no_command() -> None:
    expanded = tasks_of({"image": "a", "cmd": "\n \n"})
    assert decode_job(expanded).tasks[0].cmd is None


def test_a_script_becomes_an_executable_input() -> None:
    text = "#!/bin/bash\necho 'Hello ü'\n\ndate\n"
    expanded = tasks_of({"image": "a", "cmd": text})
    job = decode_job(expanded)
    (script,) = job.inputs
    assert base64.b64decode(script.content).decode() == text
    assert script.executable
    assert job.tasks[0].cmd == f"./{script.filename}"


def test_scripts_are_found_whatever_the_workdir_and_never_replace_an_input() -> None:
    mine = {"filename": "cmd-0.sh", "content": "aGk="}
    script = "#!/bin/sh\ndate\n"
    expanded = tasks_of(
        {"image": "a", "cmd": script, "workdir": "sub"},
        {"image": "a", "cmd": script, "workdir": "/opt"},
        {"image": "a", "cmd": script, "workdir": ""},
        inputs=[mine],
    )
    commands = [task["cmd"] for task in expanded["tasks"]]
    assert commands == ["/home/user/cmd-0-1.sh", "/home/user/cmd-1.sh", "./cmd-2.sh"]
    assert expanded["inputs"][0] == mine
    names = [item["filename"] for item in expanded["inputs"]]
    assert names == ["cmd-0.sh", "cmd-0-1.sh", "cmd-1.sh", "cmd-2.sh"]


def test_the_given_description_is_left_alone() -> None:
    document = {"tasks": [{"image": "a", "cmd": "#!/bin/sh\ndate"}], "inputs": []}
    expand(document, None)
    assert document == {"tasks": [{"image": "a", "cmd": "#!/bin/sh\ndate"}], "inputs": []}


def test_the_jobs_of_a_workflow_are_expanded() -> None:
    expanded = expand({"jobs": [{"tasks": [{"image": "a", "cmd": "x\ny"}]}, "?"]}, None)
    assert expanded == {
        "jobs": [{"tasks": [{"image": "a", "cmd": "x"}, {"image": "a", "cmd": "y"}]}, "?"]
    }


def test_local_files_are_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, here = tmp_path / "jobs", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "both").write_text("here")
    (folder / "both").write_text("beside the description")
    (folder / "only beside").write_text("beside the description")
    program = tmp_path / "program"
    program.write_bytes(bytes(range(256)))
    program.chmod(0o755)
    given = {"filename": "mine", "content": "aGk="}
    inputs = ["file://both", "file://only beside", f"file://{program}", given]
    expanded = expand({"tasks": [{"image": "x"}], "resources": RESOURCES, "inputs": inputs}, folder)
    assert [
        (item["filename"], base64.b64decode(item["content"])) for item in expanded["inputs"]
    ] == [
        ("both", b"here"),
        ("only beside", b"beside the description"),
        ("program", bytes(range(256))),
        ("mine", b"hi"),
    ]
    assert [item.executable for item in decode_job(expanded).inputs] == [False, False, True, False]


def test_inputs_that_cannot_be_read_are_all_named(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(1_000_000))
    inputs = ["file:///no/such", f"file://{large}", f"file://{tmp_path}", "file://a\0b"]
    with pytest.raises(SpecError) as caught:
        expand({"jobs": [{"inputs": inputs}]}, tmp_path)
    messages = [str(problem) for problem in caught.value.problems]
    assert messages[0] == "jobs[0].inputs[0]: /no/such cannot be read: No such file or directory"
    assert messages[1].startswith(f"jobs[0].inputs[1]: {large} has 1,000,000 bytes or more; upload")
    assert messages[2].startswith(f"jobs[0].inputs[2]: {tmp_path} is not a file; ")
    assert messages[3].startswith("jobs[0].inputs[3]: ")


def test_the_content_of_an_entry_may_be_a_local_file(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_bytes(b"\xff\n")
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    inputs = [
        {"filename": "in/renamed.txt", "content": "file://data.txt", "executable": True},
        {"filename": "run", "content": f"file://{program}"},
        {"filename": "text", "content": f"file://{program}", "executable": False},
    ]
    document = {"tasks": [{"image": "x"}], "resources": RESOURCES, "inputs": inputs}
    given = copy.deepcopy(document)
    decoded = decode_job(expand(document, tmp_path)).inputs
    assert document == given
    assert [
        (item.filename, base64.b64decode(item.content), item.executable) for item in decoded
    ] == [
        ("in/renamed.txt", b"\xff\n", True),
        ("run", b"#!/bin/sh\n", True),
        ("text", b"#!/bin/sh\n", False),
    ]


def test_a_local_content_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        expand({"inputs": [{"filename": "a", "content": "file:///no/such"}]}, tmp_path)
    assert [str(problem) for problem in caught.value.problems] == [
        "inputs[0].content: /no/such cannot be read: No such file or directory"
    ]


def test_a_local_content_leaves_the_filename_required(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    document = {
        "tasks": [{"image": "x"}],
        "resources": RESOURCES,
        "inputs": [{"content": "file://a"}],
    }
    with pytest.raises(SpecError, match=r"inputs\[0\].filename: is required"):
        decode_job(expand(document, tmp_path))


def test_descriptions_from_urls_get_no_local_content() -> None:
    inputs = [{"filename": "a", "content": "file:///etc/passwd"}]
    document = {"tasks": [{"image": "x"}], "resources": RESOURCES, "inputs": inputs}
    assert expand(document, None)["inputs"] == inputs
    with pytest.raises(SpecError, match="from a local description only"):
        decode_job(expand(document, None))
