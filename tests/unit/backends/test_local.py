"""The local backend with real processes: it is its own engine."""

import json
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from prominence_hpc.backends.base import Cause, Condition, SchedulerState, Submission
from prominence_hpc.backends.local import LocalBackend
from prominence_hpc.backends.local.record import Record, is_alive, read_record, state_of
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import BackendError
from tests.unit.backends.helpers import submission

WAIT_SECONDS = 20.0
WAITS = "import time; print('begun', flush=True); time.sleep(60)"

Submit = Callable[..., str]


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(SiteSettings(name="here", backend="local", slots=2), tmp_path / "state")


@pytest.fixture
def submit(
    backend: LocalBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Submit]:
    """Submits a job that runs a Python text in place of the wrapper; ends all at the end."""
    handles: list[str] = []
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # where python3 is no slow shim

    def make(code: str, **fields: object) -> str:
        job = job_of(tmp_path, len(handles) + 1, code, **fields)
        handles.append(backend.submit(job))
        return handles[-1]

    yield make
    backend.cancel(handles)
    for handle in handles:
        wait(backend, handle)


def job_of(tmp_path: Path, number: int, code: str, **fields: object) -> Submission:
    folder = tmp_path / f"job {number} $(id) 'x' é"
    folder.mkdir()
    (folder / "plan.json").write_text("{}")
    runner = folder / "runner.pyz"
    runner.write_text(code)
    values = {"tag": f"{number:032x}", "runner": runner, "limit_seconds": 60, **fields}
    return submission(folder, **values)


def wait(
    backend: LocalBackend, handle: str, condition: Condition = Condition.ENDED
) -> SchedulerState:
    deadline = time.monotonic() + WAIT_SECONDS
    while (state := backend.poll([handle])[handle]).condition is not condition:
        assert state.condition is not Condition.ENDED, state
        assert time.monotonic() < deadline, state
        time.sleep(0.01)
    return state


