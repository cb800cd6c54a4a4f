"""Is there anything at the web addresses that a job names? Asked before it is submitted.

Only a server's plain "no" counts. Nodes may reach what the login node cannot, and be let in where it
is not, so that everything else, and whatever takes longer than a moment, is left for them to find.
"""

import time
from base64 import b64encode
from collections.abc import Sequence
from threading import Thread
from urllib.parse import quote, unquote, urljoin, urlsplit

from prominence_hpc.adapter.storage.connection import Connection, Endpoint, Response
from prominence_hpc.adapter.storage.trace import trace
from prominence_hpc.errors import ConfigError, NotFoundError

__all__ = ["refuse_missing"]

PATIENCE_SECONDS = 5.0
REDIRECTS = 5
ABSENT = frozenset({404, 410})
# Some servers refuse HEAD itself, or sign addresses for GET alone: what GET says counts then.
ASKED_AGAIN = ABSENT | {403, 405, 501}
REDIRECTED = frozenset({301, 302, 303, 307, 308})


def refuse_missing(urls: Sequence[str]) -> None:
    """Raise NotFoundError that lists every address, without its query, where there is nothing.

    All are asked at once, and after PATIENCE_SECONDS no more is waited for.
    """
    statuses: dict[str, int] = {}
    # Daemons: a name that cannot be resolved may take minutes, and no exit is to wait for that.
    threads = [
        Thread(target=_ask, args=(url, statuses), daemon=True) for url in dict.fromkeys(urls)
    ]
    deadline = time.monotonic() + PATIENCE_SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    missing = [shown(url) for url in dict.fromkeys(urls) if statuses.get(url) in ABSENT]
    if missing:
        msg = f"There is nothing at {', '.join(missing)}: the server says that it does not exist."
        raise NotFoundError(msg)


def _ask(url: str, statuses: dict[str, int]) -> None:
    try:
        statuses[url] = final_status(url)
        trace(f"{shown(url)} is answered with {statuses[url]}")
    except (OSError, ValueError, KeyError, ConfigError) as error:
        trace(f"{shown(url)} cannot be asked from here: {type(error).__name__}")


def final_status(url: str) -> int:
    """What the last of the redirects says. Raises OSError, ValueError or ConfigError."""
    for _ in range(REDIRECTS + 1):
        response = _request("HEAD", url)
        if response.status in ASKED_AGAIN:
            response = _request("GET", url)
        if response.status not in REDIRECTED or "location" not in response.headers:
            break
        url = urljoin(url, response.headers["location"])
    return response.status


def _request(method: str, url: str) -> Response:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    endpoint = Endpoint(parts.scheme, parts.hostname or "", port)
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    headers = {"host": endpoint.authority, "accept-encoding": "identity", "range": "bytes=0-0"}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["authorization"] = f"Basic {b64encode(login.encode()).decode()}"
    if method == "HEAD":
        del headers["range"]
    with Connection(endpoint, None) as connection:
        try:
            return connection.request(method, target, headers, sink=_refuse_body)
        except _Found:
            return Response(200, {}, bytearray())


class _Found(Exception):
    """The body of a success begins: nobody wants it, and it may be long."""


def _refuse_body(_: memoryview) -> None:
    raise _Found


def shown(url: str) -> str:
    """The address for a message: without its user and its query, which may hold secrets.

    >>> shown("https://me:secret@data.example:8443/a/b.tgz?signature=secret")
    'https://data.example:8443/a/b.tgz'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
