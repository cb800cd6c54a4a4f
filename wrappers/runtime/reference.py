"""Names of images in registries, taken apart: SCHEME://HOST/NAME:TAG@DIGEST."""

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
HUB = "registry-1.docker.io"
HUB_NAMES = ("docker.io", "index.docker.io", HUB)


class Reference:
    """An image in a registry that speaks the API of docker's. ``digest`` pins it whatever ``tag`` says."""

    def __init__(self, scheme: str, host: str, name: str, tag: str, digest: str) -> None:
        self.scheme = scheme  # docker or oras
        self.host = host  # with its port
        self.name = name
        self.tag = tag
        self.digest = digest  # "sha256:…", or ""

    @property
    def server(self) -> str:
        """Where the API answers: that of Docker Hub has another name than its images."""
        return HUB if self.host in HUB_NAMES else self.host

    def pinned(self, digest: str) -> str:
        """The same image by its content, as runtimes take it: they refuse a tag beside a digest."""
        return "%s://%s/%s@%s" % (self.scheme, self.host, self.name, digest)


def parse(source: str) -> "Optional[Reference]":
    """The parts of a ``docker://`` or ``oras://`` name; None where it is none, or has no such parts.

    >>> found = parse("docker://busybox")
    >>> found.host, found.name, found.tag, found.digest
    ('docker.io', 'library/busybox', 'latest', '')
    >>> found = parse("oras://host:5000/a/b:1")
    >>> found.host, found.name, found.tag
    ('host:5000', 'a/b', '1')
    >>> parse("library://a/b/c:1") is None
    True
    """
    scheme, _, rest = source.partition("://")
    if scheme not in ("docker", "oras"):
        return None
    rest, _, digest = rest.lstrip("/").partition("@")
    if digest and not DIGEST.match(digest):
        return None
    host, slash, name = rest.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, name = HUB_NAMES[0], rest
    name, _, tag = name.partition(":")
    if host in HUB_NAMES and "/" not in name:
        name = "library/" + name
    return Reference(scheme, host, name, tag or "latest", digest) if name else None
