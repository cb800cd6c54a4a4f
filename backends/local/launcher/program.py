"""From the ticket to a process of its own, which holds the submission's tag."""

from __future__ import annotations

import json
import os
import signal

from .journal import Journal, journal_of
from .launcher import WATCHED, Launcher

CLAIMED_BY_ANOTHER = 3


def main(ticket_path: str) -> int:
    """Take the submission over, in a child; returns in it, once all is over."""
    with open(ticket_path, "rb") as file:
        ticket = json.load(file)
    os.umask(0o077)
    reading, writing = os.pipe()
    if os.fork() > 0:
        os.close(writing)
        os._exit({b"1": 0, b"0": CLAIMED_BY_ANOTHER}.get(os.read(reading, 1), 1))
    os.close(reading)
    os.setsid()
    # What asks the jobs to end before it is waited for is heard then.
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    journal = journal_of(ticket)
    claimed = journal.claim()
    os.write(writing, b"1" if claimed else b"0")
    if claimed:
        _run(ticket, journal)
    return 0


def _run(ticket: dict[str, object], journal: Journal) -> None:
    _detach(str(ticket["folder"]))
    Launcher(ticket, journal).run()


def _detach(folder: str) -> None:
    """Nothing of the caller's stays open or in use: it may wait for our end of a pipe."""
    os.chdir(folder)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.close(null)
