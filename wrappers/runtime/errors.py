"""What ends a job before its time, and what ends one request."""

IMAGE_FAILED = "Container image pull failed"
ARTIFACT_FAILED = "Artifact download failed"
UNPACK_FAILED = "Artifact uncompress failed"
OUTPUT_MISSING = "Stageout failed due to no such file or directory"
UPLOAD_FAILED = "Unable to stageout output to object storage"
WALLTIME = "Walltime limit exceeded"
MEMORY = "Memory limit exceeded"
ENDED_EARLY = "Job was cancelled or preempted"
INPUT_FAILED = "Input file could not be written"
SCRATCH_FAILED = "Working directory could not be made"
RUNTIME_MISSING = "Container runtime not found"
RUNTIME_REFUSED = "Container runtime not supported"
STORAGE_FAILED = "Storage could not be mounted"
STORAGE_LOST = "Storage could not be written to"
GPUS_MISSING = "GPUs not found on the node"
TASK_NOT_STARTED = "Task could not be started"
NODES_FAILED = "Nodes of the job could not be started"
NODE_LOST = "Node of the job was lost"
WRAPPER_FAILED = "Wrapper failed"
QUEUE_TIME = "Maximum time in queue exceeded"


class JobFailed(Exception):
    """The job cannot go on. ``reason`` is one of the words above; ``detail`` one sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class Stopped(Exception):
    """The job must end now: the scheduler said so, or its time is over. See ``Control``."""


class UnsafeName(Exception):
    """A name or link that would leave the folder it belongs to."""


class TransferError(Exception):
    """Data could not be moved; says why in one sentence, without any address's query string."""


class Corrupt(Exception):
    """Data arrived whole and is not what it should be."""
