"""Bytes in memory to a presigned address, tried again where that may help."""

import http.client

from .errors import TransferError
from .retry import Transient, retrying
from .web import Web, failure, network_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from .control import Control

PATIENCE_SECONDS = 60.0  # somebody waits for it


class PutBytes:
    """PUT by PUT; ``certificates`` as of :class:`.web.Web`."""

    def __init__(self, certificates: "Optional[str]", control: "Control") -> None:
        self._web = Web(certificates)
        self._control = control

    def __call__(self, url: str, data: bytes) -> str:
        """The stored object's or part's entity tag; raises TransferError."""
        try:
            return retrying(lambda: self._attempt(url, data), self._control, PATIENCE_SECONDS)
        except Transient as error:
            raise TransferError(str(error)) from error

    def _attempt(self, url: str, data: bytes) -> str:
        connection, target, headers = self._web.connect(url)
        headers["Content-Length"] = str(len(data))
        try:
            connection.request("PUT", target, headers=headers)
            early = _send(connection, data)
            response = connection.getresponse()
            if response.status not in (200, 201, 204):
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


def _send(connection: http.client.HTTPConnection, data: bytes) -> bool:
    """True where the server stopped listening: its answer then says why."""
    try:
        connection.send(data)
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False
