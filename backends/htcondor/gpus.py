"""GPUs in a submit description: https://htcondor.readthedocs.io, "Jobs That Require GPUs"."""

import re

from prominence_hpc.backends.base import Submission

__all__ = ["require_gpus"]


def require_gpus(submission: Submission) -> str | None:
    """What each GPU must be: the type as a whole word of its DeviceName, in any case.

    ``tesla-v100`` is found in "Tesla V100-PCIE-16GB"; ``a10`` is not in "NVIDIA A100".
    """
    if submission.gpu_type is None:
        return None
    words = re.sub(r"[-_]", "[-_ ]", submission.gpu_type.replace(".", "[.]"))
    edge = (
        "[^A-Za-z0-9]"  # no "$" for the end: submit descriptions have a meaning of their own for it
    )
    return f'regexp("{edge}{words}{edge}", strcat(" ", DeviceName, " "), "i")'
