"""Job descriptions from files and URLs."""

from pathlib import Path
from typing import Any

from prominence_hpc.adapter.spec.expand import expand
from prominence_hpc.adapter.spec.markup import parse
from prominence_hpc.adapter.spec.place import shown
from prominence_hpc.errors import NotFoundError, Problem, ProminenceError, SpecError, UsageError

__all__ = ["read_description", "read_text"]

URL_SCHEMES = ("http://", "https://")
MAXIMUM_BYTES = 100_000_000
TIMEOUT_SECONDS = 30


def read_description(source: str) -> dict[str, Any]:
    """The job or workflow description in the file or at the URL ``source``, expanded.

    Expanded: a ``cmd`` of several lines is one task a line or, beginning with ``#!``, a script
    among the inputs; an input ``file://PATH`` holds that file (descriptions in local files only).
    Not checked any further: :func:`prominence_hpc.adapter.spec.decode.decode_job` does that.

    Raises NotFoundError (no such file or address), UsageError (it cannot be read), SpecError (it is
    neither JSON nor YAML, holds no object, or an input cannot be read), and ProminenceError where
    the network fails.
    """
    remote = source.startswith(URL_SCHEMES)
    name = source.partition("?")[0] if remote else source  # a query may be a password
    content = fetch(source, name) if remote else read_local(Path(source))
    document = parse(decoded(content, name), name)
    if not isinstance(document, dict):
        what = "nothing" if document is None else shown(document)
        message = f"{name} must hold one object, a job or a workflow, not {what}"
        raise SpecError([Problem("", message)])
    return expand(document, None if remote else Path(source).parent)


def read_text(path: Path) -> str:
    """The text of a local file; errors as for :func:`read_description`."""
    return decoded(read_local(path), str(path))


def read_local(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        msg = f"{path} does not exist"
        raise NotFoundError(msg) from error
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise UsageError(msg) from error


def decoded(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{name} is not UTF-8 text (byte {error.start + 1})"
        raise SpecError([Problem("", message)]) from error


def fetch(url: str, name: str) -> bytes:
    """What is at ``url``; TLS is verified."""
    # 30 ms that only descriptions from the network pay.
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=TIMEOUT_SECONDS) as response:
            content: bytes = response.read(MAXIMUM_BYTES + 1)
    except HTTPError as error:
        error.close()
        msg = f"{name} cannot be fetched: the server answered {error.code} {error.reason}"
        raise (NotFoundError if error.code in (404, 410) else ProminenceError)(msg) from error
    except (URLError, OSError, HTTPException, ValueError) as error:
        msg = f"{name} cannot be fetched: {getattr(error, 'reason', error)}"
        raise ProminenceError(msg) from error
    if len(content) > MAXIMUM_BYTES:
        msg = f"{name} has more than {MAXIMUM_BYTES:,} bytes, which no description needs"
        raise ProminenceError(msg)
    return content
