"""The container runtimes that a job's tasks ask for."""

from .errors import RUNTIME_REFUSED, JobFailed
from .text import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .engine import Engine
    from .udocker import Udocker


def find_engines(plan: "dict[str, Any]") -> "dict[str, Engine | Udocker]":
    """Each by its name in the plan; raises JobFailed where this node has not all of them."""
    found: "dict[str, Engine | Udocker]" = {}
    for task in plan["tasks"]:
        name = task["runtime"]
        if name not in found:
            found[name] = _find(name)
    return found


def _find(name: str) -> "Engine | Udocker":
    if name == "singularity":
        from .engine import Engine

        return Engine()
    if name == "udocker":
        from .udocker import Udocker

        return Udocker()
    detail = "The wrapper does not know the runtime %s." % shown(name)
    raise JobFailed(RUNTIME_REFUSED, detail)


def versions(engines: "dict[str, Engine | Udocker]") -> str:
    """Of all of them, as the report has it."""
    return "; ".join(engine.version for engine in engines.values())
