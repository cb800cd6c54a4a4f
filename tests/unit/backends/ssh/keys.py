"""Keys and certificates for the tests of SSH."""

import base64
import time
from collections.abc import Sequence
from functools import cache
from io import StringIO
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
)
from paramiko import ECDSAKey, Ed25519Key, Message, PKey, RSAKey

__all__ = [
    "CertifiedKey",
    "PrivateKey",
    "certificate",
    "certificate_blob",
    "private_key",
    "public_blob",
    "public_line",
    "ssh_key",
    "write_key",
]

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@cache
def private_key(kind: str, name: str) -> PrivateKey:  # noqa: ARG001 - the cache looks at it
    """The same key for the same name, as RSA keys take their time."""
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "ecdsa":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, 2048)


def ssh_key(key: PrivateKey) -> PKey:
    """A key as paramiko has it."""
    if isinstance(key, rsa.RSAPrivateKey):
        return RSAKey(key=key)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return ECDSAKey(vals=(key, key.public_key()))
    text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    return Ed25519Key.from_private_key(StringIO(text))


def public_line(key: PrivateKey) -> str:
    """``type base64``, as in a .pub file."""
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def public_blob(key: PrivateKey) -> bytes:
    return base64.b64decode(public_line(key).split()[1])


def write_key(
    path: Path,
    key: PrivateKey,
    *,
    passphrase: str = "",
    kind: PrivateFormat = PrivateFormat.OpenSSH,
    with_public: bool = False,
) -> Path:
    """A private key's file, as ssh-keygen writes it."""
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase:
        encryption = BestAvailableEncryption(passphrase.encode())
    path.write_bytes(key.private_bytes(Encoding.PEM, kind, encryption))
    path.chmod(0o600)
    if with_public:
        path.with_name(f"{path.name}.pub").write_text(f"{public_line(key)} a comment\n")
    return path


def certificate(
    key: PrivateKey,
    authority: PrivateKey,
    *,
    principals: Sequence[str],
    kind: SSHCertificateType = SSHCertificateType.HOST,
    begin: float | None = None,
    end: float | None = None,
    critical: bool = False,
) -> str:
    """A certificate's line, as ``ssh-keygen -s`` writes it."""
    builder = (
        SSHCertificateBuilder()
        .public_key(key.public_key())
        .serial(7)
        .type(kind)
        .key_id(b"test")
        .valid_after(int(begin if begin is not None else time.time() - 60))
        .valid_before(int(end if end is not None else time.time() + 3600))
    )
    names = [name.encode() for name in principals]
    builder = (
        builder.valid_principals(names) if names else builder.valid_for_all_principals()  # type: ignore[no-untyped-call]
    )
    if critical:
        builder = builder.add_critical_option(b"force-command", b"true")
    return builder.sign(authority).public_bytes().decode()


def certificate_blob(line: str) -> bytes:
    return base64.b64decode(line.split()[1])


class CertifiedKey(PKey):
    """A server's key that is shown as a certificate; paramiko's server shows plain keys alone."""

    def __init__(self, key: PrivateKey, line: str) -> None:
        self._inner = ssh_key(key)
        kind, encoded = line.split()[:2]
        # The algorithm that is agreed on is not the type of an RSA certificate (RFC 8332)
        self.name = kind.replace("ssh-rsa-cert", "rsa-sha2-512-cert")
        self._blob = base64.b64decode(encoded)

    def get_name(self) -> str:
        return self.name

    def asbytes(self) -> bytes:
        return self._blob

    def sign_ssh_data(self, data: object, algorithm: str | None = None) -> Message:
        return self._inner.sign_ssh_data(data, algorithm)  # type: ignore[arg-type]
