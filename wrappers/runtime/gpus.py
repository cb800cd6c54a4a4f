"""GPUs of this node, and how the container gets to see them."""

import os

from .errors import GPUS_MISSING, JobFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What a driver leaves where it is loaded. With --contain a container's /dev has none of it.
NVIDIA = b"/dev/nvidiactl"
AMD = b"/dev/kfd"
OTHER = b"/dev/dri"  # Intel's, for which Apptainer has no option


def check(plan: "dict[str, Any]") -> None:
    """Raise JobFailed where the job asked for GPUs and the node has no driver for any."""
    if plan["gpus"] and not options(plan):
        places = ", ".join(path.decode("ascii") for path in (NVIDIA, AMD, OTHER))
        detail = "Node %s has no GPU driver: there is none of %s." % (os.uname().nodename, places)
        raise JobFailed(GPUS_MISSING, detail)


def options(plan: "dict[str, Any]") -> "list[bytes]":
    """Options of the container runtime; none for a job that asked for no GPU.

    Which of a node's GPUs are the job's, the device variables say (:data:`.container.DEVICES`).
    """
    if not plan["gpus"]:
        return []
    found = [(NVIDIA, b"--nv"), (AMD, b"--rocm")]
    words = [option for path, option in found if os.path.exists(path)]
    if not words and os.path.exists(OTHER):
        return [b"--bind", OTHER]
    return words
