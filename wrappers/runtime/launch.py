"""What a task is started with: its command line, environment, working directory and standard output."""

import os

from .container import environment, workdir
from .errors import TASK_NOT_STARTED, JobFailed, UnsafeName
from .text import encode, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .engine import Engine
    from .images import Image
    from .namespace import Namespace
    from .scratch import Scratch
    from .udocker import Udocker


class Launch:
    """One start of a task by an engine. ``stdout`` is a descriptor to close; None: the job's own."""

    def __init__(
        self,
        engine: "Engine | Udocker",
        argv: "list[bytes]",
        env: "dict[bytes, bytes]",
        stdout: "Optional[int]",
    ) -> None:
        self.engine = engine
        self.argv = argv
        self.env = env
        self.stdout = stdout

    def close(self) -> None:
        if self.stdout is not None:
            os.close(self.stdout)
            self.stdout = None


class Launcher:
    """Prepares tasks of one job on this node."""

    def __init__(
        self,
        plan: "dict[str, Any]",
        scratch: "Scratch",
        namespace: "Namespace",
        engines: "dict[str, Engine | Udocker]",
    ) -> None:
        self.plan = plan
        self.scratch = scratch
        self.namespace = namespace
        self.engines = engines

    def prepare(self, number: int, image: "Image") -> Launch:
        """Raises JobFailed where the task asks for what cannot be had here."""
        task = self.plan["tasks"][number]
        self._make_workdir(task)
        engine = self.engines[task["runtime"]]
        variables = environment(self.plan, number, os.environ)
        words, env = engine.command(self.plan, number, image.path, self.scratch, variables)
        return Launch(engine, words, env, self._open_stdout(task))

    def _make_workdir(self, task: "dict[str, Any]") -> None:
        """Make a working directory that is ours to make: below /home/user or an artifact's mount."""
        try:
            path = self.namespace.resolve(workdir(self.plan, task))
            os.makedirs(path, exist_ok=True)
        except UnsafeName:
            return  # a folder of the image
        except OSError as error:
            detail = "Working directory %s: %s." % (shown(task["workdir"]), error.strerror)
            raise JobFailed(TASK_NOT_STARTED, detail) from error

    def _open_stdout(self, task: "dict[str, Any]") -> "Optional[int]":
        """The file for the task's standard output, which it writes itself."""
        name = task.get("stdout")
        if not name:
            return None
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            path = self.namespace.resolve(encode(name))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            return os.open(path, flags, 0o644)
        except (OSError, UnsafeName) as error:
            words = getattr(error, "strerror", None) or str(error)
            detail = "Standard output file %s: %s." % (shown(name), words)
            raise JobFailed(TASK_NOT_STARTED, detail) from error
