"""``prominence exec`` on the node: a command in the running task's container, or beside it."""

import errno
import fcntl
import os
import signal
import termios
import time

from . import frames
from .container import environment, runtime_environment, surroundings, workdir
from .join import can_join, container_process, join
from .orphans import adopt_orphans, end_with_parent
from .place import BETWEEN_TASKS, CONFLICT, Alive, Refusal, read_environment
from .relay import Child, Relay, set_size
from .scratch import BESIDE, INSIDE
from .text import decode, encode, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .entrance import Peer
    from .place import Mark, Place

BETWEEN_SECONDS = 2.0  # from one task's end to the next one's beginning
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as shells have it
RESET = (signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGCHLD)


class NotStarted(Exception):
    """``what`` could not be used: the command, or the folder that it was to start in."""

    def __init__(self, what: bytes, number: int) -> None:
        super().__init__(what, number)
        self.what = what
        self.number = number


class Surroundings:
    """What a command is run with, and the process with whose end it ends too."""

    def __init__(
        self,
        argv: "list[bytes]",
        env: "dict[bytes, bytes]",
        cwd: bytes,
        alive: "Alive | Mark",
        ends_with: str,
    ) -> None:
        self.argv = argv
        self.env = env
        self.cwd = cwd
        self.alive = alive
        self.ends_with = ends_with


def execute(peer: "Peer", place: "Place", request: "dict[str, Any]") -> "dict[str, Any]":
    """Serve one ``exec``; returns what DONE says: exit code, and what ended the command if not itself."""
    place.check_running()
    command = [encode(word) for word in request["command"]]
    terminal = request["terminal"]
    try:
        found = beside(place, command) if request["host"] else inside(place, command, terminal)
    except OSError as error:  # a process whose files were looked at has ended meanwhile
        msg = "Job %d: its task has just ended." % place.plan["job_id"]
        raise Refusal(CONFLICT, msg) from error
    if terminal:
        found.env[b"TERM"] = encode(terminal["term"])
    try:
        child = spawn(found, terminal)
    except NotStarted as error:
        missing = error.what == command[0] and error.number == errno.ENOENT
        code = NOT_FOUND if missing else NOT_EXECUTABLE
        words = "prominence: %s: %s\n" % (shown(error.what), os.strerror(error.number))
        peer.send(frames.pack(frames.ERROR, words.encode("utf-8", "backslashreplace")))
        return {"exit_code": code, "ended_by": ""}
    return Relay(peer, child, found.alive, found.ends_with, request["timeout_seconds"]).run()


def beside(place: "Place", command: "list[bytes]") -> Surroundings:
    """Outside of the container, among the job's files, with the environment that its wrapper has."""
    scratch = None if place.elsewhere else place.scratch
    if scratch is not None:
        scratch.enter(BESIDE)
    cwd = place.folder if scratch is None else scratch.work
    env = dict(os.environb) if place.elsewhere else place.environment()
    return Surroundings(command, env, cwd, place.wrapper(), "job")


def inside(
    place: "Place", command: "list[bytes]", terminal: "Optional[dict[str, Any]]"
) -> Surroundings:
    """In the container of the task that runs now; raises Refusal where none does."""
    task = running_task(place)
    alive = Alive(task["pid"], task["ticks"])
    process = container_process(task["pid"], task["start"])
    if not alive:
        raise no_task(place)
    if place.scratch is not None:
        place.scratch.enter(INSIDE)
    if process is None or not can_join(process):
        return again(place, command, terminal, task, alive)
    cwd = workdir(place.plan, place.plan["tasks"][task["number"]])
    found = Surroundings(command, read_environment(process), cwd, alive, "task")
    join(process)
    return found


def running_task(place: "Place") -> "dict[str, Any]":
    end = time.time() + BETWEEN_SECONDS
    while place.elsewhere or place.task is None:
        if place.elsewhere or time.time() > end or place.phase() != BETWEEN_TASKS:
            raise no_task(place)
        time.sleep(0.05)
        place.refresh()
    return place.task


