"""One hop: the handshake, the user's keys, and what a connection is closed with."""

import time
from collections.abc import Iterable
from contextlib import ExitStack

from paramiko import AuthenticationException, BadAuthenticationType, Channel, SSHException

from prominence_hpc.backends.ssh.host_keys import (
    ExpectedHost,
    check_host_key,
    host_key_algorithms,
)
from prominence_hpc.backends.ssh.identities import Identity
from prominence_hpc.backends.ssh.transport import Carrier, VerifiedTransport, describe
from prominence_hpc.errors import RemoteError

__all__ = ["Connection", "authenticate", "start"]


class Connection:
    """A host that is who it should be, and has let the user in; with all that carries the connection."""

    def __init__(self, host: str, transport: VerifiedTransport, carriers: ExitStack) -> None:
        self.host = host
        self.transport = transport
        self._carriers = carriers

    def open_channel(self) -> Channel:
        """A channel for one program. Raises RemoteError."""
        try:
            return self.transport.open_session()
        except (SSHException, OSError, EOFError) as error:
            msg = (
                f"{self.host} opens no channel for a program: {describe(error)}"
                f"{_in_its_words(self.transport)}; try again."
            )
            raise RemoteError(msg) from error

    def open_tunnel(self, host: str, port: int) -> Carrier:
        """A connection from this host to another. Raises RemoteError."""
        try:
            return self.transport.open_tunnel(host, port)
        except (SSHException, OSError, EOFError) as error:
            msg = (
                f"The jump host {self.host} does not connect to {host} port {port}: {describe(error)}; check that "
                f"it knows {host} and may forward connections (AllowTcpForwarding)."
            )
            raise RemoteError(msg) from error

    def close(self) -> None:
        """End the connection, then the hops and programs that carry it."""
        with self._carriers:
            self.transport.end()


def start(
    host: str, carrier: Carrier, expected: ExpectedHost, *, timeout_seconds: float
) -> VerifiedTransport:
    """Exchange keys with a host that proves who it is. Raises RemoteError, and leaves the carrier to its owner."""
    transport = VerifiedTransport(
        carrier,
        algorithms=host_key_algorithms(expected),
        accept=lambda shown: check_host_key(shown, expected, now=time.time()),
        timeout_seconds=timeout_seconds,
    )
    try:
        transport.shake_hands()
    except TimeoutError as error:
        transport.end()
        msg = (
            f"{host} takes connections but has not ended the handshake within {timeout_seconds:g} seconds; it may be "
            "overloaded: try again later, or raise ConnectTimeout in ~/.ssh/config."
        )
        raise RemoteError(msg) from error
    except (EOFError, ConnectionError) as error:
        transport.end()
        msg = (
            f"{host} closed the connection during the handshake{_in_its_words(transport)}; its sshd may be full "
            "(MaxStartups) or may not admit this host: try again, then ask your administrator."
        )
        raise RemoteError(msg) from error
    except (SSHException, OSError) as error:
        transport.end()
        msg = f"There is no common ground with {host}: {describe(error)}; tell your administrator."
        raise RemoteError(msg) from error
    except RemoteError:
        transport.end()
        raise
    return transport


def authenticate(
    host: str,
    user: str,
    transport: VerifiedTransport,
    identities: Iterable[Identity],
    unusable: list[str],
) -> None:
    """Try the keys one by one until the host lets ``user`` in. Raises RemoteError, which names them all.

    ``unusable`` grows with the keys that ``identities`` could not give.
    """
    tried: list[str] = []
    wanted: list[str] = []
    for identity in identities:
        tried.append(identity.name)
        try:
            wanted = transport.auth_publickey(user, identity.key)
        except BadAuthenticationType as error:
            raise RemoteError(_not_by_key(host, user, error.allowed_types)) from error
        except (SSHException, OSError, EOFError) as error:
            _check_still_there(host, user, transport, error)
        if transport.is_authenticated():
            transport.stay_alive()
            return
    if wanted:
        raise RemoteError(_not_by_key(host, user, wanted))
    raise RemoteError(_no_key(host, user, tried, unusable))


def _check_still_there(
    host: str, user: str, transport: VerifiedTransport, error: Exception
) -> None:
    """Where the host has only refused one key, return; where it is gone, that is the answer to all of them."""
    if transport.is_active():
        if isinstance(error, AuthenticationException) and "timeout" in str(error):
            msg = (
                f"{host} has not answered whether it lets {user} in within {transport.timeout_seconds:g} seconds; "
                "try again later, or raise ConnectTimeout in ~/.ssh/config."
            )
            raise RemoteError(msg) from error
        return
    msg = (
        f"{host} lets nobody in as {user}: it closed the connection{_in_its_words(transport)}. Where it admits "
        "only users with a running job, check that yours still runs there; else ask your administrator."
    )
    raise RemoteError(msg) from error


def _in_its_words(transport: VerifiedTransport) -> str:
    words = "; ".join(text for text in (transport.banner, transport.farewell) if text)
    return f" ('{words}')" if words else ""


def _not_by_key(host: str, user: str, wanted: list[str]) -> str:
    return (
        f"{host} does not let {user} in by a key alone, but asks for {' or '.join(wanted)}, which we do not give: "
        "nothing is asked of you in the middle of a transfer. Ask your administrator for access by key."
    )


def _no_key(host: str, user: str, tried: list[str], unusable: list[str]) -> str:
    if not tried and not unusable:
        return (
            f"There is no key to show to {host} for {user}; make one by ssh-keygen, and add its public half to "
            "~/.ssh/authorized_keys there."
        )
    said = f"{host} accepts none of {user}'s keys"
    said += f": tried {', '.join(tried)}" if tried else ": there was none to try"
    said += f"; not tried: {', '.join(unusable)}" if unusable else ""
    return (
        f"{said}. Add the public half of one to ~/.ssh/authorized_keys there, or name the right one by "
        "IdentityFile in ~/.ssh/config."
    )
