"""AWS Signature Version 4, as far as object storage needs it; pure functions.

Importing boto3 and making one presigned URL takes longer than a whole ``prominence create`` may, so
that the signatures are computed here. They are those of botocore, and a test holds them to it.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

__all__ = [
    "EMPTY_SHA256",
    "UNSIGNED",
    "Credentials",
    "Request",
    "post_fields",
    "presign",
    "quote_key",
    "sign",
]

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256().hexdigest()


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """An access key. ``expires`` (seconds since the epoch) is known for borrowed ones alone."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires: float | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is signed. ``host`` is the value of the Host header, ``path`` is quoted already."""

    method: str
    host: str
    path: str
    query: Sequence[tuple[str, str]] = ()


def quote_key(key: str) -> str:
    """A key as part of a path, slashes kept; S3 signs paths as they are, quoted once.

    >>> quote_key("uploads/alice/a b+c~%é//x")
    'uploads/alice/a%20b%2Bc~%25%C3%A9//x'
    """
    return quote(key, safe="/~")


def quote_query(query: Sequence[tuple[str, str]]) -> str:
    """The canonical query string, which is also what is sent.

    >>> quote_query([("prefix", "a/b c"), ("list-type", "2")])
    'list-type=2&prefix=a%2Fb%20c'
    """
    pairs = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in query)
    return "&".join(f"{name}={value}" for name, value in pairs)


def presign(
    request: Request, credentials: Credentials, region: str, *, seconds: int, now: float
) -> str:
    """Path and query of ``request``, signed in the query, valid for ``seconds`` from ``now``.

    Only the Host header is signed, so that any client can send what headers it likes.
    """
    stamp = _stamp(now)
    query = [
        *request.query,
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", f"{credentials.access_key_id}/{_scope(stamp, region)}"),
        ("X-Amz-Date", stamp),
        ("X-Amz-Expires", str(seconds)),
        ("X-Amz-SignedHeaders", "host"),
    ]
    if credentials.session_token:
        query.append(("X-Amz-Security-Token", credentials.session_token))
    text = quote_query(query)
    canonical = _canonical(request, text, {"host": request.host}, UNSIGNED)
    signature = _signature(canonical, credentials, region, stamp)
    return f"{request.path}?{text}&X-Amz-Signature={signature}"


def sign(
    request: Request,
    headers: Mapping[str, str],
    credentials: Credentials,
    region: str,
    *,
    payload_sha256: str,
    now: float,
) -> dict[str, str]:
    """All headers of the signed request: those given (names in lower case) and what SigV4 adds."""
    stamp = _stamp(now)
    signed = {
        **headers,
        "host": request.host,
        "x-amz-content-sha256": payload_sha256,
        "x-amz-date": stamp,
    }
    if credentials.session_token:
        signed["x-amz-security-token"] = credentials.session_token
    canonical = _canonical(request, quote_query(request.query), signed, payload_sha256)
    signature = _signature(canonical, credentials, region, stamp)
    names = ";".join(sorted(signed))
    credential = f"{credentials.access_key_id}/{_scope(stamp, region)}"
    signed["authorization"] = (
        f"{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    )
    return signed


def post_fields(
    bucket: str,
    prefix: str,
    credentials: Credentials,
    region: str,
    *,
    seconds: int,
    max_bytes: int,
    now: float,
) -> dict[str, str]:
    """Form fields that let whoever holds them store objects below ``prefix``, for ``seconds``.

    ``key`` is the prefix: the object's name is added to it. A SigV4 POST policy:
    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
    """
    stamp = _stamp(now)
    fields = {
        "x-amz-algorithm": ALGORITHM,
        "x-amz-credential": f"{credentials.access_key_id}/{_scope(stamp, region)}",
        "x-amz-date": stamp,
    }
    if credentials.session_token:
        fields["x-amz-security-token"] = credentials.session_token
    document = {
        "expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + seconds)),
        "conditions": [
            {"bucket": bucket},
            ["starts-with", "$key", prefix],
            ["content-length-range", 0, max_bytes],
            *({name: value} for name, value in fields.items()),
        ],
    }
    policy = base64.b64encode(json.dumps(document).encode()).decode()
    key = _signing_key(credentials.secret_access_key, stamp[:8], region)
    signature = hmac.new(key, policy.encode(), "sha256").hexdigest()
    return {"key": prefix, **fields, "policy": policy, "x-amz-signature": signature}


def _stamp(now: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))


def _scope(stamp: str, region: str) -> str:
    return f"{stamp[:8]}/{region}/s3/aws4_request"


def _canonical(
    request: Request, query: str, headers: Mapping[str, str], payload_sha256: str
) -> str:
    names = sorted(headers)
    lines = [f"{name}:{' '.join(headers[name].split())}" for name in names]
    return "\n".join(
        [request.method, request.path, query, *lines, "", ";".join(names), payload_sha256]
    )


def _signature(canonical: str, credentials: Credentials, region: str, stamp: str) -> str:
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join([ALGORITHM, stamp, _scope(stamp, region), digest])
    key = _signing_key(credentials.secret_access_key, stamp[:8], region)
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def _signing_key(secret: str, day: str, region: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for word in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, word.encode(), "sha256")
    return key
