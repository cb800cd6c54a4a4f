"""What ``-v`` shows of requests to storage and to web servers."""

import sys

__all__ = ["trace"]


def trace(message: str) -> None:
    """Log it, if anybody listens; never a secret, nor the query of a URL, which may hold one."""
    # logging takes milliseconds to import, which "create" would pay for nothing: whoever wants to
    # read these messages has imported it.
    logging = sys.modules.get("logging")
    if logging is not None:
        logging.getLogger("prominence_hpc").debug("%s", message)