def wait_for(path: Path, text: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not path.exists() or text not in path.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def folder_of(backend: LocalBackend, handle: str) -> Path:
    record = backend._record_path(handle)
    return Path(json.loads(record.read_text())["folder"])


def test_a_job_runs(backend: LocalBackend, submit: Submit) -> None:
    before = time.time()
    handle = submit("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    state = wait(backend, handle)
    assert (state.cause, state.exit_code, state.nodes) == (
        Cause.EXITED,
        3,
        (os.uname().nodename,),
    )
    assert state.start_time is not None
    assert state.end_time is not None
    assert before <= state.start_time <= state.end_time <= time.time()
    folder = folder_of(backend, handle)
    assert b"".join(backend.output(handle, folder, "stdout")) == b"out\n"
    assert b"".join(backend.output(handle, folder, "stderr")) == b"err\n"
    assert {path.stat().st_mode & 0o077 for path in folder.glob("std*")} == {0}


def test_a_job_of_the_same_tag_runs_once(
    backend: LocalBackend, submit: Submit, tmp_path: Path
) -> None:
    """As after a submission whose answer was lost."""
    job = job_of(tmp_path, 9, "open('runs', 'a').write('x')")
    assert backend.submit(job) == backend.submit(job) == job.tag
    wait(backend, job.tag)
    backend.submit(job)
    assert submit("pass") != job.tag
    assert backend.poll([job.tag])[job.tag].condition is Condition.ENDED
    assert (job.folder / "runs").read_text() == "x"


def test_no_more_at_once_than_there_are_slots(backend: LocalBackend, submit: Submit) -> None:
    first, second, third, fourth = (submit(WAITS) for _ in range(4))
    wait(backend, first, Condition.RUNNING)
    wait(backend, second, Condition.RUNNING)
    time.sleep(0.3)  # three looks of the first in line
    for handle in (third, fourth):
        state = backend.poll([handle])[handle]
        assert (state.condition, state.start_time) == (Condition.QUEUED, None)
        assert not (folder_of(backend, handle) / "stdout").exists()
    backend.cancel([first])
    wait(backend, third, Condition.RUNNING)  # first come, first served
    assert backend.poll([fourth])[fourth].condition is Condition.QUEUED


def test_cancelling_a_job_that_waits(backend: LocalBackend, submit: Submit) -> None:
    submit(WAITS)
    submit(WAITS)
    waiting = submit(WAITS)
    backend.cancel([waiting])
    state = wait(backend, waiting)
    assert (state.cause, state.start_time, state.nodes) == (Cause.CANCELLED, None, ())


def test_cancelling_asks_first(backend: LocalBackend, submit: Submit) -> None:
    code = "import signal, sys\nsignal.signal(15, lambda *_: (print('told'), sys.exit()))\n"
    handle = submit(code + WAITS)
    stdout = folder_of(backend, handle) / "stdout"
    wait_for(stdout, "begun")
    backend.cancel([handle])
    assert wait(backend, handle).cause is Cause.CANCELLED
    assert stdout.read_text() == "begun\ntold\n"
    backend.cancel([handle])  # is over: no error


def test_what_does_not_listen_is_killed(
    backend: LocalBackend, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prominence_hpc.backends.local.backend._GRACE_SECONDS", 0.2)
    handle = submit(f"import signal; signal.signal(15, signal.SIG_IGN)\n{WAITS}")
    wait_for(folder_of(backend, handle) / "stdout", "begun")
    backend.cancel([handle])
    assert wait(backend, handle).cause is Cause.CANCELLED


def test_the_limit(backend: LocalBackend, submit: Submit) -> None:
    state = wait(backend, submit(WAITS, limit_seconds=1))
    assert (state.cause, state.exit_code) == (Cause.WALLTIME, None)


def test_what_a_job_leaves_running_ends_with_it(backend: LocalBackend, submit: Submit) -> None:
    code = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid)"
    handle = submit(code)
    wait(backend, handle)
    left = int((folder_of(backend, handle) / "stdout").read_text())
    deadline = time.monotonic() + WAIT_SECONDS
    while Path(f"/proc/{left}").exists() and " Z " not in Path(f"/proc/{left}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_signals(backend: LocalBackend, submit: Submit) -> None:
    state = wait(backend, submit("import os; os.kill(os.getpid(), 9)"))
    assert (state.cause, state.exit_code) == (Cause.SIGNALED, 137)


def test_the_environment_is_our_own(
    backend: LocalBackend, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    monkeypatch.setenv("HOME", "/home/someone")
    handle = submit("import json, os; print(json.dumps(dict(os.environ)))")
    wait(backend, handle)
    seen = json.loads((folder_of(backend, handle) / "stdout").read_text())
    assert "SECRET_TOKEN" not in seen
    assert (seen["HOME"], seen["LANG"], seen["PATH"]) == (
        pwd.getpwuid(os.geteuid()).pw_dir,
        "C.UTF-8",
        os.environ["PATH"],
    )


def test_signals_that_python_ignores_are_not_ignored_by_the_job(tmp_path: Path) -> None:
    site = SiteSettings(name="here", backend="local", prologue=("kill -PIPE $$",))
    backend = LocalBackend(site, tmp_path / "state")
    handle = backend.submit(job_of(tmp_path, 1, "pass"))
    state = wait(backend, handle)
    assert (state.cause, state.exit_code) == (Cause.SIGNALED, 128 + signal.SIGPIPE)


def test_find_and_jobs_that_nobody_knows(backend: LocalBackend, submit: Submit) -> None:
    handle = submit("pass")
    assert backend.find([handle, "f" * 32]) == {handle: handle}
    for unknown in ("f" * 32, "../../etc/passwd", "", "12"):
        assert backend.poll([unknown])[unknown].condition is Condition.ABSENT
        backend.cancel([unknown])
    assert backend.history([handle]) == {}


def test_a_launcher_that_was_killed(backend: LocalBackend, submit: Submit) -> None:
    handle = submit(WAITS)
    wait(backend, handle, Condition.RUNNING)
    record = read_record(backend._record_path(handle))
    assert record is not None
    child = int(Path(f"/proc/{record.pid}/task/{record.pid}/children").read_text())
    os.kill(record.pid, signal.SIGKILL)
    os.killpg(child, signal.SIGKILL)
    state = wait(backend, handle)
    assert (state.cause, state.raw) == (Cause.NODE_FAILURE, "gone")
    assert "was restarted" in state.reason


def own_record() -> Record:
    stat = Path("/proc/self/stat").read_text()
    return Record(
        state="running",
        pid=os.getpid(),
        ticks=int(stat.rpartition(")")[2].split()[19]),
        boot=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        host=os.uname().nodename,
        start_time=1.0,
        end_time=None,
        cause="none",
        exit_code=None,
    )


def test_a_process_is_known_by_more_than_its_number() -> None:
    record = own_record()
    assert is_alive(record)
    assert not is_alive(replace(record, ticks=record.ticks + 1))
    assert not is_alive(replace(record, boot="another"))
    assert not is_alive(replace(record, pid=2**22 + 1))


def test_a_job_of_another_machine_is_not_said_to_be_gone() -> None:
    state = state_of(replace(own_record(), host="elsewhere", pid=2**22 + 1), alive=False)
    assert (state.condition, state.reason) == (Condition.UNKNOWN, "runs on elsewhere; ask there")
    ended = replace(own_record(), host="elsewhere", state="ended", cause="exited", exit_code=0)
    assert state_of(ended, alive=False).condition is Condition.ENDED


def test_several_nodes_are_refused(backend: LocalBackend, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="nodes must be 1"):
        backend.submit(job_of(tmp_path, 1, "pass", nodes=2))


def test_a_folder_that_cannot_be_written_to(backend: LocalBackend, tmp_path: Path) -> None:
    job = job_of(tmp_path, 1, "pass")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "local").write_text("a file")
    with pytest.raises(BackendError, match="could not be started on this machine"):
        backend.submit(job)


def test_the_launcher_imports_little() -> None:
    """Every submission waits for it."""
    local = Path(sys.modules[LocalBackend.__module__].__file__ or "").parent
    code = (
        "import sys\n"
        f"sys.path.append({str(local)!r})\n"
        "import launcher.program\n"
        "slow = {'subprocess', 'logging', 'pathlib', 'typing', 'contextlib', 'prominence_hpc'}\n"
        "print(sorted(slow & sys.modules.keys()))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "[]\n"
