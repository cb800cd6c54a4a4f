"""One request with a body, to an address that takes an object."""

import http.client

from .retry import Transient
from .web import failure, network_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from .web import Web

STORED = (200, 201, 204)


def send(
    web: "Web",
    method: str,
    url: str,
    headers: "dict[str, str]",
    length: int,
    write: "Callable[[http.client.HTTPConnection], None]",
) -> str:
    """Send ``length`` bytes by ``write``; returns the stored object's entity tag, where it has one.

    Raises what :func:`.web.failure` and :func:`.web.network_error` say, and whatever ``write`` does.
    """
    connection, target, extra = web.connect(url)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for key, value in dict(headers, **extra).items():
            connection.putheader(key, value)
        connection.putheader("Content-Length", str(length))
        connection.endheaders()
        early = not _written(connection, write)
        response = connection.getresponse()
        if response.status not in STORED:
            raise failure(response)
        if early:
            msg = "the server answered before all was sent"
            raise Transient(msg)
        response.read()
        return response.getheader("ETag") or ""
    except (OSError, http.client.HTTPException) as error:
        raise network_error(error) from error
    finally:
        connection.close()


def _written(
    connection: http.client.HTTPConnection,
    write: "Callable[[http.client.HTTPConnection], None]",
) -> bool:
    """False where the server stopped listening: its answer then says why."""
    try:
        write(connection)
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True
