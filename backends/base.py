"""The boundary to the engines: what a backend is given, what it answers, and the verbs.

A backend is a class that satisfies :class:`Backend`. Everything above this floor speaks of engines
only through these types; everything below (option names, states, quoting) stays inside the
backend's own module.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Literal, Protocol

__all__ = [
    "Backend",
    "Cause",
    "Channel",
    "Condition",
    "Copies",
    "Graph",
    "GraphNode",
    "JobShell",
    "Moldable",
    "SchedulerState",
    "Shape",
    "Stream",
    "Submission",
    "Transfer",
]

Stream = Literal["stdout", "stderr"]


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Files that must travel with a job whose node shares no file system with the login node.

    ``inputs``: path here and the name it gets beside the plan on the node.
    ``outputs``: name beside the plan on the node, and the existing folder here into which what lies in it
    is carried back after the job, whatever its end.
    """

    inputs: tuple[tuple[Path, str], ...] = ()
    outputs: tuple[tuple[str, Path], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Moldable:
    """Sizes from which a backend chooses the largest that can start; the smallest is the submission's own."""

    most_cpus: int  # per node
    between: bool  # whether any number from the least to the most will do, or only these two


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Nodes of one size, any number of them from ``nodes`` to ``most_nodes``."""

    cpus: int  # per node
    nodes: int
    most_nodes: int


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Many jobs of one plan, told apart by a number: ``count`` of them, from ``first`` on."""

    first: int
    count: int


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What the scheduler must know of a job; the rest is in the plan.

    ``folder`` holds ``plan.json`` already, and is where the backend writes ``job.sh`` and where
    ``stdout``, ``stderr`` and ``report.json`` end up. ``tag`` (32 hex digits) goes
    into the scheduler's own record, so that :meth:`Backend.find` can look a submission up.

    With ``copies`` these are many jobs, one call to the scheduler, one tag. What copy N leaves ends up in
    ``folder/N``, which its node makes; ``job_id`` is then that of the first of them.
    """

    tag: str
    job_id: int
    name: str  # may be empty, may hold any character of the contract
    labels: Mapping[str, str]
    folder: Path
    runner: Path  # runner.pyz
    cpus: int  # per node
    memory_mib: int  # per node
    disk_mib: int  # per node
    nodes: int = 1
    limit_seconds: int = 0  # the whole job: staging and tasks
    priority: int | None = None
    gpus: int = 0  # per node
    gpu_type: str | None = None
    moldable: Moldable | None = None  # cpus and memory_mib are the least of it
    # One of these is to be chosen in place of cpus and nodes, fewest nodes first.
    shapes: tuple[Shape, ...] = ()
    memory_mib_per_cpu: int | None = None  # where the memory goes with the CPUs
    most_nodes: int | None = None  # the scheduler may give more than ``nodes``, up to so many
    # An e-mail of the scheduler's own at the job's end; no address: wherever it sends a user's.
    mails: bool = False
    mail_address: str | None = None
    # How often the wrapper may ask for another start, by its exit code or on the node itself.
    maximum_retries: int = 0
    queue_limit_seconds: int = 0  # it fails where it has waited so long; 0: no limit
    preemptible: bool = False
    copies: Copies | None = None
    # Handles of submissions that must all have ended well before this one starts. It is not run at
    # all where one of them has not (:attr:`Cause.DEPENDENCY`).
    after: tuple[str, ...] = ()
    transfer: Transfer = Transfer()

    def sized(self, cpus: int) -> "Submission":
        """The same job with its size chosen: ``cpus`` per node, and the memory that goes with them."""
        per_cpu = self.memory_mib_per_cpu
        memory = self.memory_mib if per_cpu is None else per_cpu * cpus
        return replace(self, cpus=cpus, memory_mib=memory, moldable=None)

    def shaped(self, shape: Shape) -> "Submission":
        """The same job with its shape chosen."""
        most = shape.most_nodes if shape.most_nodes > shape.nodes else None
        sized = self.sized(shape.cpus)
        return replace(sized, nodes=shape.nodes, most_nodes=most, shapes=())


@dataclass(frozen=True, kw_only=True)
class GraphNode:
    """A submission of a graph, known by a name, and the names of those that must end well before it."""

    name: str  # letters, digits, "-" and "_"
    submission: Submission
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Submissions that depend on one another, handed over as a whole to an engine that runs graphs."""

    tag: str
    workflow_id: int
    name: str  # may be empty, may hold any character of the contract
    folder: Path  # of the workflow; exists
    runner: Path  # runner.pyz
    nodes: tuple[GraphNode, ...]  # parents before children


class Condition(Enum):
    """Where a job is, as far as its scheduler says."""

    QUEUED = "queued"
    HELD = "held"  # queued, and will not start unless somebody acts
    RUNNING = "running"
    ENDED = "ended"
    ABSENT = "absent"  # the scheduler answered and does not know the job
    UNKNOWN = "unknown"  # a word that we do not know; see ``raw``


class Cause(Enum):
    """Why a job ended, where the scheduler says so."""

    NONE = "none"
    EXITED = "exited"  # of its own accord; see ``exit_code``
    SIGNALED = "signaled"
    CANCELLED = "cancelled"
    WALLTIME = "walltime"
    MEMORY = "memory"
    NODE_FAILURE = "node-failure"
    PREEMPTED = "preempted"
    REFUSED = "refused"  # the scheduler could not start it
    QUEUE_TIME = "queue-time"  # it has waited for longer than it was to
    DEPENDENCY = "dependency"  # what it was to wait for has not ended well: it was never started


@dataclass(frozen=True, kw_only=True)
class SchedulerState:
    """A scheduler's answer about one job. Times are seconds since the epoch (UTC)."""

    condition: Condition
    raw: str = ""  # the scheduler's own word: PENDING, OUT_OF_MEMORY, "5"
    reason: str = ""  # its own explanation: a pending reason, a hold reason
    cause: Cause = Cause.NONE
    exit_code: int | None = None
    start_time: float | None = None
    end_time: float | None = None
    nodes: tuple[str, ...] = ()
    # How often it was started before: of a job that waits, all its starts; None: not said.
    restarts: int | None = None


class Channel(Protocol):
    """A program that runs on a job's node: its standard input and output as bytes.

    One thread may read while another writes. RemoteError where the connection is cut.
    """

    def read(self, size: int, *, timeout_seconds: float | None = None) -> bytes:
        """What the program has written, at most ``size`` bytes and at least one; none at its end.

        Raises TimeoutError where nothing has come within ``timeout_seconds``.
        """

    def write(self, data: bytes) -> None:
        """Give all of ``data`` to the program; waits while it takes none."""

    def close_input(self) -> None:
        """Let the program find the end of its standard input."""

    def messages(self) -> str:
        """The last of what the program, and whatever carries it, have said on standard error."""

    def exit_code(self) -> int | None:
        """How the program ended, once it has; None where that is not known (yet)."""

    def close(self) -> None:
        """End the program where it still runs, by closing its streams, and wait for its end."""


class JobShell(Protocol):
    """A way to run programs where a job runs, as the user whose job it is."""

    way: str  # for messages: "ssh to node1"
    folder: str  # of the job's own files on the node; below the scheduler's own scratch folder, unless absolute

    def open(self, argv: Sequence[str]) -> Channel:
        """Start a program; RemoteError where that cannot be asked for."""

    def close(self) -> None:
        """Leave no connection, process or key file behind."""


class Backend(Protocol):
    """An engine. A handle is the scheduler's own id as text (``4711``, ``12.0``)."""

    name: str  # "slurm", "htcondor", "local"
    # How a shell can be opened where a job runs, in the order in which that is tried.
    ways: tuple[str, ...]
    # Whether a shell needs the job's handle alone: the way itself finds the node, where it is the first.
    finds_node: bool
    # Whether the streams of a running job are in its folder here, as they are written.
    writes_into_folder: bool
    # Whether submissions that depend on one another are handed over at once (:meth:`submit_graph`),
    # rather than one by one with :attr:`Submission.after`.
    runs_graphs: bool

    def submit(self, submission: Submission) -> str:
        """Hand one job, or the many of :attr:`Submission.copies`, over; return the handle.

        Writes ``job.sh`` and what else the engine wants into ``submission.folder``. Raises
        BackendError where the scheduler refused: nothing was submitted. Raises BackendUnavailable where it is not
        known whether the job was taken: the caller looks with :meth:`find` before it tries again.
        """

    def texts(self, submission: Submission) -> dict[str, str]:
        """What the engine would be given, by the names of files, and of commands the line.

        Nothing is written, and nobody asked: where sizes are chosen at submission, the least is shown.
        """

    def graph_texts(self, graph: Graph) -> dict[str, str]:
        """As :meth:`texts`, for a graph and all that is in it; nothing where there are no graphs."""

    def most_copies(self, submission: Submission) -> int | None:
        """How many copies of this job one submission may have; None: any number.

        May ask the scheduler, and raise what :meth:`poll` does.
        """

    def copy_handle(self, handle: str, number: int) -> str:
        """The handle of one of a submission's copies; ``number`` counts from its first, from 0."""

    def submit_graph(self, graph: Graph) -> str:
        """Hand a whole graph over, where :attr:`runs_graphs`; return the graph's own handle.

        Raises as :meth:`submit` does. :meth:`find` finds it by its tag, :meth:`poll` and
        :meth:`cancel` take its handle; to cancel it is to cancel all of it.
        """

    def graph_handles(self, folder: Path) -> dict[str, str]:
        """Handles of the submissions of the graph in ``folder`` that have been made so far, by node.

        From what the engine itself wrote there: no call.
        """

    def poll(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """The queue's word on each handle: one scheduler call, however many there are.

        Every handle is in the answer, with Condition.ABSENT where the queue does not hold it (any more). Raises
        BackendUnavailable where the scheduler does not answer.
        """

    def history(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """What accounting or history says of jobs that left the queue; one call.

        Handles of which nothing is known, or a site without accounting, are left out. Raises
        BackendUnavailable where it should answer and does not.
        """

    def find(self, tags: Sequence[str]) -> dict[str, str]:
        """Handles of the submissions that carry these tags, queued, running or ended; unknown tags are left out.

        Raises BackendUnavailable where the scheduler does not answer.
        """

    def cancel(self, handles: Sequence[str]) -> None:
        """End or dequeue these jobs; those that ended already are no error.

        The handle of a submission with copies stands for all of them, also those not started yet.
        """

    def output(self, handle: str, folder: Path, stream: Stream) -> Iterator[bytes]:
        """What the job has written to ``stream`` so far, in blocks; from ``folder`` or the node.

        ``folder`` is the job's own, of a copy ``SUBMISSION_FOLDER/N``.

        Yields nothing where there is nothing yet.
        """

    def open_shell(
        self, way: str, handle: str, node: str, folder: Path, number: int = 0
    ) -> JobShell:
        """A shell on a node of a running job, by one of :attr:`ways`.

        ``node`` is one of :attr:`SchedulerState.nodes`, or empty where :attr:`finds_node`; ``folder`` is
        the job's, ``number`` counts the job's nodes. Raises RemoteError, whose
        message says what was in the way; where it may pass (the job has just begun), a
        NotReadyError.
        """
