"""Names as bytes whatever the locale, and addresses without what makes them secret."""


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
    """
    if "://" not in source:
        return source
    scheme, rest = source.split("://", 1)
    for mark in "?#":
        rest = rest.split(mark, 1)[0]
    host, slash, path = rest.partition("/")
    return scheme + "://" + host.rpartition("@")[2] + slash + path


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
