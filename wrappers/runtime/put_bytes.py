"""Bytes in memory to a presigned address, tried again where that may help."""

from .errors import TransferError
from .retry import Transient, retrying
from .send import send
from .web import Web

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
        return send(self._web, "PUT", url, {}, len(data), lambda server: server.send(data))
