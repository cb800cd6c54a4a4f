"""boto3, for what is rare or long: listing, deleting, multipart uploads, copies on the server.

Importing it takes a third of a second, so that only functions which need it import this module.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from prominence_hpc.adapter.storage.base import StorageSettings
from prominence_hpc.adapter.storage.faults import Refusal, Target, refusal, unreachable
from prominence_hpc.adapter.storage.sigv4 import Credentials
from prominence_hpc.adapter.storage.tls import system_bundle
from prominence_hpc.adapter.storage.trace import trace
from prominence_hpc.errors import StorageError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["explained", "make_client"]


def make_client(
    settings: StorageSettings, credentials: Credentials, connections: int
) -> "S3Client":
    """A client that speaks to the endpoint as :mod:`.client` does, for ``connections`` threads."""
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if settings.endpoint else "auto"},
        # Other servers than Amazon's know these checksums only in their latest releases; TLS, or
        # over plain HTTP the signature, guards the transfer.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": 4},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=connections,
    )
    return boto3.session.Session().client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint,
        verify=settings.ca_file or system_bundle(),
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        aws_session_token=credentials.session_token,
        config=config,
    )


@contextmanager
def explained(target: Target, action: str, key: str) -> Iterator[None]:
    """Turns what boto3 raises into our errors."""
    what = f"boto3: {action} {target.endpoint} {target.bucket}/{key}"
    trace(f"{what} begins")
    start = time.perf_counter()
    answer = "failed"
    try:
        yield
        answer = "done"
    except ClientError as error:
        raise refusal(target, action, key, _refusal(error)) from error
    except (BotoConnectionError, HTTPClientError, SSLError) as error:
        cause = _cause(error)
        raise unreachable(target, action, key, cause) from error
    except BotoCoreError as error:
        msg = f"Cannot {action} {key} in bucket {target.bucket} at {target.endpoint}: {error}."
        raise StorageError(msg) from error
    finally:
        trace(f"{what} {answer} after {(time.perf_counter() - start) * 1000:.0f} ms")


def _refusal(error: ClientError) -> Refusal:
    said = error.response.get("Error", {})
    metadata = error.response.get("ResponseMetadata", {})
    return Refusal(
        status=metadata.get("HTTPStatusCode", 0),
        code=said.get("Code", ""),
        message=said.get("Message", ""),
        region=metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region", ""),
    )


def _cause(error: BaseException) -> OSError:
    """The operating system's own error, at the bottom of urllib3's wrappings."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.errno is not None:
            return inner
        arguments = [
            a for a in (*inner.args, getattr(inner, "reason", None)) if isinstance(a, OSError)
        ]
        inner = arguments[0] if arguments else inner.__cause__ or inner.__context__
    return TimeoutError() if "Timeout" in type(error).__name__ else OSError(str(error))
