"""``prominence exec``, the same on every backend and by every way into its jobs."""

import secrets
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.engine.inside import WAYS, RunningJob, running_job, until
from tests.site.handle import Site

HUNDRED_MB = 100_000_000


@pytest.fixture(scope="module", params=WAYS)
def job(site: Site, image: str, request: pytest.FixtureRequest) -> Iterator[RunningJob]:
    with running_job(site, image, request.param) as found:
        yield found


def test_streams_and_exit_code_are_the_commands_own(job: RunningJob) -> None:
    script = "echo out; echo err >&2; exit 7"
    done = job.prominence("exec", str(job.id), "--", "sh", "-c", script, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_it_runs_in_the_tasks_own_container(job: RunningJob) -> None:
    """Environment, working directory, binds, and what this one container alone has: its memory."""
    script = 'pwd; echo "$MINE"; cat file; cat /mnt/data/inner; cat /dev/shm/mark; echo $HOME'
    assert job.exec("--", "sh", "-c", script) == (
        '/home/user/below\nit\'s "mine"\nshared\ninside\nmemory\n/home/user\n'
    )


def test_what_it_changes_the_task_sees(job: RunningJob) -> None:
    job.exec("--", "sh", "-c", "echo written > /dev/shm/from-outside")
    assert job.exec("cat", "/dev/shm/from-outside") == "written\n"


def test_words_are_not_read_by_any_shell(job: RunningJob) -> None:
    odd = ["a b", "it's", '"', "$HOME", "`id`", "\\", "*", "", "-n", "two\nlines", "é🐟"]
    done = job.exec("--", "printf", "<%s>", *odd)
    assert done == "".join(f"<{word}>" for word in odd)


def test_one_text_is_read_by_a_shell(job: RunningJob) -> None:
    """As PROMINENCE has always taken it."""
    assert job.exec("echo $MINE | wc -w") == "2\n"
    assert job.prominence("exec", "job", str(job.id), "pwd").stdout == "/home/user/below\n"


def test_beside_the_container(job: RunningJob) -> None:
    """The node's own programs, among the job's files."""
    said = job.exec("--host", "--", "sh", "-c", "cat below/file; pwd; command -v apptainer")
    lines = said.splitlines()
    assert lines[0] == "shared"
    assert lines[1].endswith("/work")
    assert lines[2].endswith("/apptainer")


def test_a_hundred_megabytes_each_way(job: RunningJob) -> None:
    line = (
        f"head -c {HUNDRED_MB} /dev/urandom > random; sha256sum < random;"
        f"prominence exec -i {job.id} sha256sum < random;"
        f"prominence exec -i {job.id} cat < random | sha256sum; rm random"
    )
    here, there, back = shell(job, line).split("-\n")[:3]
    assert here == there == back


def test_without_i_there_is_nothing_to_read(job: RunningJob) -> None:
    assert shell(job, f"echo not for it | prominence exec {job.id} wc -c") == "0\n"


def test_a_command_that_does_not_read(job: RunningJob) -> None:
    line = f"head -c 50000000 /dev/zero | prominence exec -i {job.id} echo done"
    assert shell(job, line) == "done\n"


def test_a_command_that_is_not_there(job: RunningJob) -> None:
    done = job.prominence("exec", str(job.id), "no-such-command", check=False)
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr == "prominence: no-such-command: No such file or directory\n"


def test_a_command_that_is_killed_there(job: RunningJob) -> None:
    done = job.prominence("exec", str(job.id), "--", "sh", "-c", "kill -9 $$", check=False)
    assert done.returncode == 128 + 9


def test_time_limit(job: RunningJob) -> None:
    start = time.monotonic()
    done = job.prominence(
        "exec", "--timeout", "1", str(job.id), "busybox", "sleep", "1111", check=False
    )
    assert done.returncode == 124
    assert "time is up" in done.stderr
    assert time.monotonic() - start < 20
    assert job.processes("sleep 1111") == []


def test_ctrl_c_ends_the_command(job: RunningJob) -> None:
    """SIGINT as a terminal would send it; the command's own code comes back."""
    line = f"timeout --preserve-status -s INT 4 prominence exec {job.id} busybox sleep 1112"
    done = run(job, line)
    assert done.returncode == 128 + 2
    assert done.stderr == ""
    assert job.processes("sleep 1112") == []


@pytest.mark.parametrize("signal", ["TERM", "HUP", "KILL"])
def test_a_killed_exec_leaves_nothing_behind(job: RunningJob, signal: str) -> None:
    """Neither the command there, nor a process or key file here; and the job goes on."""
    number = {"TERM": 1113, "HUP": 1114, "KILL": 1115}[signal]
    run(job, f"timeout -s {signal} 4 prominence exec {job.id} busybox sleep {number}")
    until(lambda: job.processes(f"sleep {number}") == [], 20)
    until(lambda: keys(job) == "", 20)
    assert job.prominence.describe(job.id)["status"] == "running"


def test_what_a_command_leaves_running_ends_with_it(job: RunningJob) -> None:
    assert job.exec("--", "sh", "-c", "busybox sleep 1116 & echo begun") == "begun\n"
    assert job.processes("sleep 1116") == []


@pytest.mark.parametrize("what", ["the way in", "what carries it"])
def test_cut_in_the_middle(job: RunningJob, what: str) -> None:
    """One sentence, no exit code of the command's, nothing left there; and the job goes on."""
    number = str(1_000_000 + secrets.randbelow(1_000_000))
    process = job.prominence.site.popen(
        ["prominence", "exec", str(job.id), "busybox", "sleep", number],
        cwd=job.prominence.folder,
        env=environment(job),
    )
    until(lambda: len(job.processes(f"sleep {number}")) >= 2)
    if what == "the way in" or job.prominence.backend == "local":  # which nothing carries
        kill(job, number, "echo $pid")
    elif job.way == "slurm-srun":
        cancel_step(job)
    else:
        kill(job, number, "ps -o ppid= -p $pid")
    _, stderr = process.communicate(timeout=90)
    assert process.returncode == 9, stderr
    assert b"was cut" in stderr
    until(lambda: job.processes(f"sleep {number}") == [], 20)
    assert job.prominence.describe(job.id)["status"] == "running"
    assert job.exec("echo", "well") == "well\n"


def kill(job: RunningJob, number: str, pick: str) -> None:
    """SIGKILL for the way in above the command of this number, or for what ``pick`` says of it."""
    script = (
        'for pid in $(pgrep -f -- "[-]-enter"); do '
        f'pgrep -P $pid -f "sleep {number}" > /dev/null && kill -KILL $({pick}); done; true'
    )
    for host in job.hosts:
        job.prominence.site.run(["bash", "-c", script], user="root", host=host)


def cancel_step(job: RunningJob) -> None:
    """The step that carries it, as an administrator would: the job itself is not meant."""
    script = 'scancel "$(squeue --steps -h -j "$1" -o %i | grep -v batch | tail -n 1)"'
    handle = job.prominence.describe(job.id)["execution"]["backendId"]
    job.prominence.site.run(["bash", "-ec", script, "sh", handle])


def shell(job: RunningJob, line: str) -> str:
    done = run(job, line)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run(job: RunningJob, line: str) -> subprocess.CompletedProcess[str]:
    """A line as the user would type it, on the login node."""
    prominence = job.prominence
    return prominence.site.run(
        ["bash", "-c", line], cwd=prominence.folder, env=environment(job), check=False
    )


def environment(job: RunningJob) -> dict[str, str]:
    prominence = job.prominence
    return {
        "PROMINENCE_HOME": f"{prominence.folder}/.prominence",
        "PROMINENCE_SITE": prominence.backend,
        **prominence.environment,
    }


def keys(job: RunningJob) -> str:
    """Folders of condor_ssh_to_job's sessions of this user that nobody uses."""
    script = (
        "for folder in /tmp/alice.condor_ssh_to_job_*; do [ -e $folder ] || continue; "
        'pgrep -f "$folder" > /dev/null || ls -d $folder; done'
    )
    return job.prominence.shell(script)
