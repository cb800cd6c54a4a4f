"""What -v shows of storage: every request, and no secret."""

import logging
import re
from pathlib import Path

import pytest

from prominence_hpc.adapter.storage import StorageSettings
from prominence_hpc.adapter.storage.s3 import S3Storage
from prominence_hpc.errors import StorageError
from tests.unit.storage.conftest import FakeS3


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="prominence_hpc")
    return caplog


def test_requests_are_logged(
    storage: S3Storage, fake_s3: FakeS3, log: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(b"x")
    storage.upload(tmp_path / "source", "uploads/alice/a b")
    storage.head_many(["uploads/alice/a b"])
    url = rf"http://127\.0\.0\.1:{fake_s3.port}/bucket/uploads/alice/a%20b"
    assert re.fullmatch(rf"PUT {url}: 200 after \d+ ms", log.messages[0])
    assert re.fullmatch(rf"HEAD {url}: 200 after \d+ ms", log.messages[1])


def test_requests_without_an_answer_are_logged(
    storage: S3Storage, fake_s3: FakeS3, log: pytest.LogCaptureFixture
) -> None:
    fake_s3.script = lambda _method, _target: (0, {}, b"")
    with pytest.raises(StorageError):
        storage.head_many(["uploads/alice/x"])
    assert all("no answer after" in message for message in log.messages)
    assert log.messages


def test_transfers_of_boto3_begin_and_end(
    storage: S3Storage, settings: StorageSettings, log: pytest.LogCaptureFixture
) -> None:
    storage.delete("uploads/alice/x")
    what = f"boto3: remove {settings.endpoint} bucket/uploads/alice/x"
    said = [message for message in log.messages if message.startswith("boto3")]
    assert said[0] == f"{what} begins"
    assert re.fullmatch(rf"{re.escape(what)} done after \d+ ms", said[1])
    assert "not-for-messages" not in log.text
