"""What a site's configuration says about connections to its nodes."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["SSHPolicy"]


@dataclass(frozen=True, kw_only=True)
class SSHPolicy:
    """Whom to believe beside the user's own ssh configuration, and how long to wait.

    ``known_hosts_files`` are read as well as the user's and the system's. ``host_ca_files`` hold public keys
    of certificate authorities, one a line, each believed for every host. ``timeout_seconds`` is the
    limit of each step of each hop: the connection, the handshake, one key, one channel; a ConnectTimeout of the
    ssh configuration goes before it.
    """

    known_hosts_files: tuple[Path, ...] = ()
    host_ca_files: tuple[Path, ...] = ()
    timeout_seconds: float = 30.0
