"""What `prominence watch` shows, and how often it asks."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from prominence_hpc.adapter.config.load import load_config
from prominence_hpc.adapter.looks import Look, Watched
from prominence_hpc.adapter.store.records import JobRecord, JobStatus
from prominence_hpc.adapter.store.workflow_records import Tally
from prominence_hpc.adapter.watch import pause_seconds
from prominence_hpc.adapter.workflows.progress import Counts, Progress, add_up
from prominence_hpc.adapter.workspace import Workspace, open_workspace
from prominence_hpc.cli.live_table import bar, fitting, picture
from prominence_hpc.cli.watch import changes, summary
from tests.unit.test_describe import RECORD
from tests.unit.workflows.test_progress import tally, workflow


def record(job_id: int, status: JobStatus, reason: str = "", site: str = "slurm") -> JobRecord:
    final = status not in ("idle", "running")
    return replace(
        RECORD,
        id=job_id,
        status=status,
        status_reason=reason,
        final=final,
        site=site,
        name=f"j{job_id}",
    )


def drawn(look: Look, height: int, *, pause: float = 2) -> list[str]:
    console = Console(width=100, height=height, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(picture(look, pause, height, now=3661.0))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_each_change_is_a_line_and_nothing_else_is() -> None:
    looks = [
        [record(1, "idle", "Resources")],
        [record(1, "idle", "Resources"), record(2, "idle")],
        [record(1, "running"), record(2, "idle")],
        [record(1, "completed"), record(2, "failed", "Container image pull failed")],
    ]
    lines = [line.partition(" ")[2] for line in changes(Look(records=records) for records in looks)]
    assert lines == [
        "Job 1 idle: Resources",
        "Job 2 idle",
        "Job 1 running",
        "Job 1 completed",
        "Job 2 failed: Container image pull failed",
    ]


def test_a_picture_has_every_job_and_a_sum() -> None:
    jobs = [record(1, "completed"), record(2, "running"), record(3, "idle", "Priority")]
    lines = drawn(Look(records=jobs), height=40)
    assert lines[0].split() == ["ID", "NAME", "STATUS", "ELAPSED", "SITE", "REASON"]
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["1", "j1", "completed"],
        ["2", "j2", "running"],
        ["3", "j3", "idle"],
    ]
    assert lines[4] == "1 running, 1 idle, 1 completed at 01:01:01 UTC; next look in 2 s"


def test_what_has_no_room_is_counted_and_active_jobs_are_shown_first() -> None:
    jobs = [record(1, "running"), *(record(number, "completed") for number in range(2, 30))]
    assert [item.id for item in fitting(jobs, 4)] == [1, 27, 28, 29]
    lines = drawn(Look(records=jobs), height=9)
    assert "… and 25 more" in lines
    assert len(lines) < 9


def test_a_warning_and_an_odd_name_do_not_disturb_the_picture() -> None:
    odd = replace(record(1, "running"), name="a[bold]b\x1b[31m\n")
    lines = drawn(Look(records=[odd], warnings=["slurm does not answer"]), height=20, pause=0)
    assert "a[bold]b\\x1b[31m\\n" in lines[1]
    assert lines[2:] == ["1 running at 01:01:01 UTC", "slurm does not answer"]


def a_workflow(number: int, tallies: list[Tally], *jobs: JobRecord) -> Watched:
    progress = Progress(record=workflow(number), counts=add_up(tallies))
    return Watched(progress=progress, parts=[], counts=[], jobs=jobs)


def test_a_workflow_is_one_line_above_its_jobs() -> None:
    tallies = [tally("completed", 5000), tally("failed"), tally("running", 2), tally("idle", 4997)]
    watched = a_workflow(3, tallies, record(7, "failed", "why"), record(9, "running"))
    lines = drawn(Look(records=[record(2, "idle")], workflows=[watched]), height=40)
    assert [line.split()[:3] for line in lines[1:5]] == [
        ["2", "j2", "idle"],
        ["3", "w", "running"],
        ["7", "j7", "failed"],
        ["9", "j9", "running"],
    ]
    assert lines[2].endswith(f"{'█' * 10}{'░' * 10} 5000 of 10000 done, 1 failed, 2 running")
    assert lines[5].startswith("2 running, 4998 idle, 5000 completed, 1 failed at ")


def test_workflows_are_shown_before_jobs_where_there_is_little_room() -> None:
    jobs = [record(number, "running") for number in range(10, 30)]
    watched = [a_workflow(number, [tally("idle", 20)]) for number in (1, 2, 3)]
    lines = drawn(Look(records=jobs, workflows=watched), height=9)
    assert [line.split()[0] for line in lines[1:5]] == ["1", "2", "3", "29"]
    assert "… and 19 more" in lines
    assert len(lines) < 9
    assert "… and 22 more" in drawn(Look(records=jobs, workflows=watched), height=6)


@pytest.mark.parametrize(
    ("success", "failed", "expected"),
    [
        (0, 0, "░░░░"),
        (1, 0, "░░░░"),
        (0, 1, "█░░░"),
        (50, 1, "██░░"),
        (99, 1, "████"),
        (100, 0, "████"),
    ],
)
def test_a_bar_is_full_only_at_the_end(success: int, failed: int, expected: str) -> None:
    drawn = bar(Counts(success=success, failed=failed, total=100), width=4)
    assert drawn.plain == expected
    assert any(span.style == "red" and span.end > span.start for span in drawn.spans) == (
        failed > 0
    )


def test_the_sum_of_nothing_is_nothing() -> None:
    assert summary({}) == ""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    config = tmp_path / "config.toml"
    config.write_text(
        '[sites.slow]\nbackend = "slurm"\npoll_seconds = 60.0\n[sites.quick]\nbackend = "local"\n'
    )
    environment = {
        "PROMINENCE_CONFIG": str(config),
        "PROMINENCE_HOME": str(tmp_path / "state"),
        "HOME": str(tmp_path),
    }
    assert load_config(environ=environment).sites["slow"].poll_seconds == 60
    return open_workspace(environment)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([record(1, "running", site="slow"), record(2, "idle", site="quick")], 60),
        ([record(1, "completed", site="slow"), record(2, "idle", site="quick")], 2),
        ([record(1, "running", site="no longer configured")], 2),
        ([], 2),
    ],
)
def test_no_site_is_asked_faster_than_it_allows(
    workspace: Workspace, records: list[JobRecord], expected: float
) -> None:
    assert pause_seconds(workspace, records, 2.0) == expected
