"""The user's keys: files, certificates, and what an agent holds. Nothing asks for a passphrase."""

import base64
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)
from paramiko import ECDSAKey, Ed25519Key, Message, PKey, RSAKey, SSHException
from paramiko.agent import AgentKey, AgentSSH
from paramiko.pkey import OPENSSH_AUTH_MAGIC, PublicBlob

from prominence_hpc.backends.ssh.certificate import parse_certificate
from prominence_hpc.backends.ssh.client_config import ClientSettings
from prominence_hpc.backends.ssh.known_hosts import parse_public_key

__all__ = ["Identities", "Identity", "KeyFileError", "load_key"]

_AGENT_SECONDS = 10.0


class KeyFileError(Exception):
    """A private key that cannot be used; the message is the end of a sentence about its file."""


@dataclass(frozen=True)
class Identity:
    """A key to try, and what to call it in a message."""

    name: str
    key: PKey


class _Agent(AgentSSH):
    """An ssh-agent at a socket of our choice; paramiko's own Agent knows SSH_AUTH_SOCK alone."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_AGENT_SECONDS)
        try:
            self._socket.connect(str(path))
            self._connect(self._socket)  # type: ignore[attr-defined]
        except (OSError, SSHException):
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()


@dataclass
class Identities:
    """The keys to try with one host, in OpenSSH's order; :attr:`unusable` says why the others were not.

    Those in the agent that the configuration names, the agent's others (not with IdentitiesOnly), then those in
    files; a key with a certificate as the certificate first.
    """

    settings: ClientSettings
    unusable: list[str] = field(default_factory=list)
    _agent: _Agent | None = None

    def __iter__(self) -> Iterator[Identity]:
        named = [_public_key(path) for path in self.settings.identity_files]
        held = self._agent_keys()
        for key in sorted(held, key=lambda key: _position(key, named)):
            if key.asbytes() in named or not self.settings.identities_only:
                yield from self._with_certificates(f"{key.comment or 'a key'} of the agent", key)
        in_agent = {key.asbytes() for key in held}
        for path in self.settings.identity_files:
            if _public_key(path) not in in_agent:
                yield from self._of_file(path)

    def close(self) -> None:
        """Leave the agent alone."""
        if self._agent is not None:
            self._agent.close()

    def _agent_keys(self) -> tuple[AgentKey, ...]:
        path = self.settings.identity_agent
        if path is None:
            return ()
        try:
            self._agent = _Agent(path)
        except (OSError, SSHException) as error:
            self.unusable.append(f"the ssh-agent at {path} (it does not answer: {error})")
            return ()
        return self._agent.get_keys()

    def _of_file(self, path: Path) -> Iterator[Identity]:
        if not path.exists():
            return  # ssh -G names every default
        try:
            key = load_key(path)
        except KeyFileError as error:
            self.unusable.append(f"{path} ({error})")
            return
        yield from self._with_certificates(str(path), key)

    def _with_certificates(self, name: str, key: PKey) -> Iterator[Identity]:
        # The key is tried before the next is asked for, so that it may carry one certificate after another.
        for path in self._certificate_files():
            blob = _read_certificate(path)
            if blob is not None and _certified_key(blob) == key.asbytes():
                key.public_blob = blob
                yield Identity(f"{name} with {path}", key)
                key.public_blob = None
        _complete_certificate_of_agent(key)
        yield Identity(name, key)

    def _certificate_files(self) -> Iterator[Path]:
        yield from self.settings.certificate_files
        for path in self.settings.identity_files:
            yield path.with_name(f"{path.name}-cert.pub")


def load_key(path: Path) -> PKey:
    """A private key without passphrase, in any format that OpenSSH reads. Raises KeyFileError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise KeyFileError(error.strerror) from error
    load = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else load_pem_private_key
    try:
        key = load(data, None)
    except TypeError as error:
        msg = f"it has a passphrase: let an ssh-agent hold it, by ssh-add {path}"
        raise KeyFileError(msg) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        msg = "it is no private key that can be read"
        raise KeyFileError(msg) from error
    if isinstance(key, RSAPrivateKey):
        return RSAKey(key=key)
    if isinstance(key, EllipticCurvePrivateKey):
        return ECDSAKey(vals=(key, key.public_key()))
    if isinstance(key, Ed25519PrivateKey):  # of which paramiko reads files alone
        text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
        return Ed25519Key.from_private_key(StringIO(text))
    msg = "it is of a type that is not used any more"
    raise KeyFileError(msg)


def _public_key(path: Path) -> bytes | None:
    """The public half of an identity, from beside it or from itself; None where that cannot be told.

    IdentityFile may name a public key alone, whose private half an agent has.
    """
    for public in (path.with_name(f"{path.name}.pub"), path):
        try:
            fields = public.read_text(encoding="utf-8", errors="replace").split(maxsplit=2)
        except OSError:
            continue
        if len(fields) > 1 and (key := parse_public_key(fields[0], fields[1])):
            return key
    try:
        return _public_half(path.read_bytes()) or load_key(path).asbytes()
    except (OSError, KeyFileError):
        return None


def _public_half(data: bytes) -> bytes | None:
    """The public key in a private key of OpenSSH's format (PROTOCOL.key), which no passphrase hides."""
    match = re.search(rb"BEGIN OPENSSH PRIVATE KEY-+([A-Za-z0-9+/=\s]+)", data)
    if match is None:
        return None
    message = Message(base64.b64decode(match[1]))
    message.get_bytes(len(OPENSSH_AUTH_MAGIC))
    for _ in ("cipher", "key derivation", "its options"):
        message.get_string()
    message.get_int()  # how many keys: always one
    return message.get_string() or None


def _position(key: AgentKey, named: list[bytes | None]) -> int:
    """Where the configuration names a key; all others come after those, in the agent's order."""
    blob = key.asbytes()
    return named.index(blob) if blob in named else len(named)


def _read_certificate(path: Path) -> PublicBlob | None:
    try:
        return PublicBlob.from_file(str(path))
    except (OSError, ValueError, SSHException):
        return None


def _certified_key(blob: PublicBlob) -> bytes | None:
    certificate = parse_certificate(blob.key_blob)
    return certificate.key if certificate is not None else None


def _complete_certificate_of_agent(key: PKey) -> None:
    """A certificate with an RSA key, as an agent holds it, is offered by paramiko as the plain key in it."""
    inner = getattr(key, "inner_key", None)
    if inner is not None and inner.public_blob is not None:
        key.public_blob = inner.public_blob
