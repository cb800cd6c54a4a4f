"""A program that runs beside the tasks of a job: a sidecar, or what several nodes have to agree by.

Whatever a task leaves behind becomes the wrapper's child (a subreaper, see :mod:`.orphans`) and is
killed. So that a companion's processes are never taken for a task's, a companion has a keeper of
its own between the wrapper and itself: a fork of the wrapper that is a subreaper too. Orphans go to
the nearest one, whatever session and environment they have given themselves. The keeper waits for
all of them, says by a pipe how the program ended, and ends when nobody is left.
"""

import json
import os
import signal
import subprocess
import time

from .ended import Ended
from .orphans import adopt_orphans, children, descendants, hear_of_parents_end, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGXCPU", "SIGUSR1", "SIGUSR2", "SIGCHLD")
KILLED = 128 + signal.SIGKILL


class Companion:
    """A running program: ``pid`` leads a session of its own; ``words`` is readable when it has ended."""

    def __init__(
        self,
        argv: "list[bytes]",
        env: "dict[bytes, bytes]",
        cwd: bytes,
        stdout: "Optional[int]",
        stderr: "Optional[int]",
    ) -> None:
        """Raises OSError where it cannot be started. The caller has one thread alone."""
        self._ended: "Optional[Ended]" = None
        self.words, keepers_end = os.pipe()
        wrapper = os.getpid()
        self.keeper = os.fork()
        if self.keeper == 0:
            try:  # never back into the wrapper's program, whose copy this is
                _keep(keepers_end, argv, env, cwd, stdout, stderr, wrapper)
            except BaseException:  # noqa: BLE001 (the outermost line of this process)
                import traceback

                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(keepers_end)
        first = self._first_word()
        if "error" in first:
            os.waitpid(self.keeper, 0)
            os.close(self.words)
            raise OSError(first["error"], os.strerror(first["error"]))
        self.pid = int(first["pid"])
        os.set_blocking(self.words, False)

    @property
    def ended(self) -> "Optional[Ended]":
        """How the program ended, once it has; processes that it started may still be there."""
        self.listen()
        return self._ended

    def listen(self) -> None:
        """Take what the keeper has said, if it has; of one that was killed there is no word more."""
        if self._ended is not None:
            return
        try:
            line = os.read(self.words, 4096)
        except BlockingIOError:
            return
        self._ended = Ended(*json.loads(line.decode())) if line else Ended(KILLED, 0.0, 0.0, 0)
        os.close(self.words)

    def terminate(self) -> None:
        """The polite word: to the program's process group, or, where it has ended, to what it left.

        The rest of the session is a container runtime's own (it serves the image by FUSE).
        """
        if self.ended is None:
            send(-self.pid, signal.SIGTERM)
            return
        for pid in descendants(self.keeper):
            send(pid, signal.SIGTERM)

    def kill(self) -> None:
        """All of it but the keeper, which takes in what their ends make orphans."""
        for pid in descendants(self.keeper):
            send(pid, signal.SIGKILL)

    def _first_word(self) -> "dict[str, int]":
        with os.fdopen(os.dup(self.words), "rb", 0) as stream:
            line = stream.readline()
        found: "dict[str, int]" = json.loads(line.decode()) if line else {"error": 11}  # EAGAIN
        return found


def _keep(
    words: int,
    argv: "list[bytes]",
    env: "dict[bytes, bytes]",
    cwd: bytes,
    stdout: "Optional[int]",
    stderr: "Optional[int]",
    wrapper: int,
) -> None:
    """All that the keeper does: it begins the program and waits until nobody is left."""
    _become_keeper(wrapper)
    start = time.time()
    try:
        program = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    except OSError as error:
        _say(words, {"error": error.errno})
        return
    _say(words, {"pid": program.pid})
    while True:
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return
        if pid == program.pid:
            ended = Ended.of(status, usage, time.time() - start)
            _say(words, [ended.exit_code, ended.wall_time, ended.cpu_time, ended.max_kb])
        _end_without(wrapper)


def _become_keeper(wrapper: int) -> None:
    """No signal of a scheduler ends it before its charges; the wrapper's death ends them all."""
    signal.set_wakeup_fd(-1)
    os.setpgid(0, 0)  # who kills the wrapper's group must leave somebody to end the program
    adopt_orphans()
    for name in SIGNALS:  # handlers, for what is ignored here would be ignored by the program
        signal.signal(getattr(signal, name), lambda _number, _frame: _end_without(wrapper))
    hear_of_parents_end(signal.SIGUSR1)
    if os.getppid() != wrapper:
        os._exit(0)


def _end_without(wrapper: int) -> None:
    """Where the wrapper is no more, nobody would end its companions."""
    if os.getppid() != wrapper:
        for pid in children(os.getpid()):
            send(pid, signal.SIGKILL)


def _say(words: int, what: object) -> None:
    try:
        os.write(words, json.dumps(what).encode() + b"\n")
    except OSError:
        pass  # the wrapper is gone
