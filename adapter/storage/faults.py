"""What went wrong with S3, in words that say what to do; no secret, no query string.

Everything that can fail ends in :func:`refusal` (the server answered) or :func:`unreachable` (it
did not), so that both ways of speaking to S3, ours and boto3, say the same.
"""

import errno
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from prominence_hpc.errors import ConfigError, NotFoundError, ProminenceError, StorageError

__all__ = ["Refusal", "Target", "parse_refusal", "refusal", "unreachable"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the messages speak of."""

    endpoint: str  # as the user knows it: https://s3.example.org
    bucket: str
    region: str
    access_key_id: str = ""
    ca_file: str | None = None


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An answer other than success: S3's own error code ("" after HEAD, which has no body)."""

    status: int
    code: str = ""
    message: str = ""
    region: str = ""  # where the bucket really is, if the server said so


def parse_refusal(
    status: int, headers: Mapping[str, str], body: bytes | bytearray | memoryview
) -> Refusal:
    """Code and message of an error document; proxies answer with pages that are none."""
    text = bytes(body[:65536]).decode("utf-8", "replace")
    return Refusal(
        status=status,
        code=_element(text, "Code"),
        message=_element(text, "Message"),
        region=headers.get("x-amz-bucket-region", "") or _element(text, "Region"),
    )


def _element(text: str, name: str) -> str:
    match = re.search(f"<{name}>([^<]*)</{name}>", text)
    return match[1].strip() if match else ""


def refusal(target: Target, action: str, key: str, what: Refusal) -> ProminenceError:
    """The error to raise; ``action`` reads as in "cannot ACTION KEY"."""
    where = f"bucket {target.bucket} at {target.endpoint}"
    subject = f"Cannot {action} {key or 'objects'} in {where}"
    if what.code in {"NoSuchKey", "NoSuchVersion"}:
        return NotFoundError(f"There is no object {key} in {where}.")
    advice = _advice(target, what)
    if advice:
        return StorageError(f"{subject}: {advice}.")
    said = " ".join(word for word in (what.code, what.message) if word)
    return StorageError(f"{subject}: the server answered {what.status} {said}".rstrip(" .") + ".")


def _advice(target: Target, what: Refusal) -> str:
    if what.region and what.region != target.region:
        return f"the bucket is in the region {what.region}: set region under [storage]"
    return {
        "InvalidAccessKeyId": f"the access key {target.access_key_id} is not known there; "
        "check the endpoint and the credentials",
        "SignatureDoesNotMatch": "the secret key does not belong to the access key "
        f"{target.access_key_id}; check the credentials",
        "AccessDenied": f"the access key {target.access_key_id} may not do that, or there is no "
        "such object; ask who owns the bucket",
        "NoSuchBucket": "there is no such bucket; check bucket and endpoint under [storage]",
        "RequestTimeTooSkewed": "this machine's clock is wrong by minutes; set it right",
        "ExpiredToken": "the session token of the credentials has expired; get new ones",
        "InvalidToken": "the session token of the credentials is not valid; get new ones",
        "QuotaExceeded": "the storage quota is used up; remove what is no longer needed",
        "EntityTooLarge": "the server does not take objects of that size",
        "PreconditionFailed": "it was replaced meanwhile; try again",
    }.get(what.code, "")


def unreachable(target: Target, action: str, key: str, error: OSError) -> ProminenceError:
    """The error to raise where no answer came."""
    if isinstance(error, (FileNotFoundError, PermissionError)) and target.ca_file:
        return ConfigError(
            f"Cannot read ca_file = {target.ca_file} of [storage]: {error.strerror}."
        )
    subject = f"Cannot {action} {key or 'objects'} in bucket {target.bucket}"
    return StorageError(f"{subject}: {_why(target, error)}.")


def _why(target: Target, error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {target.endpoint} cannot be verified ({error.verify_message}); "
            "if the site has its own certificate authority, name its file as ca_file "
            "under [storage]"
        )
    if isinstance(error, ssl.SSLError):
        return (
            f"no TLS connection to {target.endpoint} ({error.reason or error}); check the endpoint"
        )
    if isinstance(error, socket.gaierror):
        return (
            f"the host of {target.endpoint} has no address ({error.strerror}); check the endpoint"
        )
    if isinstance(error, TimeoutError):
        return f"{target.endpoint} did not answer in time; check endpoint and network, or try later"
    if error.errno == errno.ECONNREFUSED:
        return f"nothing listens at {target.endpoint}; check the endpoint, or try later"
    return f"the connection to {target.endpoint} failed ({error}); try again later"
