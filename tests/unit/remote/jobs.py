"""What tests of the way into a job share: jobs that run, visits to them, processes that must not."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from prominence_hpc.adapter.remote.execute import Command, Controls, Ended, Streams, execute
from prominence_hpc.adapter.remote.visit import Visit, begin
from prominence_hpc.backends.command_shell import CommandShell
from prominence_hpc.wrappers import bundle
from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers.runtime.presence import VERSION, start_ticks
from tests.unit.wrappers.conftest import a_plan
from tests.unit.wrappers.runs import Runs, until

HELLO_SECONDS = 30.0
COMMAND_SECONDS = 30.0  # of a command that a test does not limit: a test that hangs tells less
_numbers = count()


def shell_of(folder: Path, *prefix: str) -> CommandShell:
    """A shell on "the node", which is here."""
    return CommandShell("here", str(folder), prefix, dict(os.environ))


def visit(folder: Path) -> Visit:
    return begin(shell_of(folder), HELLO_SECONDS)


@dataclass(frozen=True)
class Result:
    """What came of a command."""

    stdout: bytes
    stderr: bytes
    ended: Ended

    @property
    def code(self) -> int:
        return self.ended.exit_code

    @property
    def ended_by(self) -> str:
        return self.ended.ended_by


def run(
    folder: Path,
    *argv: str,
    stdin: bytes | int | None = None,
    on_output: Callable[[bytes], None] | None = None,
    controls: Controls | None = None,
    **options: Any,
) -> Result:
    """Run a command in the job whose plan lies in ``folder``, to its end.

    ``on_output`` is told all of its standard output so far, whenever there is more.
    """
    stdout, stderr = bytearray(), bytearray()

    def take(data: bytes) -> None:
        stdout.extend(data)
        if on_output is not None:
            on_output(bytes(stdout))

    with tempfile.TemporaryFile() as file, visit(folder) as found:
        if isinstance(stdin, bytes):
            file.write(stdin)
            file.seek(0)
        descriptor = file.fileno() if isinstance(stdin, bytes) else stdin
        streams = Streams(stdin=descriptor, stdout=take, stderr=stderr.extend)
        command = Command(argv=argv, **{"timeout_seconds": COMMAND_SECONDS, **options})
        ended = execute(found, command, streams, controls or Controls())
    return Result(bytes(stdout), bytes(stderr), ended)


@contextmanager
def running(runs: Runs, *tasks: plans.Task, **fields: Any) -> Iterator[Path]:
    """A job that runs; ended at the end. Gives the folder of its plan."""
    folder = runs.job
    with runs.start(*tasks, **fields) as process:
        try:
            until(lambda: (folder / "enter").exists())
            yield folder
        finally:
            process.terminate()
            runs.finish(process)


def as_if_begun_long_ago(folder: Path) -> None:
    """Or the first seconds would pass with a look for the container, of which there is none here."""
    place = folder / "running.json"
    until(lambda: json.loads(place.read_text())["task"])  # a task may be faster than word of it
    document = json.loads(place.read_text())
    document["task"]["start"] -= 100
    (folder / "running.json").write_text(json.dumps(document))


def work_of(folder: Path) -> Path:
    """The working directory of a running job."""
    document = json.loads((folder / "running.json").read_text())
    return Path(document["scratch"], "work")


@dataclass
class Place:
    """What a wrapper leaves in a job's folder, without one: a process of ours is taken for it."""

    root: Path
    wrapper: int = field(default_factory=os.getpid)

    def __post_init__(self) -> None:
        self.folder = self.root / "place"
        self.work = self.root / "scratch/work"
        self.folder.mkdir()
        self.work.mkdir(parents=True)
        runner = bundle.install_runner(self.root)
        plan = self.folder / "plan.json"
        script = f"#!/bin/sh\nexec {sys.executable} -IS {runner} --enter {plan}\n"
        (self.folder / "enter").write_text(script)
        self.write_plan()
        self.write_running()

    def write_plan(self, **fields: Any) -> None:
        (self.folder / "plan.json").write_text(plans.render(a_plan(**fields)))

    def write_running(self, **changes: Any) -> None:
        document = {
            "version": VERSION,
            "host": os.uname().nodename,
            "pid": self.wrapper,
            "ticks": start_ticks(self.wrapper),
            "scratch": str(self.root / "scratch"),
            "streams": {"stdout": None, "stderr": None},
            "task": None,
        }
        (self.folder / "running.json").write_text(json.dumps({**document, **changes}))

    def write_phase(self, phase: str) -> None:
        (self.folder / "report.json").write_text(json.dumps({"phase": phase}))


def marker() -> str:
    """A duration for sleep(1) that no other process has, to find the process again."""
    return f"{os.getpid() + 1000}.{next(_numbers):05d}"


def is_running(words: str) -> bool:
    """Whether a process has these words, separated by blanks, in its command line."""
    wanted = words.replace(" ", "\0").encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if wanted in path.read_bytes():
                return True
        except OSError:
            continue
    return False


def is_gone(words: str, seconds: float = 5.0) -> bool:
    """Whether no such process is left, in a moment."""
    end = time.monotonic() + seconds
    while is_running(words):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def sleeping() -> Iterator["subprocess.Popen[bytes]"]:
    """A process to stand for another."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        try:
            yield process
        finally:
            process.kill()


def python(text: str) -> Sequence[str]:
    return (sys.executable, "-ISc", text)
