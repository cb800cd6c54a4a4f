"""The demo's typing: what is shown is what a shell would run, and a failure ends it."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.demo.terminal import StepFailed, Terminal, shown


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"))))
@example(["--name", "x" * 90, "--", ""])
@example(["~", "a=~/b"])
def test_a_shell_would_read_back_what_is_shown(argv: list[str]) -> None:
    """By a true shell: to shlex, a line that continues on the next one is a word with a newline."""
    text = f"printf '%s\\0' {shown(['prominence', *argv])}"
    said = subprocess.run(["bash", "-c", text], capture_output=True, check=True).stdout
    assert said.decode().split("\0")[:-1] == ["prominence", *argv]


def test_long_command_continues_before_its_options() -> None:
    argv = ["prominence", "create", "--name", "a" * 40, "--output", "b" * 40, "i.sif", "sh -c 'x'"]

    assert shown(argv).splitlines() == [
        "prominence create \\",
        f"    --name {'a' * 40} \\",
        f"    --output {'b' * 40} \\",
        "    i.sif \"sh -c 'x'\"",
    ]


def test_terminal_shows_and_returns_what_came_back(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = Terminal(folder=tmp_path).type("sh", "-c", "pwd; echo to stderr >&2")

    assert said == f"{tmp_path}\nto stderr\n"
    assert capfd.readouterr().out == f'\n$ sh -c "pwd; echo to stderr >&2"\n{said}'


def test_failed_command_is_named_with_its_exit_code() -> None:
    with pytest.raises(StepFailed, match="ended with exit code 7"):
        Terminal().type(sys.executable, "-c", "raise SystemExit(7)")
