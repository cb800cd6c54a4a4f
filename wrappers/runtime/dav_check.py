"""Whether a WebDAV server is there and takes the user's name and password: one PROPFIND (RFC 4918)."""

import http.client
from base64 import b64encode

from .errors import TransferError
from .web import AGENT, Refused, Web, failure, network_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

DENIED = (401, 403)


def check(settings: "dict[str, Any]", certificates: "Optional[str]") -> None:
    """Raises Transient, or TransferError with a sentence that holds neither name nor password."""
    connection, target, extra = Web(certificates).connect(settings["url"])
    pair = ("%s:%s" % (settings["username"], settings["password"])).encode("utf-8")
    headers = {
        "User-Agent": AGENT,
        "Authorization": "Basic " + b64encode(pair).decode("ascii"),
        "Depth": "0",
        "Content-Length": "0",
        "Connection": "close",
    }
    headers.update(extra)
    try:
        connection.request("PROPFIND", target, headers=headers)
        response = connection.getresponse()
        if response.status >= 400:
            raise failure(response)
    except Refused as error:
        if error.status in DENIED:
            msg = "the server does not take this user name and password (%d)" % error.status
            raise TransferError(msg) from error
        raise
    except (OSError, http.client.HTTPException) as error:
        raise network_error(error) from error
    finally:
        connection.close()
