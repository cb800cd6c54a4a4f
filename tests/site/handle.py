"""The site as a test sees it: run a command as a user on a host, read and write files there."""

import os
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Final, TypedDict, Unpack

from tests.site import engine, paths
from tests.site.errors import SiteError

USER: Final = "alice"
HOST: Final = "login"
# A command that outlives its time limit gets SIGTERM, and SIGKILL this much later.
KILL_AFTER_SECONDS: Final = 5


class CommandFailed(AssertionError):
    """A command on the site ended with another exit code than 0; the message has all it said."""

    def __init__(self, argv: Sequence[str], returncode: int, stdout: str, stderr: str) -> None:
        self.returncode, self.stdout, self.stderr = returncode, stdout, stderr
        super().__init__(
            f"`{shlex.join(argv)}` ended with exit code {returncode}\n"
            f"--- stdout\n{stdout}\n--- stderr\n{stderr}"
        )


class CommandTimedOut(AssertionError):
    """A command on the site did not end in time; it has been killed there."""


class Where(TypedDict, total=False):
    """As whom (alice) and on which host (login) to run, in which folder (home), with what added
    to the environment of a login."""

    user: str
    host: str
    cwd: str | None
    env: Mapping[str, str] | None


def exec_argv(argv: Sequence[str], *, terminal: bool = False, **where: Unpack[Where]) -> list[str]:
    """The command line on this machine that runs `argv` on a host of the site."""
    user = where.get("user", USER)
    home = "/root" if user == "root" else f"/home/{user}"
    words = {"HOME": home, "USER": user, "LOGNAME": user, "SHELL": "/bin/bash"}
    if terminal:
        words["TERM"] = os.environ.get("TERM", "xterm")
    words |= where.get("env") or {}
    options = ["-t"] if terminal else []
    options += [option for name, value in words.items() for option in ("-e", f"{name}={value}")]
    options += ["-u", user, "-w", where.get("cwd") or home]
    return ["docker", "exec", "-i", *options, container(where.get("host", HOST)), *argv]


def container(host: str) -> str:
    return f"{paths.NAME}-{host}"


def engine_environment(host: str | None = None) -> dict[str, str]:
    """This process's environment with the address of the engine; `host` must be there, if given."""
    address = engine.find()
    if address is None:
        message = "The test site is not up (no container engine answers): run `tests/site/site up`."
        raise SiteError(message)
    if host and not engine.answers(address, f"/containers/{container(host)}/json"):
        message = f"The test site has no host {host!r} up: run `tests/site/site up`."
        raise SiteError(message)
    return {**os.environ, "DOCKER_HOST": address}


class Site:
    """A running site. A call costs some 0.05 s."""

    def __init__(self) -> None:
        self._environment = engine_environment()

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | str | None = None,  # noqa: A002 - the name that subprocess.run has
        timeout: float = 120,
        check: bool = True,
        **where: Unpack[Where],
    ) -> "subprocess.CompletedProcess[str]":
        """Runs `argv` and waits for it; bytes of its output that are not UTF-8 are escaped.

        Raises CommandFailed on an exit code other than 0 unless `check` is False, and
        CommandTimedOut after `timeout` seconds: the command is then killed.
        """
        done = self.run_bytes(argv, input=input, timeout=timeout, **where)
        stdout = done.stdout.decode(errors="backslashreplace")
        stderr = done.stderr.decode(errors="backslashreplace")
        if check and done.returncode != 0:
            raise CommandFailed(argv, done.returncode, stdout, stderr)
        return subprocess.CompletedProcess(list(argv), done.returncode, stdout, stderr)

    def run_bytes(
        self,
        argv: Sequence[str],
        *,
        input: bytes | str | None = None,  # noqa: A002 - the name that subprocess.run has
        timeout: float = 120,
        **where: Unpack[Where],
    ) -> "subprocess.CompletedProcess[bytes]":
        """As `run`, for binary output; no exit code is an error here."""
        # A command outlives its `docker exec`, so the time limit is set over there.
        limited = ["timeout", f"--kill-after={KILL_AFTER_SECONDS}", str(timeout), *argv]
        start = time.monotonic()
        done = subprocess.run(
            exec_argv(limited, **where),
            input=input.encode() if isinstance(input, str) else input or b"",
            capture_output=True,
            env=self._environment,
            timeout=timeout + 4 * KILL_AFTER_SECONDS,
            check=False,
        )
        if done.returncode in (124, 137) and time.monotonic() - start >= timeout:
            said = (done.stdout + done.stderr).decode(errors="backslashreplace")
            message = f"`{shlex.join(argv)}` did not end within {timeout} s; it said:\n{said}"
            raise CommandTimedOut(message)
        return done

    def popen(self, argv: Sequence[str], **where: Unpack[Where]) -> "subprocess.Popen[bytes]":
        """Starts `argv` with pipes for stdin, stdout and stderr.

        Ending this process does not end the command there: close its stdin, or kill it there.
        """
        return subprocess.Popen(
            exec_argv(argv, **where),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment,
        )

    def write(
        self, path: str, content: bytes | str, *, mode: int = 0o644, **where: Unpack[Where]
    ) -> None:
        """Writes a file, its folder made if missing; relative paths are below the home."""
        script = 'mkdir -p "$(dirname "$1")" && cat > "$1" && chmod "$2" "$1"'
        self.run(["sh", "-c", script, "sh", path, f"{mode:o}"], input=content, **where)

    def read(self, path: str, **where: Unpack[Where]) -> str:
        return self.run(["cat", path], **where).stdout

    def read_bytes(self, path: str, **where: Unpack[Where]) -> bytes:
        done = self.run_bytes(["cat", path], **where)
        if done.returncode != 0:
            raise CommandFailed(["cat", path], done.returncode, "", done.stderr.decode())
        return done.stdout
