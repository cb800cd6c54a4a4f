"""The calls into ``htcondor2``: each with a deadline, plain data in and out, our errors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from prominence_hpc.backends.bounded import BoundedChild, ChildEnded
from prominence_hpc.errors import BackendError, BackendUnavailable, ConfigError

__all__ = ["act", "history", "query", "slots", "submit"]

Action = Literal["Remove", "Release", "VacateFast"]

# Parts of what the bindings say where the schedd was not reached at all: no request has left.
_NO_SCHEDD = ("unable to locate", "failed to connect", "connection refused", "no route to host")
# … and where the bindings cannot read the submit description: a site's directive is wrong.
_MISREAD = ("parse", "submit:")


def submit(description: str, *, timeout_seconds: float) -> int:
    """Submit the jobs of a submit description; returns the number of their cluster."""

    def call(htcondor2: Any) -> int:
        return int(htcondor2.Schedd().submit(htcondor2.Submit(description)).cluster())

    answer: int = _call("submit", call, timeout_seconds)
    return answer


def query(
    constraint: str, attributes: Sequence[str], *, timeout_seconds: float
) -> list[dict[str, Any]]:
    """The records in the queue that satisfy ``constraint``, clusters' own (without ProcId) among them."""

    def call(htcondor2: Any) -> list[dict[str, Any]]:
        options = htcondor2.QueryOpt.IncludeClusterAd
        found = htcondor2.Schedd().query(constraint, list(attributes), opts=options)
        return _plain(found, attributes)

    answer: list[dict[str, Any]] = _call("query", call, timeout_seconds)
    return answer


def slots(
    constraint: str, attributes: Sequence[str], *, timeout_seconds: float
) -> list[dict[str, Any]]:
    """The slots of the pool, by the collector's word, that satisfy ``constraint``."""

    def call(htcondor2: Any) -> list[dict[str, Any]]:
        kind = htcondor2.AdType.Startd
        found = htcondor2.Collector().query(kind, constraint, list(attributes))
        return _plain(found, attributes)

    answer: list[dict[str, Any]] = _call("slots", call, timeout_seconds)
    return answer


def history(
    constraint: str, attributes: Sequence[str], *, limit: int, timeout_seconds: float
) -> list[dict[str, Any]]:
    """The newest records of the history, at most ``limit``, that satisfy ``constraint``."""

    def call(htcondor2: Any) -> list[dict[str, Any]]:
        return _plain(htcondor2.Schedd().history(constraint, list(attributes), limit), attributes)

    answer: list[dict[str, Any]] = _call("history", call, timeout_seconds)
    return answer


def act(action: Action, handles: Sequence[str], *, timeout_seconds: float) -> None:
    """Remove jobs and whole clusters from the queue, or put jobs back into it.

    Those that are not in it (any more), or in no such state, are no error.
    """

    def call(htcondor2: Any) -> int:
        reason = "Deleted through prominence"
        asked = getattr(htcondor2.JobAction, action)
        answer = htcondor2.Schedd().act(asked, list(handles), reason)
        return int(answer["TotalPermissionDenied"])

    denied: int = _call(action.lower(), call, timeout_seconds)
    if denied:
        msg = f"HTCondor does not let you remove {denied} of these jobs: they are somebody else's."
        raise BackendError(msg)


def _call(what: str, call: Callable[[Any], Any], timeout_seconds: float) -> Any:
    """The answer of ``call(htcondor2)``, made in a child process: see :mod:`.bounded`."""
    htcondor2 = _import()

    def serve(_: None) -> Mapping[str, Any]:
        try:
            return {"answer": call(htcondor2)}
        # The bindings raise these; ValueError is a submit description that they cannot read.
        except (htcondor2.HTCondorException, ValueError, RuntimeError, OSError) as error:
            return {"error": str(error)}

    with BoundedChild(serve) as child:
        try:
            document = child.ask(None, timeout_seconds=timeout_seconds)
        except TimeoutError as error:
            msg = (
                f"HTCondor's schedd did not answer ({what}) within {timeout_seconds:g} seconds; "
                "try again later, or raise command_timeout_seconds in the site's configuration."
            )
            raise BackendUnavailable(msg) from error
        except ChildEnded:
            document = {"error": "the bindings ended without a word"}
    if "answer" in document:
        return document["answer"]
    raise _error(what, " ".join(document["error"].split()))


def _error(what: str, said: str) -> BackendError:
    lowered = said.lower()
    if any(part in lowered for part in _NO_SCHEDD):
        msg = (
            f"HTCondor's schedd cannot be reached from here: {said.rstrip('.')}; "
            "is condor running, and does condor_q work?"
        )
        if what == "submit":
            return BackendError(f"{msg} Nothing was submitted.")
        return BackendUnavailable(msg)
    if what == "submit" and any(part in lowered for part in _MISREAD):
        return BackendError(
            f"HTCondor refused the job: {said.rstrip('.')}; check the site's directives."
        )
    if what == "submit" and "commit" in lowered:
        return BackendError(f"HTCondor refused the job: {said.rstrip('.')}.")
    return BackendUnavailable(f"HTCondor's schedd gave no answer ({what}): {said.rstrip('.')}.")


def _plain(records: Sequence[Mapping[str, Any]], attributes: Sequence[str]) -> list[dict[str, Any]]:
    """Records as plain data; what is undefined or an expression is left out."""
    return [
        {
            name: record[name]
            for name in attributes
            if name in record and isinstance(record[name], (str, int, float, bool))
        }
        for record in records
    ]


def _import() -> Any:
    try:
        # 50 ms, and present only where the site uses HTCondor.
        import htcondor2
    except ImportError as error:
        msg = (
            "The HTCondor backend needs Python's htcondor: pip install 'prominence-hpc[htcondor]'."
        )
        raise ConfigError(msg) from error
    return htcondor2
