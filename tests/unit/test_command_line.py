"""What is printed, and what is told to scripts."""

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from prominence_hpc.cli.list import row, shortened, shown_image
from prominence_hpc.cli.main import cli, main
from prominence_hpc.cli.output import elapsed, print_columns
from tests.unit.test_describe import RECORD


def run(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """The command with a state folder of its own and no configuration."""
    return subprocess.run(
        [sys.executable, "-m", "prominence_hpc.cli.main", *arguments],
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "PROMINENCE_SITE": "local",
            "PROMINENCE_STORAGE_TYPE": "folder",
        },
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, ""), (0, "0+00:00:00"), (3661.9, "0+01:01:01"), (2 * 86400 + 59, "2+00:00:59")],
)
def test_elapsed(seconds: float | None, expected: str) -> None:
    assert elapsed(seconds) == expected


def test_row_of_a_list() -> None:
    assert row(RECORD, now=0) == (
        "12", "test", "1970-01-01 00:00:00", "completed", "0+01:00:01", "i.sif", "true",
    )  # fmt: skip


def test_long_commands_and_urls_are_cut() -> None:
    assert shortened("x" * 100) == "x" * 100
    assert shortened("x" * 101) == "x" * 100 + "..."
    assert shown_image("https://host/path/image.sif?X-Amz-Signature=secret") == "image.sif"
    assert shown_image("host/path:tag") == "host/path:tag"


def test_one_job_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_columns(("ID", "CMD"), [("1", "echo 'two\nlines' \x1b[31m")])
    assert capsys.readouterr().out == "ID   CMD\n1    echo 'two\\nlines' \\x1b[31m\n"


def test_an_empty_list_shows_the_header(tmp_path: Path) -> None:
    done = run("list", home=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["ID", "NAME", "CREATED", "STATUS", "ELAPSED", "IMAGE", "CMD"]


def test_errors_are_one_line_on_standard_error(tmp_path: Path) -> None:
    done = run("describe", "7", home=tmp_path)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == "prominence: There is no job 7.\n"


def test_ids_that_no_job_can_have(tmp_path: Path) -> None:
    for text in ("0", "99999999999999999999"):
        done = run("describe", text, home=tmp_path)
        assert (done.returncode, done.stderr) == (4, f"prominence: There is no job {text}.\n")


def test_a_workflow_that_there_is_not(tmp_path: Path) -> None:
    for command in ("delete", "remove", "download", "clone", "rerun", "stdout"):
        done = run(command, "workflow", "1", home=tmp_path)
        assert (done.returncode, done.stderr) == (4, "prominence: There is no workflow 1.\n")
    for arguments in (("rerun", "1"), ("stdout", "1", "a")):  # what can only be a workflow's
        done = run(*arguments, home=tmp_path)
        assert (done.returncode, done.stderr) == (4, "prominence: There is no workflow 1.\n")


def test_a_command_about_one_job_takes_no_workflow(tmp_path: Path) -> None:
    for arguments in (("logs", "workflow", "1"), ("snapshot", "workflow", "1", "x")):
        done = run(*arguments, home=tmp_path)
        assert done.returncode == 2
        assert "is about one job; name a job of the workflow" in done.stderr


def test_a_site_that_there_is_not(tmp_path: Path) -> None:
    done = run("list", "--site", "mars", home=tmp_path)
    assert done.returncode == 3
    assert "mars" in done.stderr


def test_debug_shows_a_traceback(tmp_path: Path) -> None:
    done = run("describe", "--debug", "7", home=tmp_path)
    assert "Traceback" in done.stderr
    assert done.returncode != 0


def test_register_and_login_explain(tmp_path: Path) -> None:
    for command in ("register", "login"):
        done = run(command, home=tmp_path)
        assert done.returncode == 0
        assert "Nothing to do" in done.stdout


def test_job_before_an_id_is_the_same(tmp_path: Path) -> None:
    assert run("describe", "job", "7", home=tmp_path).stderr == "prominence: There is no job 7.\n"


def test_every_command_has_help() -> None:
    for name in cli.list_commands(None):  # type: ignore[arg-type]  # the names need no context
        done = CliRunner().invoke(cli, [name, "--help"])
        assert done.exit_code == 0, done.output
        assert "Usage: " in done.output


def test_wrong_usage_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["create"])
    assert ended.value.code == 2
    assert "Missing argument 'IMAGE'" in capsys.readouterr().err


