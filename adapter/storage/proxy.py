"""Which proxy a request goes through: ``https_proxy``, ``http_proxy``, ``no_proxy``.

Compute centres often let their login nodes out through a proxy alone. The rules are those of curl
(man page curl(1), "Environment"): lower case first; ``HTTP_PROXY`` in capitals is not read, since
web servers set it from what strangers send.
"""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from prominence_hpc.errors import ConfigError

__all__ = ["Proxy", "find_proxy"]


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy; ``headers`` carry its user and password, if it wants any."""

    host: str
    port: int
    headers: dict[str, str] = field(default_factory=dict, repr=False)


def find_proxy(
    scheme: str, host: str, port: int, environ: Mapping[str, str] | None = None
) -> Proxy | None:
    """The proxy for this host, or None. Raises ConfigError where the variable cannot be read."""
    environ = os.environ if environ is None else environ
    names = ["https_proxy", "HTTPS_PROXY"] if scheme == "https" else ["http_proxy"]
    for name in [*names, "all_proxy", "ALL_PROXY"]:
        if environ.get(name):
            excepted = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
            return None if is_excepted(host, port, excepted) else _parse(name, environ[name])
    return None


def is_excepted(host: str, port: int, no_proxy: str) -> bool:
    """Does ``no_proxy`` name this host, a domain above it, or a network it is in?

    >>> is_excepted("s3.site.org", 443, "localhost, .site.org"), is_excepted("s3", 443, "*")
    (True, True)
    >>> is_excepted("mysite.org", 443, "site.org"), is_excepted("10.1.2.3", 80, "10.0.0.0/8")
    (False, True)
    """
    host = host.lower()
    for entry in no_proxy.lower().replace(",", " ").split():
        name = entry.removesuffix(f":{port}").lstrip(".")
        if entry == "*" or host == name or host.endswith(f".{name}") or _in_network(host, name):
            return True
    return False


def _in_network(host: str, network: str) -> bool:
    if "/" not in network:
        return False
    import ipaddress  # here: rarely needed, and it takes a few milliseconds

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _parse(name: str, value: str) -> Proxy:
    parts = urlsplit(value if "://" in value else f"http://{value}")
    try:
        port = parts.port or 1080
    except ValueError:
        port = 0
    if parts.scheme != "http" or not parts.hostname or not port:
        msg = f"The variable {name} does not name an HTTP proxy: write http://HOST:PORT."
        raise ConfigError(msg)
    headers = {}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["proxy-authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return Proxy(parts.hostname, port, headers)
