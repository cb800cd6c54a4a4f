"""What a site's table ``[sites.NAME]`` tells its backend; decoded and checked by adapter/config."""

from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "BackendName",
    "MailWay",
    "RuntimeName",
    "ShellWay",
    "SiteSettings",
    "SlurmTransport",
]

BackendName = Literal["slurm", "htcondor", "local"]
MailWay = Literal["none", "scheduler", "command"]
RuntimeName = Literal["singularity", "udocker"]
ShellWay = Literal["ssh", "srun"]
SlurmTransport = Literal["auto", "commands", "pyslurm"]


@dataclass(frozen=True, kw_only=True)
class SiteSettings:
    """One PROMINENCE site. Every field but the first two is a key of its table."""

    name: str
    backend: BackendName
    region: str | None = None
    # Slurm
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    slurm_transport: SlurmTransport = "auto"  # auto: pyslurm where it fits and saves time
    # --nice of a job without a priority. Slurm lets users only lower theirs: this is the room in
    # which a job's own priority moves it up (at most to 0) and down.
    nice: int = 100
    # Slurm: the option that asks for a job's scratch disk, with {mib} or {gb} for the number.
    disk_option: str | None = None
    # Written into every job: "#SBATCH" options without the prefix, or submit description lines.
    directives: tuple[str, ...] = ()
    preemptible_directives: tuple[str, ...] = ()  # after those, in jobs that may be preempted
    prologue: tuple[
        str, ...
    ] = ()  # shell lines of job.sh before the wrapper: "module load apptainer"
    mail: MailWay = "none"  # how a job's notifications are sent
    # Run on the node, with the message on standard input; {address} and {subject} are filled in.
    mail_command: tuple[str, ...] = ()
    shared_filesystem: bool | None = (
        None  # do nodes see the state folder? None: the backend's default
    )
    scratch: str | None = None
    # A folder that all nodes of a job of several nodes see. None: the job's own, where nodes see it.
    shared_scratch: str | None = None
    binds: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    # Names of variables of the login node that jobs get, with the value at submission.
    forward_environment: tuple[str, ...] = ()
    webdav: Literal["rclone"] | None = None  # how nodes mount WebDAV; none: not at all
    b2drop_url: str = "https://b2drop.eudat.eu/remote.php/webdav"
    # Container runtimes that the nodes have; none: not said, and then a node finds out.
    runtimes: tuple[RuntimeName, ...] = ()
    image_cache: str | None = "/var/tmp/prominence-$USER/images"
    image_cache_gb: float = 20.0
    staging_minutes: float = 10.0  # allowed beside the walltime for stage-in and stage-out
    command_timeout_seconds: float = 30.0  # one scheduler command or call
    # A command that goes on asking (watch, wait) lets at least this pass between two questions.
    poll_seconds: float = 0.5
    # A workflow of more jobs than this is refused before anything is submitted.
    largest_workflow: int = 100_000
    # Into running jobs. Slurm: which ways are tried, in this order; none: ssh, srun, and whichever
    # worked last is the first.
    shell: tuple[ShellWay, ...] = ()
    shell_timeout_seconds: float = 20.0  # for one way to answer
    ssh_known_hosts: str | None = None  # beside the user's and the system's
    ssh_host_ca: str | None = None  # public keys of authorities that sign the nodes' host keys
    slots: int = 0  # local: jobs at once; 0 means one per core
