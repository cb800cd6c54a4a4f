"""The way into a job is there while it runs, says what is in the way, and goes with it."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prominence_hpc.errors import ConflictError, NotReadyError, RemoteError
from prominence_hpc.wrappers import frames
from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers.runtime.presence import start_ticks
from tests.unit.remote.jobs import (
    Place,
    as_if_begun_long_ago,
    is_gone,
    is_running,
    marker,
    run,
    running,
    shell_of,
    sleeping,
    visit,
    work_of,
)
from tests.unit.wrappers.runs import APPTAINER, Runs, artifact, shell, until
from tests.unit.wrappers.servers import Handler, Server, serving


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


@pytest.fixture
def held() -> Iterator[tuple[Server, threading.Event]]:
    """A server that answers only once it may."""
    go = threading.Event()

    def answer(handler: Handler) -> None:
        go.wait(20)
        handler.reply(200, b"data")

    with serving(answer) as server:
        yield server, go
        go.set()


def test_the_end_of_the_task_ends_the_command(runs: Runs) -> None:
    words = marker()
    task = shell("while [ ! -e go ]; do sleep 0.02; done")
    with running(runs, task) as folder:
        until(lambda: json.loads((folder / "running.json").read_text())["task"])
        as_if_begun_long_ago(folder)

        def end_task(_: bytes) -> None:
            (work_of(folder) / "go").touch()

        script = f"echo ready; exec sleep {words}"
        result = run(folder, "sh", "-c", script, on_output=end_task)
        assert (result.code, result.ended_by) == (128 + signal.SIGHUP, "task")
        assert is_gone(f"sleep {words}")
    assert runs.report()["outcome"] == "completed"  # we have cost the job nothing
    assert runs.left_over() == []


def test_the_end_of_the_job_ends_a_command_beside_it(tmp_path: Path) -> None:
    words = marker()
    with sleeping() as wrapper:
        place = Place(tmp_path, wrapper.pid)
        result = run(
            place.folder,
            *("sh", "-c", f"echo ready; exec sleep {words}"),
            on_output=lambda _: wrapper.kill(),
            beside=True,
        )
    assert (result.code, result.ended_by) == (128 + signal.SIGHUP, "job")
    assert not is_running(words)


def test_before_the_task_there_is_no_container(
    runs: Runs, held: tuple[Server, threading.Event]
) -> None:
    server, go = held
    with running(
        runs, shell("true"), artifacts=(artifact("a", source=server.url + "/a"),)
    ) as folder:
        until(lambda: server.seen)
        with pytest.raises(ConflictError) as caught:
            run(folder, "true")
        assert str(caught.value) == (
            "Job 7 is fetching its image and artifacts: there is no container to run a command in."
            " With --host it would run beside the container, in the job's scratch directory."
        )
        result = run(folder, "pwd", beside=True)
        assert result.stdout.decode() == f"{work_of(folder)}\n"
        go.set()
        until(lambda: not (folder / "enter").exists())
    assert runs.report()["outcome"] == "completed"
    assert not (folder / "running.json").exists()
    with pytest.raises(NotReadyError, match="has not begun there, or has just ended"):
        visit(folder)


def test_after_the_tasks_it_does_not_wait(place: Place) -> None:
    place.write_phase("stage-out")
    start = time.monotonic()
    with pytest.raises(ConflictError, match=r"^Job 7 is storing its outputs.*--host"):
        run(place.folder, "true")
    assert time.monotonic() - start < 1.5


def test_a_command_that_is_asked_for_between_two_tasks_runs_in_the_next(place: Place) -> None:
    program = place.root / "apptainer"
    program.write_text(APPTAINER)
    program.chmod(0o755)
    image = plans.Image(name="i", kind="sif", source="i.sif")
    place.write_plan(images=(image,), tasks=(shell("true"), shell("true")))
    place.write_phase("tasks")
    with sleeping() as task:

        def next_task() -> None:
            time.sleep(0.5)
            ticks = start_ticks(task.pid)
            begun = {"number": 1, "engine": str(program), "ticks": ticks, "start": 0.0}
            place.write_running(task={**a_task(task.pid), **begun})

        beginning = threading.Thread(target=next_task)
        beginning.start()
        script = 'echo $APPTAINERENV_PROMINENCE_TASK_NUM "$IMAGE"; pwd'
        result = run(place.folder, "sh", "-c", script)
        beginning.join()
    assert result.stdout.decode() == f"1 image.sif\n{place.work}\n"


def test_a_job_of_a_sweep_that_has_just_removed_its_plan(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.write_phase("stage-out")
    (place.folder / "plan.json").unlink()
    with pytest.raises(ConflictError, match=r"^The job has just ended\.$"):
        run(place.folder, "true")


def test_a_wrapper_that_was_killed_leaves_a_way_that_leads_nowhere(tmp_path: Path) -> None:
    """By the kernel, for its memory, say: then nothing is removed."""
    with sleeping() as wrapper:
        place = Place(tmp_path, wrapper.pid)
        place.write_phase("tasks")
        place.write_running(task=a_task(wrapper.pid))
    for beside in (False, True):
        with pytest.raises(ConflictError, match=r"^The job has just ended\.$"):
            run(place.folder, "true", beside=beside)


def a_task(pid: int) -> dict[str, object]:
    return {
        "number": 0,
        "image": "image.sif",
        "engine": "apptainer",
        "engine_version": "apptainer version 1.4.5",
        "pid": pid,
        "ticks": 1,
        "start": time.time(),
    }


def test_on_another_node_of_the_job_commands_run_beside(place: Place) -> None:
    """Only one node runs the tasks; the others see the job's folder."""
    place.write_running(host="another-node", pid=2**22 + 1, ticks=1)
    result = run(place.folder, "sh", "-c", "pwd; sleep 0.6; echo still there; exit 3", beside=True)
    assert (result.code, result.ended_by) == (3, "")
    assert result.stdout.decode() == f"{place.folder}\nstill there\n"
    with pytest.raises(ConflictError, match=r"^Job 7 runs no task on this node.*--host"):
        run(place.folder, "true")


