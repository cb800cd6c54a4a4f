"""The e-mail at a job's end, by the site's own command."""

import os
import subprocess
import time

from .text import encode, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .log import Log

COMMAND_SECONDS = 10.0  # well within what a scheduler grants after its SIGTERM
_SAID = 300  # of what a command said, for the log


def send_mail(plan: "dict[str, Any]", report: "dict[str, Any]", log: "Log") -> None:
    """Tell of what ``report`` says; what goes wrong is said in the log and changes nothing else.

    ``{address}`` and ``{subject}`` in the command's arguments are filled in. Standard input is a
    whole message with its headers, or, where the subject is an argument, the text alone.
    """
    address = plan["mail_address"] or _login_name()
    subject = subject_of(plan, report)
    text = text_of(plan, report)
    command = plan["mail_command"]
    has_subject = any("{subject}" in argument for argument in command)
    message = text.encode("utf-8") if has_subject else message_of(address, subject, text)
    argv = [
        encode(argument.replace("{address}", address).replace("{subject}", subject))
        for argument in command
    ]
    log("e-mail: %s" % _handed_over(argv, message))


def subject_of(plan: "dict[str, Any]", report: "dict[str, Any]") -> str:
    """One line, whatever the job is called.

    >>> subject_of({"job_id": 7, "name": "a\\nBcc: b"}, {"outcome": "completed", "tasks": []})
    'PROMINENCE job 7 (a\\\\nBcc: b): completed'
    """
    name = " (%s)" % shown(plan["name"]) if plan["name"] else ""
    return "PROMINENCE job %d%s: %s" % (plan["job_id"], name, report["outcome"])


def text_of(plan: "dict[str, Any]", report: "dict[str, Any]") -> str:
    """What there is to say, in lines; ``prominence describe`` has it all."""
    name = ", %s," % shown(plan["name"]) if plan["name"] else ""
    lines = ["Job %d%s has finished." % (plan["job_id"], name), ""]
    lines.append("Status:   %s" % report["outcome"])
    if report["detail"]:
        lines.append("Reason:   %s" % shown(report["detail"]))
    lines.append("Host:     %s" % shown(report["host"]))
    lines.append("Started:  %s" % _time(report["start_time"]))
    lines.append("Finished: %s" % _time(report["end_time"]))
    lines += [
        "Task %d:   exit code %d" % (task["number"], task["exit_code"])
        for task in report["tasks"]
        if task["exit_code"] is not None
    ]
    lines += ["", "prominence describe %d" % plan["job_id"], ""]
    return "\n".join(lines)


def message_of(address: str, subject: str, text: str) -> bytes:
    """A message as sendmail(8) takes it: headers that cannot be added to, and UTF-8."""
    from email.message import EmailMessage
    from email.policy import SMTP

    message = EmailMessage(policy=SMTP.clone(linesep="\n"))
    message["To"] = address
    message["Subject"] = subject
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holidays are told of
    message.set_content(text)
    return message.as_bytes()


def _handed_over(argv: "list[bytes]", message: bytes) -> str:
    """Run the command, and say what came of it."""
    program = shown(argv[0])
    try:
        done = subprocess.run(
            argv,
            input=message,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "%s did not end within %d seconds" % (program, COMMAND_SECONDS)
    except OSError as error:
        return "%s cannot be run: %s" % (program, error.strerror)
    if done.returncode != 0:
        said = shown(done.stdout.strip()[:_SAID])
        return "%s ended with %d: %s" % (program, done.returncode, said)
    return "handed to %s" % program


def _time(seconds: "float | None") -> str:
    if seconds is None:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _login_name() -> str:
    """Whose job it is: mail within the site."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return os.environ.get("USER", "")
