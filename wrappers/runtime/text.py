"""Names as bytes whatever the locale, and addresses without what makes them secret."""

import re

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")


def encode(name: str) -> bytes:
    """A name of the plan as the file system has it; bytes that are no UTF-8 come back as they were."""
    return name.encode("utf-8", "surrogateescape")


def decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def shown(name: "str | bytes") -> str:
    """A name for messages: one line, always encodable, what cannot be shown escaped."""
    text = decode(name) if isinstance(name, bytes) else name
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def redact(source: str) -> str:
    """An address without user, password, query and fragment: presigned queries are credentials.

    >>> redact("https://me:pw@host/a/b.tar?X-Amz-Signature=1#x")
    'https://host/a/b.tar'
    >>> redact("docker://me:pw@host/image@sha256:12")
    'docker://host/image@sha256:12'
    """
    if "://" not in source:
        return source
    scheme, rest = source.split("://", 1)
    for mark in "?#":
        rest = rest.split(mark, 1)[0]
    host, slash, path = rest.partition("/")
    host, mark, digest = host.partition("@sha256:")  # of an image that has no server's name
    host = host.rpartition("@")[2]
    port = (host.partition("]")[2] or host).rpartition(":")[2] if ":" in host else ""
    if is_url(source) and not (port.rstrip(".,;") or "0").isdigit() and not port.endswith("]"):
        host = "..."  # no port but half of a password: one with a / or ? that was not escaped
    return scheme + "://" + host + mark + digest + slash + path


def scrub(words: str) -> str:
    """A message, which may be another program's, whose addresses are redacted.

    >>> scrub('Get "https://me:pw@host/a?token=1": EOF')
    'Get "https://host/a": EOF'
    """
    return ADDRESS.sub(lambda match: redact(match.group()), words)


def is_url(source: str) -> bool:
    return source.lower().startswith(("http://", "https://"))


def size_text(count: float) -> str:
    """A number of bytes for people.

    >>> size_text(1536)
    '1.5 KiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return ("%d %s" if unit == "B" else "%.1f %s") % (count, unit)
        count /= 1024.0
    return "%.1f TiB" % count
