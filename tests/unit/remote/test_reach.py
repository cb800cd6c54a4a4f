"""Getting to a job's node: which way first, what is remembered, what is said where none leads there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from prominence_hpc.adapter.jobs import up_to_date
from prominence_hpc.adapter.remote import reach as module
from prominence_hpc.adapter.remote.reach import visit_job
from prominence_hpc.adapter.remote.target import find_running
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.backends.base import Cause, Condition, SchedulerState
from prominence_hpc.errors import (
    BackendError,
    BackendUnavailable,
    ConfigError,
    ConflictError,
    HostKeyError,
    NotFoundError,
    NotReadyError,
    ProminenceError,
    RemoteError,
    UsageError,
)
from prominence_hpc.wrappers import frames
from tests.unit.remote.scripted import Scripted
from tests.unit.remote.sites import (
    Site,
    end,
    folder_of,
    handles,
    is_queued,
    is_running,
    new_job,
    workspace_of,
)

NOT_YET = NotReadyError("not yet")


@pytest.fixture
def site() -> Site:
    return Site(queue={"4711": is_running("n1", "n2", "n3")})


@pytest.fixture
def workspace(site: Site, tmp_path: Path) -> Iterator[Workspace]:
    workspace = workspace_of(site, tmp_path)
    new_job(workspace)
    yield workspace
    workspace.store.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READY_SECONDS", 0.3)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)


def reached(workspace: Workspace, job_id: int = 1, node_number: int = 0) -> str:
    """By which way to which node."""
    with visit_job(workspace, job_id, node_number) as visit:
        return visit.way


def refusal(workspace: Workspace, *ids: int) -> ProminenceError:
    with pytest.raises(ProminenceError) as caught:
        reached(workspace, *ids)
    return caught.value


def test_the_first_way_that_answers_is_taken_and_closed(workspace: Workspace, site: Site) -> None:
    shell = Scripted()
    site.shells = {"ssh": [shell]}
    assert reached(workspace) == "ssh to n1"
    assert site.opened == [("ssh", "4711", "n1")]
    assert site.folders == {folder_of(workspace, workspace.store.get(1))}
    assert shell.log == ["channel closed", "shell closed"]


def test_the_next_is_tried_and_remembered(workspace: Workspace, site: Site) -> None:
    site.shells = {
        "ssh": [RemoteError("no route to host")],
        "srun": [Scripted(), Scripted(), Scripted([], code=1)],
    }
    assert reached(workspace) == "srun to n1"
    assert reached(workspace) == "srun to n1"
    assert handles(site.opened) == ["ssh", "srun", "srun"]
    site.shells["ssh"] = [Scripted(), Scripted()]
    assert reached(workspace) == "ssh to n1"  # it works again, and the other does not
    assert workspace.store.remembered_way("here") == "ssh"


def test_what_is_remembered_outlives_the_command(
    workspace: Workspace, site: Site, tmp_path: Path
) -> None:
    workspace.store.remember_way("here", "srun")
    workspace.store.remember_way("there", "ssh")
    site.shells = {"srun": [Scripted()]}
    assert reached(workspace_of(site, tmp_path)) == "srun to n1"


def test_ways_that_the_site_has_configured_are_all_there_are(tmp_path: Path, site: Site) -> None:
    workspace = workspace_of(site, tmp_path, ways=("srun",))
    new_job(workspace)
    workspace.store.remember_way("here", "ssh")
    site.shells = {"srun": [Scripted(), RemoteError("down")]}
    assert reached(workspace) == "srun to n1"
    assert str(refusal(workspace)) == "The node n1 of job 1 cannot be reached. Tried srun: down."
    assert handles(site.opened) == ["srun", "srun"]
    assert workspace.store.remembered_way("here") == "ssh"


def test_the_configured_order_is_kept(tmp_path: Path, site: Site) -> None:
    workspace = workspace_of(site, tmp_path, ways=("srun", "ssh"))
    new_job(workspace)
    site.shells = {"ssh": [Scripted()], "srun": [RemoteError("no")]}
    assert reached(workspace) == "ssh to n1"
    assert handles(site.opened) == ["srun", "ssh"]


def test_a_way_that_there_is_not_is_a_wrong_configuration(tmp_path: Path) -> None:
    site = Site(queue={"4711": is_running()}, ways=("condor_ssh_to_job",))
    workspace = workspace_of(site, tmp_path, ways=("ssh",))
    new_job(workspace)
    with pytest.raises(ConfigError, match=r"sites\.here\.shell.*'ssh'.*condor_ssh_to_job"):
        reached(workspace)


def test_every_way_and_its_reason_are_told(workspace: Workspace, site: Site) -> None:
    site.shells = {
        "ssh": [BackendError("ssh is not installed here.")],
        "srun": [Scripted([], code=1, said="srun: error: Access denied.\n")],
    }
    error = refusal(workspace)
    assert isinstance(error, RemoteError)
    assert str(error) == (
        "The node n1 of job 1 cannot be reached. Tried ssh: ssh is not installed here;"
        " srun: ended with exit code 1: srun: error: Access denied."
    )
    assert handles(site.opened) == ["ssh", "srun"]  # each once: it will not pass
    assert workspace.store.remembered_way("here") is None


def test_a_host_with_another_key_is_told_of_even_where_another_way_leads_there(
    workspace: Workspace, site: Site
) -> None:
    site.shells = {"ssh": [HostKeyError("n1 shows another key.")], "srun": [Scripted()]}
    with visit_job(workspace, 1) as visit:
        assert visit.warnings == ["n1 shows another key. srun to n1 is used instead."]


def test_a_node_that_is_not_ready_is_asked_again(workspace: Workspace, site: Site) -> None:
    site.shells = {"ssh": [NOT_YET, Scripted([], code=frames.NO_WAY_IN), Scripted()]}
    assert reached(workspace) == "ssh to n1"
    assert handles(site.opened) == ["ssh"] * 3  # no other way would have found more


def test_but_not_for_ever(workspace: Workspace, site: Site) -> None:
    site.shells = {"ssh": [NOT_YET] * 1000}
    assert str(refusal(workspace)) == "The node n1 of job 1 cannot be reached. Tried ssh: not yet."
    assert len(site.opened) > 2


def test_a_node_that_has_no_name_yet_gets_one(workspace: Workspace, site: Site) -> None:
    """HTCondor says first that the job runs, and then where."""
    site.queue = {"4711": SchedulerState(condition=Condition.RUNNING)}
    site.shells = {"ssh": [NOT_YET, Scripted()]}

    def report_node() -> None:
        site.queue = {"4711": is_running("slot1@n9")}

    site.on_open = report_node
    assert reached(workspace) == "ssh to slot1@n9"
    assert [node for _, _, node in site.opened] == ["", "slot1@n9"]


def test_a_way_that_finds_the_node_itself_spares_the_scheduler_a_question(
    workspace: Workspace, site: Site
) -> None:
    site.finds_node = True
    site.shells = {"ssh": [Scripted(), Scripted(), Scripted()]}
    assert reached(workspace) == "ssh to n1"  # nobody has seen it run yet
    up_to_date(workspace, [1])
    site.calls.clear()
    assert reached(workspace) == "ssh to "
    assert site.calls == []
    assert reached(workspace, 1, 1) == "ssh to n2"  # which node that is the scheduler says


def test_a_job_that_was_seen_running_and_has_ended_is_told_as_such(
    workspace: Workspace, site: Site
) -> None:
    site.finds_node = True
    up_to_date(workspace, [1])
    end(workspace, workspace.store.get(1))
    site.shells = {"ssh": [RemoteError("no such job")], "srun": [RemoteError("nor here")]}
    assert str(refusal(workspace)) == "Job 1 has ended: it is completed."


def test_a_job_that_ends_meanwhile_is_told_as_such(workspace: Workspace, site: Site) -> None:
    site.shells = {"ssh": [NOT_YET] * 9}

    def job_ends() -> None:
        end(workspace, workspace.store.get(1))

    site.on_open = job_ends
    error = refusal(workspace)
    assert isinstance(error, ConflictError)
    assert str(error) == "Job 1 has ended: it is completed."
    assert len(site.opened) == 1


def test_a_way_that_fails_since_the_job_has_ended_is_not_the_reason(
    workspace: Workspace, site: Site
) -> None:
    site.shells = {"ssh": [RemoteError("Access denied by pam_slurm_adopt")], "srun": [NOT_YET]}
    site.on_open = site.queue.clear
    assert isinstance(refusal(workspace), ConflictError)


def test_nodes_are_chosen_by_number(workspace: Workspace, site: Site) -> None:
    site.shells = {"ssh": [Scripted()]}
    assert reached(workspace, 1, 2) == "ssh to n3"


@pytest.mark.parametrize(
    ("nodes", "number", "message"),
    [
        (("n1",), 1, "Job 1 runs on 1 node: --node can only be 0."),
        (("n1", "n2"), 2, "Job 1 runs on 2 nodes: --node is 0 to 1."),
        (("n1", "n2"), -1, "Job 1 runs on 2 nodes: --node is 0 to 1."),
    ],
)
def test_nodes_that_there_are_not(
    workspace: Workspace, site: Site, nodes: tuple[str, ...], number: int, message: str
) -> None:
    site.queue = {"4711": is_running(*nodes)}
    error = refusal(workspace, 1, number)
    assert (type(error), str(error)) == (UsageError, message)
    assert site.opened == []


HELD = SchedulerState(condition=Condition.HELD, reason="by its owner")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (is_queued("Priority"), "Job 1 is idle (Priority): nothing runs in it yet."),
        (is_queued(), "Job 1 is idle: nothing runs in it yet."),
        (HELD, "Job 1 is idle (Held by the scheduler: by its owner): nothing runs in it yet."),
        (
            SchedulerState(condition=Condition.ENDED, cause=Cause.WALLTIME),
            "Job 1 has ended: it is killed (Walltime limit exceeded).",
        ),
    ],
)
def test_a_job_that_does_not_run_says_why(
    workspace: Workspace, site: Site, state: SchedulerState, message: str
) -> None:
    site.queue = {"4711": state}
    error = refusal(workspace)
    assert (type(error), str(error)) == (ConflictError, message)


def test_a_job_that_has_ended_is_not_asked_about(workspace: Workspace, site: Site) -> None:
    end(workspace, workspace.store.get(1))
    refusal(workspace)
    site.calls.clear()
    assert str(refusal(workspace)) == "Job 1 has ended: it is completed."
    assert site.calls == []


def test_a_deleted_job_is_left_alone(workspace: Workspace) -> None:
    workspace.store.mark_deleted([1])
    error = refusal(workspace)
    assert (type(error), str(error)) == (ConflictError, "Job 1 is being deleted.")


def test_a_job_whose_submission_is_not_confirmed(workspace: Workspace) -> None:
    record = new_job(workspace, handle=None)
    error = refusal(workspace, record.id)
    assert isinstance(error, ConflictError)
    assert str(error).startswith(f"Job {record.id} is idle")


def test_unknown_jobs_and_silent_schedulers(workspace: Workspace, site: Site) -> None:
    error = refusal(workspace, 99)
    assert (type(error), str(error)) == (NotFoundError, "There is no job 99.")
    site.silent = {"poll"}
    with pytest.raises(BackendUnavailable):
        find_running(workspace, 1)