def test_config_shows_where_values_come_from(tmp_path: Path) -> None:
    done = run("config", home=tmp_path)
    lines = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert lines["default_site"] == ["local", "environment", "PROMINENCE_SITE"]
    assert lines["storage.type"] == ["folder", "environment", "PROMINENCE_STORAGE_TYPE"]
    assert lines["sites.local.staging_minutes"] == ["10.0", "default"]


def test_config_says_which_transport_a_slurm_site_has(tmp_path: Path) -> None:
    (tmp_path / "pyslurm.py").write_text("raise ImportError('no library')")
    file = tmp_path / ".config/prominence/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("[sites.local]\n[sites.slurm]\n")
    done = run("config", home=tmp_path)
    expected = "speaks to Slurm by commands: pyslurm cannot be imported: no library."
    assert done.stdout.splitlines()[-1] == f"Site slurm {expected}"
    document = json.loads(run("config", "--json", home=tmp_path).stdout)
    assert document["sites.slurm.slurm_transport"]["inUse"] == "commands"
    assert "inUse" not in document["sites.local.slurm_transport"]


def test_a_job_on_this_machine_from_upload_to_download(tmp_path: Path) -> None:
    """The local backend and folder storage, with a stand-in for the container runtime."""
    tools = tmp_path / "bin"
    tools.mkdir()
    assert run("upload", "--name", "i.sif", "--filename", "absent", home=tmp_path).returncode == 4
    (tmp_path / "i.sif").write_bytes(b"an image")
    assert run("upload", "--name", "i.sif", "--filename", "i.sif", home=tmp_path).stdout == (
        "Success\n"
    )
    assert run("ls", home=tmp_path).stdout == "i.sif\n"
    created = run("create", "--label", "a=b", "--output", "x", "i.sif", "true", home=tmp_path)
    assert created.stdout == "Job created with id 1\n", created.stderr
    waited = run("wait", "--timeout", "50", "1", home=tmp_path)
    # No apptainer on this PATH: the job fails, and everybody is told why.
    assert waited.returncode == 10, waited.stdout + waited.stderr
    assert waited.stdout.startswith("Job 1 failed: ")
    assert run("list", "--completed", "--constraint", "a=b", home=tmp_path).stdout.count("\n") == 2
    assert run("list", "--completed", "--constraint", "a=c", home=tmp_path).stdout.count("\n") == 1
    refused = run("download", "1", home=tmp_path)
    assert refused.returncode == 4
    assert "has stored no output" in refused.stderr
    assert run("rm", "i.sif", home=tmp_path).stdout == "Success\n"


def test_progress_is_shown_on_a_terminal_only(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x" * 3_000_000)
    upload = ("upload", "--name", "data", "--filename", "data")
    assert run(*upload, home=tmp_path).stdout == "Success\n"
    shown = on_terminal(*upload, home=tmp_path)
    assert "Uploading data" in shown
    assert "MB" in shown
    assert shown.rstrip().endswith("Success")


def on_terminal(*arguments: str, home: Path) -> str:
    """What the command shows on a terminal of 100 columns."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "prominence_hpc.cli.main", *arguments],
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "TERM": "xterm",
            "COLUMNS": "100",
            "PROMINENCE_SITE": "local",
            "PROMINENCE_STORAGE_TYPE": "folder",
        },
        cwd=home,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    with suppress(OSError):  # EIO: the other side is closed
        while block := os.read(controller, 65536):
            shown += block
    os.close(controller)
    assert process.wait(timeout=30) == 0
    return shown.decode()


def test_closed_streams_change_no_exit_code(tmp_path: Path) -> None:
    """As in a cron job, or behind a daemon."""
    program = "from prominence_hpc.cli.main import entry; entry()"
    for line, code in (('"$@" --version >&-', 0), ('"$@" describe 7 >&- 2>&-', 4)):
        done = subprocess.run(
            ["sh", "-c", line, "sh", sys.executable, "-c", program],
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PROMINENCE_SITE": "local"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (code, "")
