"""An e-mail at a job's end: by each scheduler and by a command of the site, to whom and about what."""

import json
import time
from email import message_from_string
from email.policy import default
from typing import Any

import pytest

from tests.engine.backend_client import RemoteBackend
from tests.engine.prominence import SCHEDULERS, Prominence, backend_and_transport
from tests.site.handle import Site

# What a description may call a job, and what a backend may be told that it is called.
NAME = "-t -s of it ./all"
HOSTILE = '-s $(touch {0}) `touch {0}` "it\'s" %j ~!x\nBcc: mallory@site.test\n\n.\né😀'
# A job that fails twice: the mail is of its last end.
RETRIED = {"maximumRetries": 1}
NOTIFIED = [{"event": "jobFinished", "type": "email"}]
HOSTS = ("login", "node1", "node2", "exec1", "exec2")
WAIT_SECONDS = 30
QUIET_SECONDS = 3  # for a mail that should not come
READ = "cat /dev/null /var/spool/site-mail/* 2> /dev/null; true"
SENDMAIL = 'mail = "command"\nmail_command = ["/opt/site/mail", "-t"]'
MAILX = 'mail = "command"\nmail_command = ["/opt/site/mail", "-s", "{subject}", "{address}"]'


def mails(site: Site, address: str) -> list[dict[str, Any]]:
    """Whatever was sent to an address, from whichever host."""
    found = []
    for host in HOSTS:
        text = site.run(["sh", "-c", READ], user="root", host=host).stdout.strip()
        documents = [json.loads(part) for part in text.replace("}{", "}\0{").split("\0") if part]
        found += [document for document in documents if address in json.dumps(document)]
    return found


def only_mail(site: Site, address: str) -> dict[str, Any]:
    """The one mail to an address, once it is there, and no other behind it."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not mails(site, address):
        assert time.monotonic() < deadline, "no mail"
        time.sleep(0.5)
    time.sleep(QUIET_SECONDS)
    (mail,) = mails(site, address)
    return mail


def configure(prominence: Prominence, mail: str) -> str:
    """Let the site send mail as the lines say; returns an address that is this test's alone."""
    address = f"{prominence.engine}.{time.monotonic_ns()}@site.test"
    text = f'email = "{address}"\n[sites.{prominence.backend}]\n{mail}\n'
    prominence.write("config.toml", text)
    prominence.environment = {"PROMINENCE_CONFIG": f"{prominence.folder}/config.toml"}
    return address


def submit(prominence: Prominence, image: str, cmd: str, **keys: Any) -> int:
    document = {
        "tasks": [{"image": image, "cmd": cmd}],
        "resources": {"memory": 0.2, "disk": 0.1, "walltime": 5},
        **keys,
    }
    prominence.write("job.json", json.dumps(document))
    return prominence.created(prominence("run", "job.json"))


@pytest.mark.honours("notifications")
def test_a_command_of_the_site_sends_it(prominence: Prominence, image: str) -> None:
    """One mail, to the user, that says what became of the job."""
    address = configure(prominence, SENDMAIL)
    job_id = submit(
        prominence,
        image,
        "sh -c 'exit 3'",
        name=NAME,
        notifications=NOTIFIED,
        policies=RETRIED,
    )
    described = prominence.ended(job_id)
    assert described["execution"]["retries"] == 1
    mail = only_mail(prominence.site, address)
    message = message_from_string(mail["message"], policy=default)
    assert mail["arguments"] == ["-t"]
    assert message["To"] == address
    assert message["Subject"] == f"PROMINENCE job {job_id} ({NAME}): {described['status']}"
    text = message.get_content()
    assert f"Status:   {described['status']}" in text
    assert "exit code 3" in text
    assert f"prominence describe {job_id}" in text


