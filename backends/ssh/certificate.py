"""Certificates of OpenSSH (PROTOCOL.certkeys): whose they are, and whether a host's holds.

Parsing and signatures are cryptography's. Imported only when there is a certificate.
"""

import base64
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)
from cryptography.hazmat.primitives.serialization.ssh import SSHCertPublicKeyTypes

from prominence_hpc.backends.ssh.known_hosts import key_type_of, matches_pattern

__all__ = ["Certificate", "parse_certificate"]

_LENGTH_BYTES = 4


@dataclass(frozen=True)
class Certificate:
    """A certificate: the plain key that it is about, and the key of who has signed it."""

    key: bytes
    authority: bytes
    signature_algorithm: str
    certificate: SSHCertificate

    def fault(self, host: str, now: float) -> str:
        """Why this is no proof that its key is ``host``'s key, given that its signer is believed; empty where it is one.

        The rules are those of OpenSSH's sshkey_cert_check_host; as there nothing in it is looked at before
        its signature is. Since 10.3 a certificate without principals is nobody's; before, everybody's.
        """
        shown = self.certificate
        forged = self._signature_fault()
        if forged:
            return forged
        if shown.type is not SSHCertificateType.HOST:
            return "it is not a host certificate"
        if now < shown.valid_after:
            return "it is not valid yet"
        if now >= shown.valid_before:
            return "it has expired"
        principals = [name.decode("utf-8", "replace") for name in shown.valid_principals]
        if not any(matches_pattern(host.lower(), name) for name in principals):
            return f"it is for {', '.join(principals) or 'no host at all'}, not for {host}"
        if shown.critical_options:
            return "it has critical options, which we do not know"
        return ""

    def _signature_fault(self) -> str:
        if self.signature_algorithm == "ssh-rsa":
            return (
                "its signature uses SHA-1, which can be forged"  # as CASignatureAlgorithms has it
            )
        try:
            self.certificate.verify_cert_signature()
        except InvalidSignature:
            return "its signature is wrong"
        return ""


def parse_certificate(blob: bytes) -> Certificate | None:
    """A certificate in the form in which it goes over the wire; None where it cannot be read.

    Keys of FIDO tokens (``sk-…``) as authorities are not read: cryptography does not verify their signatures.
    """
    line = key_type_of(blob).encode() + b" " + base64.b64encode(blob)
    try:
        certificate = load_ssh_public_identity(line)
        if not isinstance(certificate, SSHCertificate):
            return None
        authority = _wire(certificate.signature_key())
        algorithm = _signature_algorithm(blob, authority)
        return Certificate(_wire(certificate.public_key()), authority, algorithm, certificate)
    except (ValueError, UnsupportedAlgorithm):
        return None


def _wire(key: SSHCertPublicKeyTypes) -> bytes:
    line = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return base64.b64decode(line.split()[1])


def _signature_algorithm(blob: bytes, authority: bytes) -> str:
    """cryptography does not tell. A certificate ends with its signer's key and the signature, both strings."""
    signer = len(authority).to_bytes(_LENGTH_BYTES, "big") + authority
    signature = blob[blob.rindex(signer) + len(signer) + _LENGTH_BYTES :]
    return key_type_of(signature)