def test_on_another_node_too_the_end_of_the_job_is_seen(place: Place) -> None:
    place.write_running(host="another-node", pid=2**22 + 1, ticks=1)
    words = marker()
    result = run(
        place.folder,
        *("sh", "-c", f"echo ready; exec sleep {words}"),
        beside=True,
        on_output=lambda _: (place.folder / "running.json").unlink(),
    )
    assert (result.code, result.ended_by) == (128 + signal.SIGHUP, "job")
    assert not is_running(words)


def test_an_enter_without_anything_else_is_a_job_that_has_ended(place: Place) -> None:
    (place.folder / "running.json").unlink()
    with pytest.raises(ConflictError, match=r"^The job has just ended\.$"):
        run(place.folder, "true")


def test_a_job_of_another_version_says_so(place: Place) -> None:
    place.write_running(version=99)
    with pytest.raises(RemoteError, match="another version of prominence"):
        run(place.folder, "true", beside=True)


def test_what_the_wrapper_does_not_know_is_an_error(place: Place) -> None:
    with visit(place.folder) as found:
        found.ask({"verb": "levitate"})
        with pytest.raises(RemoteError, match=r"^The job's wrapper does not know how to levitate"):
            list(found.answers())


@pytest.mark.parametrize(
    "sent", [b"not a frame", frames.pack(frames.INPUT, b"x"), frames.pack(frames.REQUEST, b"{")]
)
def test_whoever_talks_nonsense_is_left(place: Place, sent: bytes) -> None:
    channel = shell_of(place.folder).open(frames.enter_argv(str(place.folder)))
    channel.write(sent + bytes(50))
    while channel.read(1 << 16, timeout_seconds=10):
        pass
    assert channel.exit_code() not in (0, None)
    channel.close()


def test_the_way_in_is_ours_alone(job: Path) -> None:
    for name in ("enter", "running.json"):
        status = (job / name).stat()
        assert (status.st_mode & 0o777, status.st_uid) == (0o600, os.geteuid())
    assert not list(job.glob("*.part"))
