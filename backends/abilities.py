"""What a backend inherits that has no means of its own for sweeps or for graphs."""

from pathlib import Path

from prominence_hpc.backends.base import Graph, Submission
from prominence_hpc.errors import BackendError

__all__ = ["NoGraphs", "SingleJobs"]


class NoGraphs:
    """Submissions that depend on one another are handed over one by one (:attr:`.Submission.after`)."""

    name: str
    runs_graphs = False

    def submit_graph(self, graph: Graph) -> str:
        """See :meth:`.Backend.submit_graph`: nothing is submitted."""
        msg = f"The backend {self.name} takes no graph; {graph.name!r} was not submitted."
        raise BackendError(msg)

    def graph_handles(self, folder: Path) -> dict[str, str]:  # noqa: ARG002
        """See :meth:`.Backend.graph_handles`: there is no graph."""
        return {}


class SingleJobs(NoGraphs):
    """One submission is one job, which waits for no other."""

    def most_copies(self, submission: Submission) -> int | None:  # noqa: ARG002
        """See :meth:`.Backend.most_copies`."""
        msg = f"The backend {self.name} does not run workflows yet."
        raise BackendError(msg)

    def copy_handle(self, handle: str, number: int) -> str:  # noqa: ARG002
        """See :meth:`.Backend.copy_handle`."""
        msg = f"The backend {self.name} does not run workflows yet."
        raise BackendError(msg)

    def refuse_workflow(self, submission: Submission) -> None:
        """Raise BackendError where more is wanted than one job that waits for no other."""
        if submission.copies is not None or submission.after:
            msg = f"The backend {self.name} does not run workflows yet."
            raise BackendError(msg)
