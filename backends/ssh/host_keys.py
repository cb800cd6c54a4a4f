"""The verdict on the key that a host shows, and which of its keys to ask for."""

import base64
import hashlib
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from prominence_hpc.backends.ssh.known_hosts import (
    DEFAULT_PORT,
    KnownHost,
    Marker,
    key_type_of,
    lookup,
    lookup_name,
    parse_public_key,
)
from prominence_hpc.errors import HostKeyError, RemoteError

__all__ = [
    "ExpectedHost",
    "check_host_key",
    "fingerprint",
    "host_key_algorithms",
    "read_authorities",
    "read_revoked",
]

CERTIFICATE_SUFFIX = "-cert-v01@openssh.com"
_REVOCATION_LIST = b"SSHKRL\n"  # PROTOCOL.krl

# A key's type, and the names under which a handshake may agree on it: RSA keys sign by SHA-2 (RFC 8332).
_ALGORITHMS = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}


@dataclass(frozen=True, kw_only=True)
class ExpectedHost:
    """A host that we are about to connect to, and all that is known of its keys.

    ``host`` is the name under which it is known: HostKeyAlias where there is one, else the HostName;
    ``entries`` are those of all ``files``. ``authorities`` are public keys of certificate authorities that
    the site believes for every host, and ``direct`` says whether the host answers whoever asks from here.
    """

    host: str
    port: int = DEFAULT_PORT
    entries: tuple[KnownHost, ...] = ()
    files: tuple[Path, ...] = ()
    authorities: frozenset[bytes] = frozenset()
    revoked: frozenset[bytes] = frozenset()  # by RevokedHostKeys of the ssh configuration
    direct: bool = True

    @property
    def name(self) -> str:
        """The name that known_hosts files have for it."""
        return lookup_name(self.host, self.port)

    def known(self, *markers: Marker) -> tuple[KnownHost, ...]:
        """Entries about this host and port."""
        return tuple(entry for entry in lookup(self.entries, self.name) if entry.marker in markers)

    def known_at_any_port(self, *markers: Marker) -> tuple[KnownHost, ...]:
        """With those about the host's plain name, which ssh looks for where those of the port say nothing."""
        plain = lookup(self.entries, self.host) if self.port != DEFAULT_PORT else ()
        return self.known(*markers) + tuple(entry for entry in plain if entry.marker in markers)


def read_authorities(files: Iterable[Path]) -> frozenset[bytes]:
    """The public keys in files of a site's certificate authorities, one a line.

    Raises RemoteError where a file cannot be read or a line is no key: somebody has configured it to be believed.
    """
    keys: set[bytes] = set()
    for file in files:
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            msg = f"{file} cannot be read: {error.strerror}; correct ssh_host_ca in the site's configuration."
            raise RemoteError(msg) from error
        for number, line in enumerate(lines, start=1):
            if line.strip() and not line.lstrip().startswith("#"):
                keys.add(_authority(file, number, line))
    return frozenset(keys)


def read_revoked(files: Iterable[Path]) -> frozenset[bytes]:
    """The public keys in the files that RevokedHostKeys names, one a line.

    Raises RemoteError where a file cannot be read, as ssh then believes no host at all, or is a binary
    key revocation list, which is not read here.
    """
    keys: set[bytes] = set()
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            msg = f"{file}, which RevokedHostKeys names, cannot be read: {error.strerror}."
            raise RemoteError(msg) from error
        if content.startswith(_REVOCATION_LIST):
            msg = (
                f"{file}, which RevokedHostKeys names, is a binary key revocation list, and not read here; "
                "list the keys as text, one a line, or as @revoked in a known_hosts file."
            )
            raise RemoteError(msg)
        for line in content.decode("utf-8", "replace").splitlines():
            fields = line.split()
            if len(fields) > 1 and (key := parse_public_key(fields[0], fields[1])):
                keys.add(key)
    return frozenset(keys)


def _authority(file: Path, number: int, line: str) -> bytes:
    fields = line.split()
    key = parse_public_key(fields[0], fields[1]) if len(fields) > 1 else None
    if key is None:
        msg = (
            f"Line {number} of {file} is no public key; ssh_host_ca names files of lines such as "
            "'ssh-ed25519 AAAA… comment'."
        )
        raise RemoteError(msg)
    return key


def host_key_algorithms(expected: ExpectedHost) -> tuple[str, ...]:
    """What to ask a host for, the best first, as OpenSSH orders it (order_hostkeyalgs).

    Certificates where somebody who may sign them is known, then the types of which a key is known: a host
    that is known by its RSA key alone must not show us its Ed25519 key, which would look unknown.
    """
    known = {entry.key_type for entry in expected.known_at_any_port(Marker.HOST_KEY)}
    order = [*(name for name in _ALGORITHMS if name in known)]
    order += [name for name in _ALGORITHMS if name not in known]
    plain = tuple(algorithm for name in order for algorithm in _ALGORITHMS[name])
    if not expected.authorities and not expected.known_at_any_port(Marker.AUTHORITY):
        return plain
    return tuple(algorithm + CERTIFICATE_SUFFIX for algorithm in plain) + plain


