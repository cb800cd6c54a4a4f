"""known_hosts files: which keys and certificate authorities they hold for a host.

The format is that of sshd(8), SSH_KNOWN_HOSTS FILE FORMAT; where the page is silent, OpenSSH's hostfile.c and
match.c are followed.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

__all__ = [
    "DEFAULT_PORT",
    "KnownHost",
    "Marker",
    "key_type_of",
    "lookup",
    "lookup_name",
    "matches_pattern",
    "parse_known_hosts",
    "parse_public_key",
    "read_known_hosts",
]

DEFAULT_PORT = 22

_HASH_MAGIC = "|1|"
_LENGTH_BYTES = 4


class Marker(Enum):
    """What an entry says of its key."""

    HOST_KEY = ""
    AUTHORITY = "@cert-authority"
    REVOKED = "@revoked"


@dataclass(frozen=True, kw_only=True)
class KnownHost:
    """One line of a known_hosts file. ``names`` is its field as it stands: patterns, or one hash."""

    file: Path
    line: int
    marker: Marker
    names: str
    key_type: str
    key: bytes  # as it goes over the wire

    def matches(self, name: str) -> bool:
        """Whether this line is about ``name``: a host's, or ``[host]:port``."""
        if self.names.startswith(_HASH_MAGIC):
            return _matches_hash(name.lower(), self.names)
        return _matches_list(name.lower(), self.names.lower())


def read_known_hosts(files: Iterable[Path]) -> tuple[KnownHost, ...]:
    """The entries of all files, in their order. A file that is not there, or not ours to read, holds none."""
    entries: list[KnownHost] = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            continue  # as ssh does: most of the files that it names do not exist
        entries += parse_known_hosts(text, file)
    return tuple(entries)


def parse_known_hosts(text: str, file: Path) -> tuple[KnownHost, ...]:
    """The entries of a known_hosts text; comments and lines that cannot be read are skipped.

    As ssh does: one bad line, or a marker that is not known yet, does not lock a user out of every host.
    """
    # Not splitlines(), which knows line ends that OpenSSH does not: the numbers would differ.
    lines = text.split("\n")
    found = (_parse_line(line, file, number) for number, line in enumerate(lines, start=1))
    return tuple(entry for entry in found if entry is not None)


def lookup_name(host: str, port: int) -> str:
    """How known_hosts files call a host: by its name alone on ssh's own port."""
    return host if port == DEFAULT_PORT else f"[{host}]:{port}"


def lookup(entries: Iterable[KnownHost], name: str) -> tuple[KnownHost, ...]:
    """The entries, of any marker, that are about ``name``, in their order."""
    return tuple(entry for entry in entries if entry.matches(name))


def parse_public_key(key_type: str, encoded: str) -> bytes | None:
    """The bytes of a public key as files write it; None where it is no key, or not of that type."""
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    header = _LENGTH_BYTES + len(key_type)
    return key if key_type and key_type_of(key) == key_type and len(key) > header else None


def key_type_of(key: bytes) -> str:
    """The first field of a public key or certificate (RFC 4253, 6.6); empty where that is none."""
    length = int.from_bytes(key[:_LENGTH_BYTES], "big")
    name = key[_LENGTH_BYTES : _LENGTH_BYTES + length]
    return name.decode("ascii", "replace") if len(name) == length else ""


def matches_pattern(text: str, pattern: str) -> bool:
    """Whether a pattern of ssh_config(5), PATTERNS, matches: ``*`` and ``?`` alone are special.

    In time that grows with the product of the lengths: a regular expression would try for ages on
    ``*a*a*a*``, which whoever makes a certificate may write.
    """
    at = here = 0
    star, resume = -1, 0  # the last "*", and how much of the text it has taken
    while at < len(text):
        letter = pattern[here : here + 1]
        if letter == "*":
            star, resume = here, at
            here += 1
        elif letter and letter in ("?", text[at]):
            at, here = at + 1, here + 1
        elif star >= 0:
            resume += 1
            at, here = resume, star + 1
        else:
            return False
    return not pattern[here:].strip("*")


def _parse_line(line: str, file: Path, number: int) -> KnownHost | None:
    fields = line.replace("\r", " ").split()
    if not fields or fields[0].startswith("#"):
        return None
    marker = Marker.HOST_KEY
    if fields[0].startswith("@"):
        try:
            marker = Marker(fields.pop(0))
        except ValueError:
            return None  # a marker of the future: not to be taken for a plain key
    if len(fields) < 3 or fields[0].startswith("@"):
        return None
    names, key_type, encoded = fields[:3]
    key = parse_public_key(key_type, encoded)
    if key is None:
        return None
    return KnownHost(file=file, line=number, marker=marker, names=names, key_type=key_type, key=key)


def _matches_list(name: str, patterns: str) -> bool:
    """One pattern matches, and none of those with ``!`` in front does."""
    matched = False
    for pattern in patterns.split(","):
        if pattern.startswith("!"):
            if matches_pattern(name, pattern[1:]):
                return False
        elif pattern and matches_pattern(name, pattern):
            matched = True
    return matched


def _matches_hash(name: str, hashed: str) -> bool:
    """``|1|salt|hash``: HMAC-SHA1 of one name, so that a stolen file does not tell where its user goes."""
    salt, _, digest = hashed.removeprefix(_HASH_MAGIC).partition("|")
    try:
        key, expected = base64.b64decode(salt), base64.b64decode(digest)
    except (binascii.Error, ValueError):
        return False
    found = hmac.new(key, name.encode("utf-8", "surrogateescape"), hashlib.sha1).digest()
    return hmac.compare_digest(found, expected)
