import logging
import os
import time
from pathlib import Path

import pytest

from prominence_hpc.backends.run_command import (
    find_program,
    first_line,
    run_command,
    run_until_said,
)
from prominence_hpc.errors import BackendError, BackendUnavailable
from tests.unit.backends.helpers import FakePrograms


def test_arguments_arrive_as_they_are(programs: FakePrograms) -> None:
    programs.add("tool", stdout="out\n", stderr="err\n", returncode=3)
    words = ["-n", "a b", "$(id)", "`id`", "new\nline", "é😀", "", "\\", "%j", "'\""]
    ended = run_command(["tool", *words], timeout_seconds=10, environment={"ONLY": "this"})
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "out\n", "err\n")
    (call,) = programs.calls()
    assert call["argv"] == ["tool", *words]
    assert call["environment"].pop("ONLY") == "this"
    assert call["environment"].keys() <= {"LC_CTYPE"}  # Python's own
    assert call["umask"] == 0o077


def test_a_program_reads_what_it_is_given_and_nothing_else() -> None:
    assert run_command(["cat"], timeout_seconds=10, text="é\n" * 50_000).stdout == "é\n" * 50_000
    assert run_command(["cat"], timeout_seconds=10).stdout == ""


def test_a_program_that_is_not_there_is_named(programs: FakePrograms) -> None:
    assert find_program("tool") is None
    with pytest.raises(BackendError, match="tool is not installed here, or not on PATH") as raised:
        run_command(["tool"], timeout_seconds=10)
    assert not isinstance(raised.value, BackendUnavailable)
    assert programs.calls() == []


def test_a_program_that_cannot_be_run(tmp_path: Path) -> None:
    program = tmp_path / "tool"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    with pytest.raises(BackendError, match="cannot be run: No such file"):
        run_command([str(program)], timeout_seconds=10)


def test_a_program_that_takes_too_long_is_killed(programs: FakePrograms) -> None:
    programs.add("sbatch", seconds=60)
    with pytest.raises(BackendUnavailable, match=r"sbatch did not answer within 0\.3 seconds"):
        run_command(["sbatch"], timeout_seconds=0.3)


def test_output_that_is_no_text_is_kept(programs: FakePrograms) -> None:
    program = programs.folder / "tool"
    program.write_text("#!/bin/sh\nprintf '\\377\\n'\n")
    program.chmod(0o755)
    ended = run_command(["tool"], timeout_seconds=10)
    assert ended.stdout.encode("utf-8", "surrogateescape") == b"\xff\n"


def test_command_lines_are_logged(programs: FakePrograms, caplog: pytest.LogCaptureFixture) -> None:
    programs.add("tool")
    with caplog.at_level(logging.DEBUG, logger="prominence_hpc"):
        run_command(["tool", "a b"], timeout_seconds=10)
    assert "run ['tool', 'a b']" in caplog.messages


def test_nothing_is_asked_of_the_terminal(programs: FakePrograms) -> None:
    program = programs.folder / "tool"
    program.write_text("#!/bin/sh\ncat; echo end\n")
    program.chmod(0o755)
    assert run_command(["tool"], timeout_seconds=10).stdout == "end\n"


def test_first_line() -> None:
    assert first_line("\n  \n a line \nanother") == "a line"
    assert first_line("") == ""


def test_a_folder_on_path_is_no_program(programs: FakePrograms) -> None:
    (programs.folder / "tool").mkdir()
    assert find_program("tool") is None
    assert find_program("sh") == f"{os.sep}usr/bin/sh"


WRAPPED = """\
#!/bin/sh
echo out
sh -c 'echo $$ > {folder}/child; echo "error: Queue FULL, retrying" >&2; exec sleep 60'
echo submitted
"""


def is_there(number: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_a_program_is_stopped_with_all_that_it_started(programs: FakePrograms) -> None:
    """A site's own sbatch may be a script that runs Slurm's."""
    program = programs.folder / "tool"
    program.write_text(WRAPPED.format(folder=programs.folder))
    program.chmod(0o755)
    ended = run_until_said(["tool"], ["queue full"], timeout_seconds=30)
    assert (ended.returncode, ended.stdout) == (-9, "out\n")
    assert "Queue FULL" in ended.stderr
    child = int((programs.folder / "child").read_text())
    deadline = time.monotonic() + 10
    while is_there(child):
        assert time.monotonic() < deadline


def test_a_program_that_says_nothing_of_it_runs_to_its_end(programs: FakePrograms) -> None:
    programs.add("tool", stdout="12\n" + "x" * 200_000, stderr="note\n", returncode=3)
    ended = run_until_said(["tool"], ["queue full"], timeout_seconds=30)
    assert (ended.returncode, len(ended.stdout), ended.stderr) == (3, 200_003, "note\n")
    programs.add("slow", seconds=60)
    with pytest.raises(BackendUnavailable, match=r"slow did not answer within 0\.3 seconds"):
        run_until_said(["slow"], ["queue full"], timeout_seconds=0.3)
