"""``prominence exec -it``: a shell in a running job, on a terminal, as somebody types into it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.inside import WAYS, RunningJob, running_job, until
from tests.site.handle import Site

DRIVER = "/opt/prominence-source/tests/engine/terminal_driver.py"
PROMPT = "ready> "


@pytest.fixture(scope="module", params=WAYS)
def job(site: Site, image: str, request: pytest.FixtureRequest) -> Iterator[RunningJob]:
    with running_job(site, image, request.param) as found:
        yield found


def drive(job: RunningJob, arguments: list[str], steps: list[list[Any]]) -> dict[str, Any]:
    """What the terminal showed, and how the command ended."""
    prominence = job.prominence
    request = {
        "argv": ["prominence", "exec", *arguments],
        "columns": 91,
        "rows": 23,
        "steps": steps,
    }
    environment = {
        "PROMINENCE_HOME": f"{prominence.folder}/.prominence",
        "PROMINENCE_SITE": prominence.backend,
        "TERM": "vt100",
        **prominence.environment,
    }
    done = prominence.site.run(
        ["python3", DRIVER], input=json.dumps(request), cwd=prominence.folder, env=environment
    )
    shown: dict[str, Any] = json.loads(done.stdout)
    assert shown["waited"], shown["output"]
    return shown


def shell_of(job: RunningJob) -> list[str]:
    return ["-it", str(job.id), "env", f"PS1={PROMPT}", "sh"]


def test_a_shell_with_a_terminal_of_its_own(job: RunningJob) -> None:
    """A terminal's name, size and kind; resized while it is open; its exit code at the end."""
    shown = drive(
        job,
        shell_of(job),
        [
            ["wait", PROMPT],
            ["type", "busybox tty; busybox stty size; echo kind=$TERM; pwd\r"],
            ["wait", "/dev/pts/"],
            ["wait", "23 91"],
            ["wait", "kind=vt100"],
            ["wait", "/home/user/below"],
            ["resize", [120, 44]],
            ["type", "busybox sleep 1; busybox stty size\r"],
            ["wait", "44 120"],
            ["type", "exit 9\r"],
        ],
    )
    assert shown["code"] == 9


def test_keys_reach_what_runs_in_the_foreground(job: RunningJob) -> None:
    """Ctrl-C ends it and not the shell; Ctrl-Z stops it, and it goes on; Ctrl-D ends the shell."""
    shown = drive(
        job,
        shell_of(job),
        [
            ["wait", PROMPT],
            ["type", "busybox sleep 1201\r"],
            ["wait", "sleep 1201"],
            ["pause", 1],
            ["type", "\x03"],
            ["wait", PROMPT],
            ["type", "busybox sleep 1202\r"],
            ["wait", "sleep 1202"],
            ["pause", 1],
            ["type", "\x1a"],
            ["wait", "Stopped"],
            ["type", "echo still here; fg\r"],
            ["wait", "still here"],
            ["wait", "sleep 1202"],
            ["pause", 1],
            ["type", "\x03"],
            ["wait", PROMPT],
            ["type", "(exit 4)\r"],
            ["wait", PROMPT],
            ["type", "\x04"],
        ],
    )
    assert shown["code"] == 4, shown["output"]
    until(lambda: job.processes("sleep 120[12]") == [], 20)


def test_our_terminal_is_as_it_was_afterwards(job: RunningJob) -> None:
    """Raw only while the command runs, also where it is killed."""
    prominence = job.prominence
    script = (
        "before=$(stty -g); timeout --foreground -s TERM 6 prominence exec -t "
        f'{job.id} busybox sleep 1203; [ "$before" = "$(stty -g)" ] && echo same'
    )
    request = {
        "argv": ["bash", "-c", script],
        "columns": 80,
        "rows": 24,
        "steps": [["wait", "same"]],
    }
    environment = {
        "PROMINENCE_HOME": f"{prominence.folder}/.prominence",
        "PROMINENCE_SITE": prominence.backend,
        **prominence.environment,
    }
    done = prominence.site.run(
        ["python3", DRIVER], input=json.dumps(request), cwd=prominence.folder, env=environment
    )
    assert json.loads(done.stdout)["waited"], done.stdout
    until(lambda: job.processes("sleep 1203") == [], 20)


def test_a_terminal_that_hangs_up_ends_the_command(job: RunningJob) -> None:
    words = ["-it", str(job.id), "sh", "-c", "echo begun; exec busybox sleep 1204"]
    drive(job, words, [["wait", "begun"], ["hang up", None]])
    until(lambda: job.processes("sleep 1204") == [], 20)


def test_t_needs_a_terminal(job: RunningJob) -> None:
    done = job.prominence("exec", "-t", str(job.id), "sh", check=False)
    assert done.returncode == 2
    assert "-t needs a terminal" in done.stderr