def fingerprint(key: bytes) -> str:
    """As ``ssh-keygen -l`` prints it."""
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def check_host_key(shown: bytes, expected: ExpectedHost, *, now: float) -> None:
    """Return where ``shown``, a public key or a certificate, proves that this is the host; else raise RemoteError.

    Nothing is accepted because it is new. A certificate that does not hold, or whose signer nobody
    believes, is as good as the plain key in it, as for ssh.
    """
    if not key_type_of(shown).endswith(CERTIFICATE_SUFFIX):
        _check_plain_key(shown, expected)
        return
    # cryptography takes its time to import, and most hosts show plain keys
    from prominence_hpc.backends.ssh.certificate import parse_certificate

    certificate = parse_certificate(shown)
    if certificate is None:
        msg = (
            f"{expected.name} shows a host certificate that cannot be read; tell its administrator."
        )
        raise RemoteError(msg)
    _check_not_revoked(certificate.key, expected)
    _check_not_revoked(certificate.authority, expected, whose="authority behind the host key")
    fault = ""
    if _believes(certificate.authority, expected):
        fault = certificate.fault(expected.host, now)
        if not fault:
            return
    _check_plain_key(certificate.key, expected, certificate_fault=fault)


def _believes(authority: bytes, expected: ExpectedHost) -> bool:
    entries = expected.known_at_any_port(Marker.AUTHORITY)
    return authority in expected.authorities or any(entry.key == authority for entry in entries)


def _check_not_revoked(key: bytes, expected: ExpectedHost, *, whose: str = "host key") -> None:
    for entry in expected.known_at_any_port(Marker.REVOKED):
        if entry.key == key:
            msg = (
                f"The {whose} of {expected.name} ({entry.key_type} {fingerprint(key)}) is revoked by line "
                f"{entry.line} of {entry.file}: somebody else may have it; ask your administrator."
            )
            raise HostKeyError(msg)
    if key in expected.revoked:
        msg = (
            f"The {whose} of {expected.name} ({key_type_of(key)} {fingerprint(key)}) is revoked by "
            "RevokedHostKeys of the ssh configuration: somebody else may have it; ask your administrator."
        )
        raise HostKeyError(msg)


def _check_plain_key(key: bytes, expected: ExpectedHost, *, certificate_fault: str = "") -> None:
    _check_not_revoked(key, expected)
    known = expected.known(Marker.HOST_KEY)
    if any(entry.key == key for entry in known):
        return
    same_type = [entry for entry in known if entry.key_type == key_type_of(key)]
    if same_type:
        raise HostKeyError(_changed(key, same_type[0], expected))
    if any(entry.key == key for entry in expected.known_at_any_port(Marker.HOST_KEY)):
        return
    raise RemoteError(_unknown(key, expected, certificate_fault))


def _changed(key: bytes, entry: KnownHost, expected: ExpectedHost) -> str:
    name, file = shlex.quote(expected.name), shlex.quote(str(entry.file))
    return (
        f"The host key of {expected.name} has changed: line {entry.line} of {entry.file} has another "
        f"{entry.key_type} key than {fingerprint(key)} which the host shows. If the host was installed anew, "
        f"remove the line: ssh-keygen -R {name} -f {file}; otherwise somebody may be in between."
    )


def _unknown(key: bytes, expected: ExpectedHost, certificate_fault: str) -> str:
    files = ", ".join(str(file) for file in expected.files) or "no file at all"
    found = f"The host key of {expected.name} ({key_type_of(key)} {fingerprint(key)})"
    others = sorted({entry.key_type for entry in expected.known(Marker.HOST_KEY)})
    return (
        f"{found} is in none of {files}"
        + (f" (which know it by {', '.join(others)})" if others else "")
        + (f", and its certificate does not hold: {certificate_fault}" if certificate_fault else "")
        + "; nothing is accepted unseen. Compare it with your administrator's, then "
        + f"{_how_to_add(key, expected)}; or name a file or host CA in the site's configuration "
        "(ssh_known_hosts, ssh_host_ca)."
    )


def _how_to_add(key: bytes, expected: ExpectedHost) -> str:
    kind = key_type_of(key)
    if not expected.direct:  # ssh-keyscan knows no jump hosts and no aliases
        encoded = base64.b64encode(key).decode()
        return f"add the line to ~/.ssh/known_hosts: {expected.name} {kind} {encoded}"
    short = "ecdsa" if kind.startswith("ecdsa-") else kind.removeprefix("ssh-")
    port = "" if expected.port == DEFAULT_PORT else f"-p {expected.port} "
    return (
        f"add it: ssh-keyscan -t {short} {port}{shlex.quote(expected.host)} >> ~/.ssh/known_hosts"
    )
