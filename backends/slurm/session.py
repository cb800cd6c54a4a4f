"""A conversation with pyslurm, which runs in a child process; and whether it fits the site's Slurm."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prominence_hpc.backends.bounded import BoundedChild, ChildEnded
from prominence_hpc.backends.slurm.commands import slurm_environment
from prominence_hpc.backends.slurm.library import serve_in
from prominence_hpc.errors import BackendUnavailable

__all__ = ["About", "InexpressibleError", "Misfit", "Session", "SlurmRefusal"]


class SlurmRefusal(Exception):
    """Slurm's library answered with an error: its words."""


class InexpressibleError(Exception):
    """pyslurm cannot say this; Slurm was not asked."""


class Misfit(Exception):
    """pyslurm is not of use here: why, as a sentence without its full stop."""


@dataclass(frozen=True)
class About:
    """What decides whether, and for what, pyslurm is used."""

    pyslurm: str  # its version
    headers: tuple[int, ...]  # of the Slurm that it was built for: 25, 11, 2
    controller: str  # slurmctld's version: "25.11.2"
    has_accounting: bool
    keeps_comments: bool  # in accounting
    cli_filters: tuple[str, ...]
    plugstack: str | None

    def check(self) -> None:
        """Misfit unless it was built for the series of Slurm that the controller is of.

        The library's structures change with each series, and pyslurm knows those that it was built for.
        """
        built = "{:02}.{:02}".format(*self.headers)
        if self.controller.split(".")[:2] != built.split("."):
            msg = f"pyslurm {self.pyslurm} was built for Slurm {built}, and the controller is {self.controller}"
            raise Misfit(msg)


class Session:
    """Requests to pyslurm, each until a deadline (as :func:`time.monotonic` counts)."""

    def __init__(self) -> None:
        self._child: BoundedChild | None = None
        self._about: About | None = None

    def about(self, deadline: float) -> About:
        """What there is, asked once. Misfit where pyslurm is not there or does not fit."""
        if self._about is None:
            try:
                answer = self.ask({"verb": "about"}, deadline)
            except ChildEnded as error:
                msg = "pyslurm ended its process when it was loaded: is it built for another Slurm?"
                raise Misfit(msg.rstrip("?")) from error
            about = About(
                **{
                    **answer,
                    "headers": tuple(answer["headers"]),
                    "cli_filters": tuple(answer["cli_filters"]),
                }
            )
            about.check()
            self._about = about
        return self._about

    def ask(self, request: Mapping[str, Any], deadline: float) -> Any:
        """The answer to one request.

        Raises SlurmRefusal, InexpressibleError, Misfit, ChildEnded; BackendUnavailable where the answer is
        late: what was asked for may have been done.
        """
        if self._child is None or not self._child.is_open:
            self._child = BoundedChild(serve_in(slurm_environment()), alone=True)
        start = time.monotonic()
        try:
            document = self._child.ask(request, timeout_seconds=max(0.0, deadline - start))
        except TimeoutError as error:
            raise BackendUnavailable(_late(deadline - start)) from error
        if "error" in document:
            raise SlurmRefusal(document["error"])
        if "inexpressible" in document:
            raise InexpressibleError(document["inexpressible"])
        if "missing" in document:
            msg = f"pyslurm cannot be imported: {document['missing']}"
            raise Misfit(msg)
        return document["answer"]


def _late(seconds: float) -> str:
    return (
        f"Slurm's controller did not answer within {max(1, round(seconds))} seconds; try again later, "
        "or raise command_timeout_seconds in the site's configuration."
    )
