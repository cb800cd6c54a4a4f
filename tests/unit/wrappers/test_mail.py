import json
import os
import pwd
import sys
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.wrappers.runtime import mail
from tests.unit.wrappers.runs import Runs, shell

KEEP = "import json, sys; json.dump([sys.argv[1:], sys.stdin.read()], open(sys.argv[1], 'w'))"


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def command(runs: Runs, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-c", KEEP, str(runs.folder / "mail"), *arguments)


def kept(runs: Runs) -> tuple[list[str], str]:
    arguments, message = json.loads((runs.folder / "mail").read_text())
    return arguments[1:], message


def test_a_whole_message(runs: Runs) -> None:
    runs.run(
        shell("exit 3"),
        name="a\r\nBcc: b@c\n\nx é",
        mail_command=command(runs),
        mail_address="me@site.test",
    )
    arguments, message = kept(runs)
    head, _, text = message.partition("\n\n")
    assert arguments == []
    assert head.splitlines()[0] == "To: me@site.test"
    assert not [line for line in head.splitlines() if line.startswith("Bcc")]
    assert "Task 0:   exit code 3" in text
    assert f"e-mail: handed to {sys.executable}" in runs.log()


def test_subject_and_address_as_arguments(runs: Runs) -> None:
    runs.run(
        shell("true"),
        name="{address} -x",
        mail_command=command(runs, "-s", "{subject}", "to={address}"),
        mail_address="me@site.test",
    )
    arguments, message = kept(runs)
    assert arguments == ["-s", "PROMINENCE job 7 ({address} -x): completed", "to=me@site.test"]
    assert message.startswith("Job 7, {address} -x, has finished.\n\nStatus:   completed\n")


def test_without_an_address_it_goes_to_the_login_name(runs: Runs) -> None:
    runs.run(shell("true"), mail_command=command(runs, "{address}"))
    assert kept(runs)[0] == [pwd.getpwuid(os.getuid()).pw_name]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("/nowhere/mail",), "/nowhere/mail cannot be run: No such file or directory"),
        (("sh", "-c", "echo a; echo b >&2; exit 4"), r"sh ended with 4: a\nb"),
        (("sh", "-c", "exec <&-"), "handed to sh"),  # reads nothing
    ],
)
def test_what_goes_wrong_changes_nothing_else(
    runs: Runs, words: tuple[str, ...], said: str
) -> None:
    report = runs.run(shell("true"), mail_command=words)
    assert (report["outcome"], runs.code) == ("completed", 0)
    assert f"e-mail: {said}" in runs.log()


def test_a_command_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "COMMAND_SECONDS", 0.2)
    said: list[str] = []
    plan: dict[str, Any] = {
        "job_id": 7, "name": "", "mail_command": ["sleep", "60"], "mail_address": "a@b",
    }  # fmt: skip
    report = {
        "outcome": "failed", "detail": "why", "host": "h", "start_time": 0, "end_time": None,
        "tasks": [],
    }  # fmt: skip
    mail.send_mail(plan, report, said.append)  # type: ignore[arg-type]
    assert said == ["e-mail: sleep did not end within 0 seconds"]
    assert "Reason:   why\n" in mail.text_of(plan, report)


def test_none_is_sent_where_none_was_asked_for(runs: Runs) -> None:
    runs.run(shell("true"))
    assert "e-mail" not in runs.log()
