"""What a task is started with: its command line, environment, working directory and standard output."""

import os

from .container import argv, environment, runtime_environment, workdir
from .errors import RUNTIME_REFUSED, TASK_NOT_STARTED, JobFailed, UnsafeName
from .text import encode, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .engine import Engine
    from .images import Image
    from .namespace import Namespace
    from .scratch import Scratch


class Launch:
    """One start of a task. ``stdout`` is a descriptor to close; None: the job's own."""

    def __init__(
        self, argv: "list[bytes]", env: "dict[bytes, bytes]", stdout: "Optional[int]"
    ) -> None:
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
        engine: "Engine",
    ) -> None:
        self.plan = plan
        self.scratch = scratch
        self.namespace = namespace
        self.engine = engine

    def prepare(self, number: int, image: "Image") -> Launch:
        """Raises JobFailed where the task asks for what cannot be had here."""
        task = self.plan["tasks"][number]
        check_runtime(task)
        self._make_workdir(task)
        variables = environment(self.plan, number, os.environ)
        env = runtime_environment(os.environb, self.scratch, variables, self.engine.version)
        words = argv(self.engine.path, self.plan, number, image.path, self.scratch)
        return Launch(words, env, self._open_stdout(task))

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


def check_runtime(task: "dict[str, Any]") -> None:
    if task["runtime"] != "singularity":
        detail = "Runtime %s: nodes run containers by Apptainer or Singularity." % task["runtime"]
        raise JobFailed(RUNTIME_REFUSED, detail)
