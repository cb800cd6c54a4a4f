"""What can go wrong with the site.

SiteError                exit code 1: it did not come up; the tail of the log that tells why
└── UnsupportedMachine   exit code 3: this machine lacks what the site needs
"""

from pathlib import Path

TAIL_LINES = 25


class SiteError(Exception):
    exit_code = 1

    def __init__(self, sentence: str, log: str = "") -> None:
        super().__init__(sentence)
        self.log = log


class UnsupportedMachine(SiteError):
    exit_code = 3


def tail(text: str) -> str:
    return "\n".join(text.splitlines()[-TAIL_LINES:])


def tail_of(path: Path) -> str:
    return tail(path.read_text(errors="replace")) if path.exists() else ""
