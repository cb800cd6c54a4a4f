"""What a stand-in for a backend inherits that is about single jobs alone."""

from prominence_hpc.backends.abilities import NoGraphs
from prominence_hpc.backends.base import Submission


class SingleJobs(NoGraphs):
    """Nobody asks it about copies."""

    def texts(self, submission: Submission) -> dict[str, str]:
        """See :meth:`.Backend.texts`."""
        return {"job": submission.name}

    def most_copies(self, submission: Submission) -> int | None:
        raise NotImplementedError

    def copy_handle(self, handle: str, number: int) -> str:
        raise NotImplementedError
