"""What a backend inherits that has no means of its own for graphs."""

from pathlib import Path

from prominence_hpc.backends.base import Graph
from prominence_hpc.errors import BackendError

__all__ = ["NoGraphs"]


class NoGraphs:
    """Submissions that depend on one another are handed over one by one (:attr:`.Submission.after`)."""

    name: str
    runs_graphs = False

    def submit_graph(self, graph: Graph) -> str:
        """See :meth:`.Backend.submit_graph`: nothing is submitted."""
        msg = f"The backend {self.name} takes no graph; {graph.name!r} was not submitted."
        raise BackendError(msg)

    def graph_texts(self, graph: Graph) -> dict[str, str]:  # noqa: ARG002
        """See :meth:`.Backend.graph_texts`: there is none."""
        return {}

    def graph_handles(self, folder: Path) -> dict[str, str]:  # noqa: ARG002
        """See :meth:`.Backend.graph_handles`: there is no graph."""
        return {}