def no_task(place: "Place") -> Refusal:
    where = place.phase()
    if place.elsewhere or (place.follows and where == BETWEEN_TASKS):
        where = "runs no task on this node"
    return Refusal(
        CONFLICT,
        "Job %d %s: there is no container to run a command in. With --host it would run beside the"
        " container, in the job's scratch directory." % (place.plan["job_id"], where),
    )


def again(
    place: "Place",
    command: "list[bytes]",
    terminal: "Optional[dict[str, Any]]",
    task: "dict[str, Any]",
    alive: Alive,
) -> Surroundings:
    """The task's image once more, with its folders and environment: all but its /dev and memory."""
    scratch = place.scratch
    if scratch is None:
        raise no_task(place)
    plan, number = place.plan, task["number"]
    wrapper = place.environment()
    host = {decode(name): decode(value) for name, value in wrapper.items()}
    variables = environment(plan, number, host)
    if terminal:
        variables["TERM"] = terminal["term"]
    engine, image = encode(task["engine"]), encode(task["image"])
    if plan["tasks"][number]["runtime"] == "udocker":
        from .udocker import command_line

        # The same container, not another: udocker has no namespaces that could be entered.
        where = (plan, number, image, scratch)
        argv, env = command_line(engine, wrapper, where, variables, command)
        return Surroundings(argv, env, scratch.work, alive, "task")
    env = runtime_environment(wrapper, scratch, variables, task["engine_version"])
    argv = surroundings(engine, b"exec", plan, number, image, scratch) + command
    return Surroundings(argv, env, scratch.work, alive, "task")


def spawn(found: Surroundings, terminal: "Optional[dict[str, Any]]") -> Child:
    """Start the command in a session of its own; raises NotStarted where it is not there."""
    if terminal:
        master, slave = os.openpty()
        set_size(master, terminal["columns"], terminal["rows"])
        ours, theirs = [master], (slave, slave, slave)
    else:
        pipes = [os.pipe() for _ in range(3)]
        ours = [pipes[0][1], pipes[1][0], pipes[2][0]]
        theirs = (pipes[0][0], pipes[1][1], pipes[2][1])
    failed, failing = os.pipe()
    adopt_orphans()  # now: a quick command may leave some behind before anything else happens
    pid = os.fork()
    if pid == 0:
        _become(found, theirs, failing, bool(terminal))
    for descriptor in {failing, *theirs}:
        os.close(descriptor)
    number = os.read(failed, 16)
    os.close(failed)
    if number:
        os.waitpid(pid, 0)
        what = found.cwd if number.startswith(b"-") else found.argv[0]
        raise NotStarted(what, abs(int(number)))
    if terminal:
        return Child(pid, ours[0], {ours[0]: frames.OUTPUT}, terminal=True)
    outputs = {ours[1]: frames.OUTPUT, ours[2]: frames.ERROR}
    return Child(pid, ours[0], outputs, terminal=False)


def _become(
    found: Surroundings, streams: "tuple[int, int, int]", failing: int, terminal: bool
) -> None:
    """The child: the command, or the number of the error that kept it from being started."""
    try:
        os.setsid()
        end_with_parent()
        if terminal:
            fcntl.ioctl(streams[0], termios.TIOCSCTTY, 0)
        for number in RESET:
            signal.signal(number, signal.SIG_DFL)
        for target, source in enumerate(streams):
            os.dup2(source, target)
        try:
            os.chdir(found.cwd)
        except OSError as error:
            os.write(failing, b"-%d" % (error.errno or 0))
            os._exit(NOT_FOUND)
        _execute(found.argv, found.env)
    except OSError as error:
        os.write(failing, b"%d" % (error.errno or 0))
    finally:
        os._exit(NOT_FOUND)


def _execute(argv: "list[bytes]", env: "dict[bytes, bytes]") -> None:
    """execvp(3) by the PATH of ``env``."""
    if b"/" in argv[0]:
        os.execve(argv[0], argv, env)
    reason = OSError(errno.ENOENT, "")
    for folder in env.get(b"PATH", b"/bin:/usr/bin").split(b":"):
        try:
            os.execve(os.path.join(folder or b".", argv[0]), argv, env)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            reason = error
    raise reason
