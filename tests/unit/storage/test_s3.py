"""Objects in S3, against the server in this process: what it takes a failing server to see."""

import errno
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from prominence_hpc.adapter.storage import ObjectInfo, StorageSettings
from prominence_hpc.adapter.storage.s3 import S3Storage
from prominence_hpc.adapter.storage.sigv4 import Credentials
from prominence_hpc.errors import (
    ConfigError,
    ConflictError,
    NotFoundError,
    StorageError,
    UsageError,
)

MIB = 1024**2
SHA256 = "x-amz-meta-prominence_sha256"
DENIED: tuple[int, dict[str, str], bytes] = (403, {}, b"<Error><Code>AccessDenied</Code></Error>")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(params=[0, 5, 33 * MIB], ids=["empty", "small", "large"])
def data(request: pytest.FixtureRequest) -> bytes:
    return os.urandom(request.param)


@pytest.fixture
def source(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "source"
    path.write_bytes(data)
    return path


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "source")


class TestUpload:
    def test_content_and_checksum_are_stored(
        self, storage: Any, fake_s3: Any, source: Path, data: bytes
    ) -> None:
        moved: list[int] = []
        info = storage.upload(source, "uploads/alice/x", progress=moved.append)
        assert fake_s3.objects == {"uploads/alice/x": (data, {SHA256: sha256(data)})}
        assert (info.size_bytes, info.sha256) == (len(data), sha256(data))
        assert sum(moved) == len(data)

    def test_right_checksum_in_capitals(
        self, storage: Any, fake_s3: Any, source: Path, data: bytes
    ) -> None:
        storage.upload(source, "x", sha256=sha256(data).upper())
        assert fake_s3.objects["x"][1] == {SHA256: sha256(data)}

    def test_wrong_checksum_leaves_what_was_there(
        self, storage: Any, fake_s3: Any, source: Path
    ) -> None:
        fake_s3.objects["x"] = (b"before", {})
        with pytest.raises(StorageError, match="nothing was kept"):
            storage.upload(source, "x", sha256="0" * 64)
        assert fake_s3.objects == {"x": (b"before", {})}
        assert not fake_s3.uploads

    @pytest.mark.parametrize("method", ["PUT", "POST"])
    def test_failure_leaves_nothing(
        self, storage: Any, fake_s3: Any, source: Path, method: str
    ) -> None:
        """At the first request of that method that carries an upload's id, or at any."""
        if source.stat().st_size <= MIB and method == "POST":
            return
        fake_s3.script = lambda found, target: (
            DENIED if found == method and "uploads" not in target.partition("?")[2][:9] else None
        )
        with pytest.raises(StorageError, match="AKIDEXAMPLE may not do that"):
            storage.upload(source, "x")
        assert fake_s3.objects == {}
        assert fake_s3.uploads == {}


