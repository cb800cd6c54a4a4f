"""Objects in an S3 bucket: Amazon's, Ceph's or any other's.

What ``prominence create`` needs (do these objects exist, presigned URLs) is done without boto3, see
:mod:`.sigv4`; uploads and downloads of small objects as well. boto3 does the rest.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from prominence_hpc.adapter.storage.base import (
    ObjectInfo,
    PartUpload,
    Progress,
    StorageSettings,
)
from prominence_hpc.adapter.storage.client import Client
from prominence_hpc.adapter.storage.credentials import find_credentials
from prominence_hpc.adapter.storage.faults import Refusal, parse_refusal, refusal
from prominence_hpc.adapter.storage.keys import check_key, is_hidden
from prominence_hpc.adapter.storage.sigv4 import Request, post_fields, presign, quote_key
from prominence_hpc.errors import ConfigError
from prominence_hpc.wrappers.plan import Destination

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["SHA256_HEADER", "SHA256_METADATA", "S3Storage"]

SHA256_METADATA = "prominence_sha256"
SHA256_HEADER = f"x-amz-meta-{SHA256_METADATA}"
# The longest that SigV4 allows, and the largest object of one request:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
URL_SECONDS = 7 * 24 * 3600
POST_BYTES = 5 * 1024**3
CONNECTIONS = 8
MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


class S3Storage:
    """See :class:`.base.Storage`. Safe for threads; makes no request until a method is called."""

    def __init__(self, settings: StorageSettings) -> None:
        self.settings = settings
        self.client = Client(settings, find_credentials(settings))

    @cached_property
    def boto(self) -> "S3Client":
        # Imported here: a third of a second that existence checks and presigned URLs do not need.
        from prominence_hpc.adapter.storage.boto import make_client

        return make_client(self.settings, self.client.credentials, CONNECTIONS)

    def head_many(self, keys: Sequence[str]) -> dict[str, ObjectInfo]:
        unique = list(dict.fromkeys(keys))
        for key in unique:
            check_key(key)
        if len(unique) < CONNECTIONS:  # one kept connection is quicker than several TLS handshakes
            answers = [self._head(key) for key in unique]
        else:
            from concurrent.futures import ThreadPoolExecutor  # 20 ms that few jobs need

            with ThreadPoolExecutor(CONNECTIONS) as pool:
                answers = list(pool.map(self._head, unique))
        return {info.key: info for info in answers if info}

    def _head(self, key: str) -> ObjectInfo | None:
        response = self.client.try_request("look up", "HEAD", key)
        if response.status < 300:
            return object_info(key, response.headers)
        what = Refusal(
            status=response.status, region=response.headers.get("x-amz-bucket-region", "")
        )
        self._check_absent(key, what)
        return None

    def _check_absent(self, key: str, head: Refusal) -> None:
        """Raise unless a HEAD failed because there is no such object.

        Its answer has no body, so that a listing is asked for the reason. 403 is also what is said
        of an object that is not there to those who may not list the whole bucket.
        """
        query = [("list-type", "2"), ("max-keys", "1"), ("prefix", key)]
        response = self.client.try_request("look up", "GET", "", query=query)
        if response.status < 300:
            listed = b"<Key>" in response.body
            if head.status == 404 or (head.status == 403 and not listed):
                return
            raise refusal(self.client.target, "look up", key, _named(head))
        what = parse_refusal(response.status, response.headers, response.body)
        if head.status == 404 and what.code == "AccessDenied":
            return
        raise refusal(self.client.target, "look up", key, what)

    def list_objects(self, prefix: str) -> Iterator[ObjectInfo]:
        from prominence_hpc.adapter.storage.boto import explained

        with explained(self.client.target, "list", f"{prefix}*"):
            pages = self.boto.get_paginator("list_objects_v2").paginate(
                Bucket=self.client.target.bucket, Prefix=prefix
            )
            for page in pages:
                for entry in page.get("Contents", []):
                    if not is_hidden(entry["Key"]):
                        yield ObjectInfo(
                            key=entry["Key"],
                            size_bytes=entry["Size"],
                            modified=entry["LastModified"].astimezone(UTC),
                            version=entry.get("ETag", ""),
                        )

    def delete(self, key: str) -> None:
        check_key(key)
        self.delete_any(key)

    def delete_any(self, key: str) -> None:
        """Remove an object, be it one of our own hidden names."""
        from prominence_hpc.adapter.storage.boto import explained

        with explained(self.client.target, "remove", key):
            self.boto.delete_object(Bucket=self.client.target.bucket, Key=key)

    def upload(
        self, source: Path, key: str, *, sha256: str | None = None, progress: Progress | None = None
    ) -> ObjectInfo:
        check_key(key)
        from prominence_hpc.adapter.storage.upload import upload

        return upload(self, source, key, sha256=sha256, progress=progress)

    def download(
        self,
        key: str,
        target: Path,
        *,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        check_key(key)
        from prominence_hpc.adapter.storage.download import download

        download(self, key, target, sha256=sha256, progress=progress)

    def source(self, info: ObjectInfo) -> str:
        return self.presign("GET", info.key)

    def destination(self, key: str) -> Destination:
        check_key(key)
        return Destination(method="put", url=self.presign("PUT", key))

    def destination_prefix(self, prefix: str) -> Destination:
        check_key(prefix.rstrip("/"))
        client = self.client
        now = time.time()
        fields = post_fields(
            client.target.bucket,
            prefix,
            client.credentials,
            client.region,
            seconds=self._url_seconds(now),
            max_bytes=POST_BYTES,
            now=now,
        )
        return Destination(
            method="post", url=client.location.url + client.location.path, fields=fields
        )

    def begin_parts(self, key: str) -> PartUpload:
        check_key(key)
        from prominence_hpc.adapter.storage.parts import S3Parts

        return S3Parts(self, key)

    def prepare(self, prefix: str) -> None:
        """Nothing to do: S3 has no folders."""

    def temporary_url(self, key: str) -> str:
        return self.presign("GET", key)

    def presign(self, method: str, key: str, query: Sequence[tuple[str, str]] = ()) -> str:
        """A URL that lets whoever has it make this one request."""
        client = self.client
        request = Request(
            method=method,
            host=client.location.endpoint.authority,
            path=client.location.path + quote_key(key),
            query=query,
        )
        now = time.time()
        seconds = self._url_seconds(now)
        return client.location.url + presign(
            request, client.credentials, client.region, seconds=seconds, now=now
        )

    def _url_seconds(self, now: float) -> int:
        """How long URLs live: no longer than the credentials that they are made with."""
        seconds = min(int(self.settings.url_lifetime_hours * 3600), URL_SECONDS)
        expires = self.client.credentials.expires
        if expires is not None:
            seconds = min(seconds, int(expires - now))
        if seconds <= 0:
            msg = "URLs would expire at once: check url_lifetime_hours and the credentials."
            raise ConfigError(msg)
        return seconds


def object_info(key: str, headers: Mapping[str, str]) -> ObjectInfo:
    """What the headers of a HEAD or GET say of an object (of the whole, for a range of it)."""
    total = headers.get("content-range", "").rpartition("/")[2]
    return ObjectInfo(
        key=key,
        size_bytes=int(total or headers.get("content-length", "0")),
        modified=_http_date(headers.get("last-modified", "")),
        sha256=headers.get(SHA256_HEADER) or None,
        version=headers.get("etag", ""),
    )


def _http_date(text: str) -> datetime | None:
    """``Mon, 23 Nov 2026 07:01:15 GMT``; by hand, since strptime takes 3 ms to import itself."""
    try:
        _, day, month, year, clock, _ = text.split()
        hour, minute, second = map(int, clock.split(":"))
        return datetime(
            int(year), MONTHS.index(month) // 3 + 1, int(day), hour, minute, second, tzinfo=UTC
        )
    except ValueError:
        return None


def _named(what: Refusal) -> Refusal:
    """HEAD's refusal with the code that its status stands for."""
    code = "AccessDenied" if what.status == 403 else ""
    return Refusal(status=what.status, code=code, region=what.region)
