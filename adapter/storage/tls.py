"""What servers' certificates are verified against.

Reading the system's whole bundle takes 5 to 40 ms (OpenSSL 3.6, 3.0), which ``prominence create``
does not have. Where OpenSSL's folder of certificates is indexed by hash, the few that are needed
are looked up instead; should that not do, the whole bundle gets its turn before a certificate is
refused.
"""

import os
import re
import ssl
from functools import cache
from pathlib import Path

__all__ = ["context", "system_bundle", "wider_context"]

# The system's certificates as one file: Debian, Red Hat, SUSE, Alpine.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)

_whole = False  # has the indexed folder been found wanting?


def context(ca_file: str | None) -> ssl.SSLContext:
    """A context that verifies chain and name. Raises OSError where ``ca_file`` cannot be read."""
    return _file_context(ca_file) if ca_file else _system_context(_whole)


def wider_context(ca_file: str | None) -> ssl.SSLContext | None:
    """What else to try, now and from now on, where a certificate was refused; None: nothing."""
    global _whole
    if ca_file or _indexed_folder() is None:
        return None
    _whole = True
    return _system_context(_whole)


@cache
def _file_context(ca_file: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


@cache
def _system_context(whole: bool) -> ssl.SSLContext:
    folder = None if whole else _indexed_folder()
    return ssl.create_default_context(capath=folder)


@cache
def _indexed_folder() -> str | None:
    """OpenSSL's folder, if it holds names such as ``5ed36f99.0`` (openssl-rehash(1))."""
    if os.environ.get("SSL_CERT_FILE"):
        return None
    folder: str | None = ssl.get_default_verify_paths().capath  # None where there is no such folder
    if folder is None:
        return None
    with os.scandir(folder) as entries:
        indexed = any(re.fullmatch(r"[0-9a-f]{8}\.[0-9]+", entry.name) for entry in entries)
    return folder if indexed else None


def system_bundle() -> str | None:
    """The system's certificates as a file, for boto3; None where it is not known, or boto3 is told.

    Left alone, boto3 uses a list of its own, in which a site's authority is missing.
    """
    if os.environ.get("AWS_CA_BUNDLE"):
        return None
    candidates = (os.environ.get("SSL_CERT_FILE") or "", *_BUNDLES)
    return next((path for path in candidates if path and Path(path).is_file()), None)
