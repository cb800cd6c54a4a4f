"""An object in S3 that a compute node sends in parts, by presigned URLs: begun and ended here."""

from collections.abc import Sequence
from contextlib import suppress

from prominence_hpc.adapter.storage.boto import explained
from prominence_hpc.adapter.storage.s3 import S3Storage
from prominence_hpc.errors import ProminenceError

__all__ = ["S3Parts"]


class S3Parts:
    """See :class:`.base.PartUpload`. https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html"""

    def __init__(self, storage: S3Storage, key: str) -> None:
        self._storage = storage
        self._key = key
        self._bucket = storage.client.target.bucket
        with explained(storage.client.target, "store", key):
            answer = storage.boto.create_multipart_upload(Bucket=self._bucket, Key=key)
        self._id = answer["UploadId"]

    def url(self, number: int) -> str:
        query = [("partNumber", str(number)), ("uploadId", self._id)]
        return self._storage.presign("PUT", self._key, query)

    def complete(self, tags: Sequence[str]) -> None:
        with explained(self._storage.client.target, "store", self._key):
            self._storage.boto.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self._id,
                MultipartUpload={
                    "Parts": [
                        {"ETag": tag, "PartNumber": number} for number, tag in enumerate(tags, 1)
                    ]
                },
            )

    def abandon(self) -> None:
        with (
            suppress(ProminenceError),
            explained(self._storage.client.target, "give up storing", self._key),
        ):
            self._storage.boto.abort_multipart_upload(
                Bucket=self._bucket, Key=self._key, UploadId=self._id
            )
