"""HTCondor's numbers for what becomes of a job, as data.

JobStatus: https://htcondor.readthedocs.io/en/latest/codes-other-values/job-status-codes.html
HoldReasonCode: https://htcondor.readthedocs.io/en/latest/codes-other-values/hold-table.html
"""

from prominence_hpc.backends.base import Cause, Condition

__all__ = ["HOLD_CAUSES", "JOB_STATUS"]

JOB_STATUS: dict[int, tuple[Condition, Cause]] = {
    1: (Condition.QUEUED, Cause.NONE),  # idle
    2: (Condition.RUNNING, Cause.NONE),
    3: (Condition.ENDED, Cause.CANCELLED),  # removed
    4: (Condition.ENDED, Cause.EXITED),  # completed
    5: (Condition.HELD, Cause.NONE),
    6: (Condition.RUNNING, Cause.NONE),  # transferring output
    7: (Condition.RUNNING, Cause.NONE),  # suspended
}

# A held job stays in the queue for ever. These reasons say that it did run, or could not, and that
# waiting will not help; all others (a person or a policy held it) leave the cause open.
HOLD_CAUSES: dict[int, Cause] = {
    6: Cause.REFUSED,  # failed to create the process
    7: Cause.REFUSED,  # unable to open output
    8: Cause.REFUSED,  # unable to open input
    9: Cause.REFUSED,  # unable to open output stream
    10: Cause.REFUSED,  # unable to open input stream
    11: Cause.REFUSED,  # invalid transfer acknowledgement
    12: Cause.REFUSED,  # transfer of outputs failed
    13: Cause.REFUSED,  # transfer of inputs failed
    14: Cause.REFUSED,  # initial directory
    17: Cause.REFUSED,  # no such shadow
    19: Cause.REFUSED,  # site's prepare hook
    22: Cause.REFUSED,  # user log
    23: Cause.REFUSED,  # user account
    32: Cause.REFUSED,  # inputs larger than allowed
    33: Cause.REFUSED,  # outputs larger than allowed
    34: Cause.MEMORY,  # used more memory than it asked for
    46: Cause.WALLTIME,  # allowed_job_duration
    47: Cause.WALLTIME,  # allowed_execute_duration
    48: Cause.REFUSED,  # site's prepare hook
}