def test_interrupted_upload_is_given_up(storage: Any, fake_s3: Any, tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.write_bytes(bytes(40 * MIB))

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage.upload(source, "x", progress=interrupt)
    assert fake_s3.objects == {}
    assert fake_s3.uploads == {}


def test_failing_copy_leaves_what_was_there(storage: Any, fake_s3: Any, tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.write_bytes(bytes(17 * MIB))
    fake_s3.objects["x"] = (b"before", {})
    fake_s3.script = lambda method, target: (
        DENIED if method == "PUT" and target == "/bucket/x" else None
    )
    with pytest.raises(StorageError, match="Cannot store x"):
        storage.upload(source, "x")
    assert fake_s3.objects == {"x": (b"before", {})}


def test_file_that_shrinks_is_not_stored(
    storage: Any, fake_s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"12345")
    monkeypatch.setattr(
        "prominence_hpc.adapter.storage.upload.file_size", lambda *_: len(b"1234567")
    )
    with pytest.raises(StorageError, match="changed while it was read"):
        storage.upload(source, "x")
    assert fake_s3.objects == {}


def test_sources_that_cannot_be_uploaded(storage: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="There is no file"):
        storage.upload(tmp_path / "absent", "x")
    with pytest.raises(UsageError, match="is a directory"):
        storage.upload(tmp_path, "x")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="not a regular file"):
        storage.upload(tmp_path / "pipe", "x")


class TestDownload:
    def test_content(self, storage: Any, fake_s3: Any, data: bytes, target: Path) -> None:
        fake_s3.objects["x"] = (data, {SHA256: sha256(data)})
        moved: list[int] = []
        storage.download("x", target, progress=moved.append)
        assert target.read_bytes() == data
        assert sum(moved) == len(data)
        assert leftovers(target.parent) == ["fetched"]

    def test_small_objects_take_one_request(self, storage: Any, fake_s3: Any, target: Path) -> None:
        fake_s3.objects["x"] = (b"12345", {})
        storage.download("x", target)
        assert len(fake_s3.requests) == 1

    @pytest.mark.parametrize("known", ["kept", "given"])
    def test_wrong_checksum_leaves_nothing(
        self, storage: Any, fake_s3: Any, data: bytes, target: Path, known: str
    ) -> None:
        fake_s3.objects["x"] = (data, {SHA256: "0" * 64} if known == "kept" else {})
        target.write_bytes(b"before")
        with pytest.raises(StorageError, match="nothing was kept"):
            storage.download("x", target, sha256="0" * 64 if known == "given" else None)
        assert target.read_bytes() == b"before"
        assert leftovers(target.parent) == ["fetched"]

    def test_missing(self, storage: Any, target: Path) -> None:
        with pytest.raises(NotFoundError, match="There is no object x"):
            storage.download("x", target)
        assert leftovers(target.parent) == []

    def test_object_replaced_meanwhile(self, storage: Any, fake_s3: Any, target: Path) -> None:
        fake_s3.objects["x"] = (bytes(33 * MIB), {})

        def replace(_method: str, _target: str) -> None:
            if len(fake_s3.requests) == 2:
                fake_s3.objects["x"] = (b"1" * 33 * MIB, {})

        fake_s3.script = replace
        with pytest.raises(StorageError, match="replaced meanwhile"):
            storage.download("x", target)
        assert leftovers(target.parent) == []

    def test_connection_lost_in_the_middle(self, storage: Any, fake_s3: Any, target: Path) -> None:
        fake_s3.objects["x"] = (bytes(33 * MIB), {})
        fake_s3.script = lambda *_: (0, {}, b"") if len(fake_s3.requests) in {2, 4} else None
        storage.download("x", target)
        assert target.stat().st_size == 33 * MIB

    def test_several_at_once(self, storage: Any, fake_s3: Any, tmp_path: Path) -> None:
        data = os.urandom(50 * MIB)
        fake_s3.objects["x"] = (data, {SHA256: sha256(data)})
        targets = [tmp_path / f"target{number}" for number in range(4)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda target: storage.download("x", target), targets))
        assert {target.stat().st_size for target in targets} == {len(data)}

    def test_no_room(
        self, storage: Any, fake_s3: Any, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake_s3.objects["x"] = (b"12345", {})

        class Full:
            f_bavail = 1
            f_frsize = 4

        monkeypatch.setattr(os, "statvfs", lambda _: Full)
        with pytest.raises(StorageError, match="needs 5 bytes, and its file system has 4"):
            storage.download("x", target)
        assert leftovers(target.parent) == []

    def test_file_system_that_fills_up_meanwhile(
        self, storage: Any, fake_s3: Any, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake_s3.objects["x"] = (bytes(40 * MIB), {})
        write = os.pwrite

        def full(descriptor: int, block: memoryview, position: int) -> int:
            if position > 20 * MIB:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(descriptor, block, position)

        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(StorageError, match=f"Cannot write {target}: No space left on device"):
            storage.download("x", target)
        assert leftovers(target.parent) == []
        assert len(fake_s3.requests) <= 3  # it is no failure of the network, to be tried again

    def test_targets_that_cannot_be_written(self, storage: Any, fake_s3: Any, target: Path) -> None:
        fake_s3.objects["x"] = (b"12345", {})
        target.mkdir()
        with pytest.raises(ConflictError, match="is a directory"):
            storage.download("x", target)
        with pytest.raises(StorageError, match=r"Cannot write .*No such file or directory"):
            storage.download("x", target / "absent" / "file")
        assert leftovers(target.parent) == ["fetched"]

    def test_longest_name(self, storage: Any, fake_s3: Any, tmp_path: Path) -> None:
        fake_s3.objects["x"] = (b"12345", {})
        target = tmp_path / ("é" * 127 + "x")
        storage.download("x", target)
        assert target.read_bytes() == b"12345"


class TestHead:
    def test_what_is_known_of_an_object(self, storage: Any, fake_s3: Any) -> None:
        fake_s3.objects["a/é b"] = (b"12345", {SHA256: "5f"})
        found = storage.head_many(["a/é b", "absent", "a/é b"])
        (info,) = found.values()
        assert (info.key, info.size_bytes, info.sha256) == ("a/é b", 5, "5f")
        assert f"{info.modified:%Y-%m-%d %H:%M:%S %Z}" == "2026-11-23 07:01:15 UTC"

    def test_many_at_once(self, storage: Any, fake_s3: Any) -> None:
        fake_s3.objects |= {f"k{n}": (b"x", {}) for n in range(0, 30, 2)}
        found = storage.head_many([f"k{n}" for n in range(30)])
        assert sorted(found) == fake_s3.keys()

    def test_absent_bucket_is_not_an_absent_object(self, fake_s3: Any, storage: Any) -> None:
        settings = StorageSettings(
            type="s3",
            endpoint=storage.settings.endpoint,
            bucket="other",
            access_key_id="a",
            secret_access_key="s",
        )
        assert fake_s3
        opened = S3Storage(settings)
        with pytest.raises(StorageError, match="there is no such bucket"):
            opened.head_many(["a"])
        opened.client.close()

    def test_absent_where_listing_is_allowed_and_looking_is_not(
        self, storage: Any, fake_s3: Any
    ) -> None:
        """S3 answers 403 for what is not there to those who may not list the whole bucket."""
        fake_s3.script = lambda method, _: DENIED if method == "HEAD" else None
        assert storage.head_many(["a"]) == {}
        fake_s3.objects["a"] = (b"x", {})
        with pytest.raises(StorageError, match="AKIDEXAMPLE may not do that"):
            storage.head_many(["a"])

    def test_wrong_keys_are_told_though_head_has_no_body(self, storage: Any, fake_s3: Any) -> None:
        body = b"<Error><Code>InvalidAccessKeyId</Code></Error>"
        fake_s3.script = lambda *_: (403, {}, body)
        with pytest.raises(StorageError, match="access key AKIDEXAMPLE is not known there"):
            storage.head_many(["a"])


def test_list_and_delete(storage: Any, fake_s3: Any) -> None:
    for key in ["u/b", "u/a", "v/c", "u/.prominence-5f"]:
        fake_s3.objects[key] = (b"123", {})
    assert [(info.key, info.size_bytes) for info in storage.list_objects("u/")] == [
        ("u/a", 3),
        ("u/b", 3),
    ]
    storage.delete("u/a")
    storage.delete("u/a")
    assert fake_s3.keys() == ["u/.prominence-5f", "u/b", "v/c"]


def test_boto3_and_we_say_the_same(storage: Any, fake_s3: Any) -> None:
    fake_s3.script = lambda *_: (403, {}, b"<Error><Code>InvalidAccessKeyId</Code></Error>")
    with pytest.raises(StorageError, match=r"Cannot list u/\* .* AKIDEXAMPLE is not known there"):
        list(storage.list_objects("u/"))


def test_boto3_says_who_cannot_be_reached(settings: StorageSettings, storage: Any) -> None:
    assert storage
    unreachable = StorageSettings(**{**vars(settings), "endpoint": "http://127.0.0.1:9"})
    opened = S3Storage(unreachable)
    with pytest.raises(StorageError, match=r"nothing listens at http://127\.0\.0\.1:9"):
        opened.delete("u/a")
    opened.boto.close()


class TestUrls:
    def test_lifetime_is_that_of_the_settings(self, storage: Any) -> None:
        storage.settings = StorageSettings(url_lifetime_hours=2)
        assert self.seconds(storage.temporary_url("x")) == 7200

    def test_lifetime_is_seven_days_at_most(self, storage: Any) -> None:
        storage.settings = StorageSettings(url_lifetime_hours=1000)
        assert self.seconds(storage.source(ObjectInfo(key="x", size_bytes=1))) == 604800

    def test_borrowed_credentials_end_it_sooner(
        self, storage: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("time.time", lambda: 1000.0)
        storage.client.credentials = Credentials(
            access_key_id="a", secret_access_key="s", expires=4600.0
        )
        assert self.seconds(storage.destination("x").url) == 3600
        storage.client.credentials = Credentials(
            access_key_id="a", secret_access_key="s", expires=900.0
        )
        with pytest.raises(ConfigError, match="would expire at once"):
            storage.destination("x")

    def test_keys_that_leave_their_place_are_refused(self, storage: Any) -> None:
        with pytest.raises(UsageError):
            storage.destination("scratch/5f/../../uploads/bob/x")

    @staticmethod
    def seconds(url: str) -> int:
        return int(parse_qs(urlsplit(url).query)["X-Amz-Expires"][0])
