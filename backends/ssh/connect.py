"""Connections to hosts, hop by hop, as the user's ssh configuration has them and our policy allows.

paramiko is imported by the functions of this module, not with it.
"""

import socket
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from prominence_hpc.backends.ssh.carriers import ProxyProcess, connect_tcp, tune
from prominence_hpc.backends.ssh.client_config import ClientSettings, Hop, read_client_settings
from prominence_hpc.backends.ssh.host_keys import ExpectedHost, read_authorities, read_revoked
from prominence_hpc.backends.ssh.known_hosts import KnownHost, read_known_hosts
from prominence_hpc.backends.ssh.policy import SSHPolicy
from prominence_hpc.errors import RemoteError

if TYPE_CHECKING:
    from prominence_hpc.backends.ssh.connection import Connection
    from prominence_hpc.backends.ssh.transport import Carrier

__all__ = ["SSHPolicy", "connect", "connect_over"]

_MOST_HOPS = 8


def connect(host: str, policy: SSHPolicy) -> "Connection":
    """Connect to ``host`` as the user's ssh configuration says, through its jump hosts or ProxyCommand.

    Each hop is verified in the same way. Raises RemoteError, which names the hop that failed; then nothing is left
    behind.
    """
    return _connect_hop(Hop(host), (), policy, depth=0)


def connect_over(
    sock: socket.socket,
    *,
    host: str,
    user: str,
    key_file: Path,
    known_hosts_file: Path,
    timeout_seconds: float,
) -> "Connection":
    """The same on a socket that is connected, with one key and one known_hosts file, and no ssh configuration.

    ``host`` is what the file calls the host. The socket is closed with the connection, or where that fails.
    """
    from prominence_hpc.backends.ssh.connection import Connection, authenticate, start
    from prominence_hpc.backends.ssh.identities import Identity, KeyFileError, load_key

    with ExitStack() as carriers:
        carriers.enter_context(closing(sock))
        tune(sock)
        expected = ExpectedHost(
            host=host,
            entries=read_known_hosts([known_hosts_file]),
            files=(known_hosts_file,),
            direct=False,
        )
        try:
            identity = Identity(str(key_file), load_key(key_file))
        except KeyFileError as error:
            msg = f"The key {key_file} for {host} cannot be used: {error}; try again."
            raise RemoteError(msg) from error
        transport = start(host, sock, expected, timeout_seconds=timeout_seconds)
        carriers.callback(transport.end)
        authenticate(host, user, transport, [identity], [])
        return Connection(host, transport, carriers.pop_all())


def _connect_hop(
    hop: Hop, jumps: tuple[Hop, ...], policy: SSHPolicy, *, depth: int
) -> "Connection":
    """``jumps`` are those that the command line of ``ssh -J`` would have: they go before the hop's own."""
    from prominence_hpc.backends.ssh.connection import Connection, authenticate, start
    from prominence_hpc.backends.ssh.identities import Identities

    if depth > _MOST_HOPS:
        msg = f"{hop.host} is behind more than {_MOST_HOPS} jump hosts; is there a loop of ProxyJump in ~/.ssh/config?"
        raise RemoteError(msg)
    settings = read_client_settings(hop.host, user=hop.user, port=hop.port)
    timeout = settings.connect_timeout_seconds or policy.timeout_seconds
    expected = _expected(settings, policy, direct=not (jumps or settings.proxy_jump))
    with ExitStack() as carriers:
        carrier, proxy = _reach(settings, jumps, policy, carriers, depth=depth, timeout=timeout)
        try:
            transport = start(hop.host, carrier, expected, timeout_seconds=timeout)
        except RemoteError as error:
            if proxy is not None and (said := proxy.said()):
                msg = f"{error} The ProxyCommand said: {said}"
                raise RemoteError(msg) from error
            raise
        carriers.callback(transport.end)
        with closing(Identities(settings)) as identities:
            authenticate(hop.host, settings.user, transport, identities, identities.unusable)
        return Connection(hop.host, transport, carriers.pop_all())


def _reach(
    settings: ClientSettings,
    jumps: tuple[Hop, ...],
    policy: SSHPolicy,
    carriers: ExitStack,
    *,
    depth: int,
    timeout: float,
) -> tuple["Carrier", ProxyProcess | None]:
    """What carries the connection to a host; ``carriers`` will close it."""
    jumps = jumps or settings.proxy_jump
    if jumps:
        # As "ssh -J first,second": the last is reached through those before it
        before = _connect_hop(jumps[-1], jumps[:-1], policy, depth=depth + 1)
        carriers.callback(before.close)
        return before.open_tunnel(settings.hostname, settings.port), None
    if settings.proxy_command:
        proxy = ProxyProcess(settings.proxy_command, settings.host)
        carriers.callback(proxy.close)
        return proxy.sock, proxy
    sock = connect_tcp(settings.hostname, settings.port, timeout_seconds=timeout)
    carriers.callback(sock.close)
    return sock, None


def _expected(settings: ClientSettings, policy: SSHPolicy, *, direct: bool) -> ExpectedHost:
    """All that is known of a host. An alias stands for the port too, as for ssh."""
    files = (*settings.known_hosts_files, *policy.known_hosts_files)
    entries: tuple[KnownHost, ...] = read_known_hosts(files)
    authorities = read_authorities(policy.host_ca_files)
    revoked = read_revoked(settings.revoked_keys_files)
    alias = settings.host_key_alias
    if alias is not None:
        return ExpectedHost(
            host=alias,
            entries=entries,
            files=files,
            authorities=authorities,
            revoked=revoked,
            direct=False,
        )
    return ExpectedHost(
        host=settings.hostname,
        port=settings.port,
        entries=entries,
        files=files,
        authorities=authorities,
        revoked=revoked,
        direct=direct and not settings.proxy_command,
    )
