"""Why a job waits in Slurm, in words that say what it means and what to do about it, as data.

https://slurm.schedmd.com/job_reason_codes.html and, for older names,
https://slurm.schedmd.com/squeue.html#SECTION_JOB-REASON-CODES.
"""

import re
from collections.abc import Iterable
from typing import TypeVar

__all__ = ["NEVER_SATISFIED", "explained", "is_held"]

_Words = TypeVar("_Words")

# Also of a job that Slurm has taken out of the queue for it.
NEVER_SATISFIED = "DependencyNeverSatisfied"

_LESS = "delete it and ask for less"
_CONFIGURED = "delete it and check the site's configuration"
_ASK = "ask your site's administrators, or delete it"

# A pending job with one of these does not start unless somebody changes the job or the cluster:
# what is the matter, and what to do. Where a partition's limits are not enforced at submission
# (EnforcePartLimits=NO, the default), this is how a job that asks for too much shows.
_HELD = {
    "AccountNotAllowed": ("the partition is closed to its account", _CONFIGURED),
    "BadConstraints": ("no node has what it asks for", "delete it and ask for less or otherwise"),
    NEVER_SATISFIED: ("what it depends on has failed", "delete it"),
    "InvalidAccount": ("Slurm does not know its account", _CONFIGURED),
    "InvalidQOS": ("Slurm does not know its QOS", _CONFIGURED),
    "JobHeldAdmin": ("an administrator holds it", _ASK),
    "JobHeldUser": ("its owner holds it", "let it go with scontrol release, or delete it"),
    "JobHoldMaxRequeue": ("it was started anew too often", _ASK),
    "MaxRequeue": ("it was started anew too often", _ASK),
    "PartitionConfig": ("it asks for more than the partition's nodes have", _LESS),
    "PartitionNodeLimit": ("the partition does not allow its number of nodes", _LESS),
    "PartitionTimeLimit": ("it asks for more walltime than the partition allows", _LESS),
    "QOSNotAllowed": ("its QOS may not be used here", _CONFIGURED),
    "QosNotAllowed": ("its QOS may not be used here", _CONFIGURED),
    "ReservationDeleted": ("its reservation was deleted", _CONFIGURED),
    "ReservationInvalid": ("its reservation is not valid", _CONFIGURED),
    "job_requeued_in_held_state": ("it was put back into the queue and is held there", _ASK),
    "launch_failed_requeued_held": ("its node could not start it", _ASK),
}
# Limits of one job, whose words are too many to list.
_HELD_PATTERNS = (
    (
        r"(Assoc|QOS)Max\w*(PerJob|PerNode)(Limit)?",
        ("it asks for more than its account or QOS lets one job have", _LESS),
    ),
    (
        r"QOSMin\w*",
        ("it asks for less than its QOS demands of a job", "delete it and ask for more"),
    ),
)

# With these it starts by and by, untouched.
_WAITING = {
    "BeginTime": "Waiting for its begin time",
    "BurstBufferResources": "Waiting for burst buffer space",
    "BurstBufferStageIn": "Waiting for its burst buffer to be filled",
    "Cleaning": "Waiting for its earlier run to be cleaned up",
    "Dependency": "Waiting for the jobs it depends on",
    "JobArrayTaskLimit": "Waiting for other jobs of its array to end",
    "Licenses": "Waiting for a licence",
    "NodeDown": "Waiting for a node that is down",
    "Nodes_required_for_job_are_DOWN": "Waiting for nodes that are down, drained or reserved",
    "PartitionDown": "Waiting for the partition, which is down",
    "PartitionInactive": "Waiting for the partition, which starts no jobs now",
    "Priority": "Waiting behind jobs of higher priority",
    "Prolog": "Waiting for its nodes to be prepared",
    "ReqNodeNotAvail": "Waiting for nodes that are down, drained or reserved",
    "Reservation": "Waiting for its reservation to begin",
    "Resources": "Waiting for resources",
    "SchedDefer": "Waiting for the scheduler's next round",
}
_WAITING_PATTERNS = (
    (
        r"(Assoc|QOS)Grp\w*(?<!Run)Minutes\w*",
        "Waiting for new budget: that of its account or QOS is used up",
    ),
    (r"(Assoc|QOS)Grp\w*", "Waiting for other jobs of its account or QOS to end"),
    (
        r"(Assoc|QOS)Max\w*|Max\w+Per(Account|User)",
        "Waiting for other jobs of yours to end: the limit of your account or QOS is reached",
    ),
)


def is_held(reason: str) -> bool:
    """Whether a pending job with this reason is left where it is."""
    return _held(_word(reason)) is not None or "held" in reason.lower()


def explained(reason: str) -> str:
    """Slurm's reason in words, with its own in parentheses; one that is new is left as it is.

    >>> explained("Resources")
    'Waiting for resources (Resources)'
    >>> explained("PartitionTimeLimit").split(" (")[1]
    'PartitionTimeLimit): delete it and ask for less'
    """
    word = _word(reason)
    held = _held(word)
    if held is not None:
        return f"{held[0]} ({reason}): {held[1]}"
    waiting = _WAITING.get(word) or _first(_WAITING_PATTERNS, word)
    return f"{waiting} ({reason})" if waiting else reason


def _word(reason: str) -> str:
    """What a table knows: "ReqNodeNotAvail, UnavailableNodes:node1" without what follows it.

    The sentences among Slurm's reasons are printed with blanks by some versions, not by others.
    """
    match = re.match(r"\w+", reason.replace(" ", "_"))
    word = "" if match is None else match[0]
    sentence = "Nodes_required_for_job_are_DOWN"
    return sentence if word.startswith(sentence) else word


def _held(word: str) -> tuple[str, str] | None:
    return _HELD.get(word) or _first(_HELD_PATTERNS, word)


def _first(patterns: Iterable[tuple[str, _Words]], word: str) -> _Words | None:
    return next((words for pattern, words in patterns if re.fullmatch(pattern, word)), None)
