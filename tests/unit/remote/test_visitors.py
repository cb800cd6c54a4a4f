"""A job waits for those who are in it before it stores its outputs and puts everything away."""

import json
import os
import threading
from pathlib import Path

import pytest

from prominence_hpc.wrappers.runtime.scratch import BESIDE, INSIDE, LOCK, Folders, Scratch
from tests.unit.remote.jobs import as_if_begun_long_ago, run, running
from tests.unit.wrappers.runs import Runs, output, shell, until

# Goes on for as long as it is let: neither the task's end nor a hang-up moves it.
STUBBORN = 'trap "" HUP TERM; echo begun; while :; do echo more >> grown; sleep 0.02; done'


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


@pytest.mark.parametrize("beside", [False, True])
def test_outputs_are_whole_and_nothing_stays_whatever_a_visitor_does(
    runs: Runs, beside: bool
) -> None:
    task = shell("echo first > grown; while [ ! -e go ]; do sleep 0.02; done")
    with running(runs, task, outputs=(output("grown"),)) as folder:
        until(lambda: json.loads((folder / "running.json").read_text())["task"])
        as_if_begun_long_ago(folder)
        work = Path(json.loads((folder / "running.json").read_text())["scratch"], "work")

        def end_task(_: bytes) -> None:
            (work / "go").touch()

        command = ("sh", "-c", STUBBORN)
        result = run(folder, *command, beside=beside, on_output=end_task)
        assert result.ended_by == ("job" if beside else "task")
        until(lambda: not (folder / "enter").exists())
    report = runs.report()
    if not beside:  # one beside the container may go on until all is stored
        assert (report["outcome"], report["reason"]) == ("completed", ""), report["detail"]
        assert runs.result("grown").startswith(b"first\n")
    assert runs.left_over() == []


def test_what_cannot_be_removed_is_found_by_the_next_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock goes last: by it a folder that was left is known."""
    scratch = Scratch(bytes(tmp_path), 1)
    Path(scratch.work.decode(), "file").touch()

    def refuse(path: bytes) -> None:
        raise OSError(39, "Directory not empty", path)

    monkeypatch.setattr(os, "rmdir", refuse)
    with pytest.raises(OSError, match="not empty"):
        scratch.remove()
    assert Path(scratch.path.decode(), LOCK.decode()).exists()


def test_a_visitor_is_waited_for_and_no_one_else(tmp_path: Path) -> None:
    scratch = Scratch(bytes(tmp_path), 1)
    scratch.wait_for_visitors(INSIDE, BESIDE)  # nobody: at once
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        Folders(scratch.path).enter(INSIDE)
        os.write(writing, b"in")
        threading.Event().wait(0.5)
        os._exit(0)
    os.read(reading, 2)
    scratch.wait_for_visitors(BESIDE)
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    scratch.wait_for_visitors(INSIDE)
    assert os.waitpid(child, os.WNOHANG)[0] == child
