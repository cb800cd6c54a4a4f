"""The tutorial: upload, create, wait, look, download. What `make demo` and its readers type."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.demo.terminal import StepFailed, Terminal

ARTIFACT: Final = "lj-benchmark.tgz"
LOG: Final = "log.lammps"
# A task is one command without a shell around it; `&&` takes one.
COMMAND: Final = f"sh -c 'lmp -in lj/in.lj > /dev/null && python3 summarise.py {LOG}'"


@dataclass(frozen=True)
class Run:
    """One run of the tutorial's job: `site` is a site of the configuration."""

    title: str
    site: str
    image: str  # lammps.sif or lammps.tar


def play(terminal: Terminal, runs: Sequence[Run]) -> None:
    """Everything, in a folder that holds the images, lj/ and summarise.py. Raises StepFailed."""
    terminal.type("prominence", "--version")
    _upload(terminal, sorted({run.image for run in runs}))
    for number, run in enumerate(runs):
        terminal.say(run.title)
        job = _create(terminal, run)
        _follow(terminal, job)
        if number == 0:
            terminal.type("prominence", "describe", job)
        _fetch(terminal, job)


def _upload(terminal: Terminal, images: Sequence[str]) -> None:
    terminal.say("The private image and the input data go to object storage, once.")
    terminal.type("tar", "-czf", ARTIFACT, "lj")
    terminal.type("ls", "-l")
    for name in (*images, ARTIFACT):
        terminal.type("prominence", "upload", "--name", name, "--filename", name)
    terminal.type("prominence", "ls", "-l")


def _create(terminal: Terminal, run: Run) -> str:
    """The id of the new job."""
    said = terminal.type(
        "prominence",
        "create",
        *("--site", run.site, "--name", "lj-melt", "--walltime", "10"),
        *("--artifact", ARTIFACT, "--input", "summarise.py"),
        *("--output", LOG, "--outputdir", "dumps"),
        run.image,
        COMMAND,
    )
    created = re.search(r"Job created with id (\d+)", said)
    if not created:
        message = "`prominence create` did not print the id of a job"
        raise StepFailed(message)
    return created[1]


def _follow(terminal: Terminal, job: str) -> None:
    """Until the job has ended well; one that has not is explained before StepFailed is raised."""
    terminal.type("prominence", "list")
    try:
        terminal.type("prominence", "wait", job)
    except StepFailed:
        terminal.say("The job did not end well. What is known of it:")
        for command in ("describe", "stdout", "stderr"):
            terminal.type("prominence", command, job)
        raise
    terminal.type("prominence", "list", "--completed", "--last", "1")
    terminal.type("prominence", "stdout", job)


def _fetch(terminal: Terminal, job: str) -> None:
    """The job's output in a folder that has its id as name, and what the log says."""
    terminal.type("prominence", "download", "--dir", job)
    terminal.type("ls", "-l", job)
    terminal.type("tar", "-tzf", f"{job}/dumps.tgz")
    terminal.type("python3", "summarise.py", f"{job}/{LOG}")