@pytest.mark.honours("notifications")
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_scheduler_sends_it(site: Site, folder: str, image: str, scheduler: str) -> None:
    """Of a job that fails, too; none where nobody asked for one."""
    backend, transport = backend_and_transport(scheduler)
    prominence = Prominence(site, folder, backend=backend, transport=transport)
    address = configure(prominence, 'mail = "scheduler"')
    quiet = submit(prominence, image, "true", name="quiet")
    job_id = submit(prominence, image, "false", name=NAME, notifications=NOTIFIED, policies=RETRIED)
    prominence.ended(quiet)
    execution = prominence.ended(job_id)["execution"]
    assert execution["retries"] == 1
    handle = execution["backendId"]
    mail = only_mail(site, address)
    assert address in mail["arguments"]
    told = " ".join(mail["arguments"]) + mail["message"]
    assert handle.partition(".")[0] in told
    assert NAME in told


def test_a_sweep_on_slurm_is_one_mail(site: Site, folder: str) -> None:
    """At the end of its last copy, not of each."""
    backend = RemoteBackend(site, "slurm", folder)
    address = f"sweep.{time.monotonic_ns()}@site.test"
    copies = {"first": 1, "count": 4}
    job = backend.submit("pass", copies=copies, mails=True, mail_address=address)
    mail = only_mail(site, address)
    assert job.handle in " ".join(mail["arguments"]) + mail["message"]
    states = backend.call("poll", backend.copies(job, 4))
    assert {state["condition"] for state in states.values()} == {"ended"}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_hostile_name_is_only_a_name(site: Site, folder: str, scheduler: str) -> None:
    name, transport = backend_and_transport(scheduler)
    backend = RemoteBackend(site, name, folder, transport=transport)
    address = f"{scheduler}.{time.monotonic_ns()}@site.test"
    hostile = HOSTILE.format(f"{folder}/executed")
    job = backend.submit("pass", name=hostile, mails=True, mail_address=address)
    backend.wait(job)
    mail = only_mail(site, address)
    assert mail["arguments"][::2] == ["-s", address]
    assert "\nBcc:" not in mail["message"]
    assert "executed" not in site.run(["ls", folder]).stdout.splitlines()


def test_the_subject_may_be_an_argument(site: Site, folder: str, image: str) -> None:
    """And a job that is deleted while it runs tells of its end as well."""
    prominence = Prominence(site, folder, backend="local")
    address = configure(prominence, MAILX)
    job_id = submit(prominence, image, "sleep 60", name=NAME, notifications=NOTIFIED)
    prominence.shell(
        f'for i in $(seq 100); do grep -q \'"phase": "tasks"\' .prominence/jobs/*/{job_id}/report.json'
        " && break; sleep 0.2; done"
    )
    prominence("delete", str(job_id))
    mail = only_mail(site, address)
    subject = f"PROMINENCE job {job_id} ({NAME}): killed"
    assert mail["arguments"] == ["-s", subject, address]
    assert mail["message"].startswith(f"Job {job_id}, {NAME}, has finished.\n")


def test_a_mail_command_that_fails_fails_no_job(site: Site, folder: str, image: str) -> None:
    prominence = Prominence(site, folder, backend="local")
    configure(
        prominence, 'mail = "command"\nmail_command = ["sh", "-c", "echo no route >&2; exit 4"]'
    )
    job_id = submit(prominence, image, "true", notifications=NOTIFIED)
    assert prominence.ended(job_id)["status"] == "completed"
    log = prominence.shell(f"cat .prominence/jobs/*/{job_id}/wrapper.log")
    assert "e-mail: sh ended with 4: no route" in log


@pytest.mark.refuses("notifications")
def test_a_site_without_mail_refuses(prominence: Prominence, image: str) -> None:
    document = {
        "tasks": [{"image": image}],
        "resources": {"memory": 1},
        "notifications": NOTIFIED,
    }
    prominence.write("job.json", json.dumps(document))
    done = prominence("run", "job.json", check=False)
    assert done.returncode == 2
    assert "notifications: this site sends no e-mails" in done.stderr
    assert json.loads(prominence("list", "--all", "--json").stdout) == []
