"""Storage against real Ceph over TLS, and a folder that two users share.

Nodes have neither keys nor Python of ours: what they are given is tried with curl.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.site.handle import Site

SCRIPT = Path(__file__).with_name("storage_script.py")
PYTHON = "/opt/prominence/bin/python"
MIB = 1024**2
S3 = {
    "type": "s3",
    "endpoint": "https://s3:7443",
    "bucket": "prominence",
    "ca_file": "/etc/ssl/certs/ca-certificates.crt",
}
ODD_NAMES = ["a b+c%25~*'()!$&=@:,;[]", "𝜋 é\u0301", "-x", "a/b/c", "?query#fragment", "x" * 200]


class Folder:
    """A folder on the login node, as long as one test lasts, and calls of storage from there."""

    def __init__(self, site: Site, path: str) -> None:
        self.site = site
        self.path = path
        self.prefix = f"uploads/alice/{Path(path).name}"

    def calls(
        self, *calls: list[Any], user: str = "alice", settings: dict[str, Any] | None = None
    ) -> list[Any]:
        argv = [PYTHON, "-c", SCRIPT.read_text(), json.dumps(settings or S3), user]
        done = self.site.run(argv, input=json.dumps(calls), user=user, cwd="/")
        answers = json.loads(done.stdout)
        assert isinstance(answers, list)
        return answers

    def call(self, *call: Any, **options: Any) -> Any:
        ((outcome, value),) = self.calls(list(call), **options)
        assert outcome == "ok", value
        return value

    def refused(self, *call: Any, **options: Any) -> str:
        ((outcome, value),) = self.calls(list(call), **options)
        assert outcome == "StorageError", (outcome, value)
        assert isinstance(value, str)
        return value

    def file(self, name: str, size: int) -> tuple[dict[str, str], str]:
        """A file of random bytes, as an argument of a call, and its SHA-256."""
        path = f"{self.path}/{name}"
        self.site.run(["sh", "-c", f"head -c {size} /dev/urandom > {path}"])
        return {"path": path}, self.sha256(path)

    def sha256(self, path: str) -> str:
        return self.site.run(["sha256sum", path]).stdout.split()[0]


@pytest.fixture
def folder(site: Site) -> Iterator[Folder]:
    folder = Folder(site, f"/home/alice/storage-{uuid4().hex[:8]}")
    site.run(["mkdir", folder.path])
    yield folder
    listed = folder.call("list_objects", folder.prefix)
    folder.calls(*(["delete", info["key"]] for info in listed))
    site.run(["rm", "-rf", folder.path])


@pytest.mark.parametrize("size", [0, 5, 40 * MIB], ids=["empty", "small", "multipart"])
def test_round_trip(folder: Folder, size: int) -> None:
    source, sha256 = folder.file("source", size)
    key = f"{folder.prefix}/x"
    stored = folder.call("upload", source, key)
    assert (stored["size_bytes"], stored["sha256"]) == (size, sha256)
    assert folder.call("head_many", [key])[key]["sha256"] == sha256
    assert everything_below(folder, folder.prefix) == [key]
    folder.call("download", key, {"path": f"{folder.path}/back"})
    assert folder.sha256(f"{folder.path}/back") == sha256


def everything_below(folder: Folder, prefix: str) -> list[str]:
    """Keys as boto3 lists them: hidden ones and uploads under way as well."""
    program = """
import boto3, json, sys
s3 = boto3.client("s3", endpoint_url=sys.argv[1], verify=sys.argv[2], region_name="us-east-1")
found = s3.list_objects_v2(Bucket="prominence", Prefix=sys.argv[3]).get("Contents", [])
print(json.dumps([entry["Key"] for entry in found]))
"""
    argv = [PYTHON, "-c", program, S3["endpoint"], S3["ca_file"], prefix]
    keys = json.loads(folder.site.run(argv).stdout)
    assert isinstance(keys, list)
    return keys


def test_odd_names_come_back(folder: Folder) -> None:
    source, sha256 = folder.file("source", 100)
    keys = [f"{folder.prefix}/{name}" for name in ODD_NAMES]
    answers = folder.calls(*(["upload", source, key] for key in keys), ["head_many", keys])
    assert {answer[0] for answer in answers} == {"ok"}, answers
    assert {info["sha256"] for info in answers[-1][1].values()} == {sha256}
    listed = folder.call("list_objects", f"{folder.prefix}/")
    assert [info["key"] for info in listed] == sorted(keys, key=str.encode)
    back = [f"{folder.path}/back{number}" for number in range(len(keys))]
    folder.calls(*(["download", key, {"path": path}] for key, path in zip(keys, back, strict=True)))
    assert {folder.sha256(path) for path in back} == {sha256}
    folder.calls(*(["delete", key] for key in keys))
    assert folder.call("head_many", keys) == {}


@pytest.mark.parametrize("size", [5, 40 * MIB], ids=["small", "multipart"])
def test_wrong_checksum_leaves_nothing(folder: Folder, size: int) -> None:
    source, sha256 = folder.file("source", size)
    key = f"{folder.prefix}/x"
    said = folder.refused("upload", source, key, {"sha256": "0" * 64})
    assert sha256 in said
    assert everything_below(folder, folder.prefix) == []
    folder.call("upload", source, key, {"sha256": sha256})
    assert folder.call("head_many", [key])[key]["sha256"] == sha256


def test_interrupted_upload_leaves_nothing(folder: Folder) -> None:
    """Control-C when the first part has been stored."""
    source, _ = folder.file("source", 100 * MIB)
    program = """
import json, os, signal, sys
from pathlib import Path
from prominence_hpc.adapter.storage import StorageSettings, open_storage
settings = StorageSettings(**json.loads(sys.argv[1]))
storage = open_storage(settings, state_folder=Path(), user="alice")
interrupt = lambda _: os.kill(os.getpid(), signal.SIGINT)
storage.upload(Path(sys.argv[2]), sys.argv[3], progress=interrupt)
"""
    argv = [PYTHON, "-c", program, json.dumps(S3), source["path"], f"{folder.prefix}/x"]
    done = folder.site.run(argv, cwd="/", check=False)
    assert "KeyboardInterrupt" in done.stderr
    assert everything_below(folder, folder.prefix) == []


def asking(source: dict[str, str], key: str) -> list[list[Any]]:
    """Calls that ask the server in different ways: by our own requests and by boto3."""
    return [["head_many", [key]], ["upload", source, key], ["list_objects", key]]


def test_wrong_credentials_are_told(folder: Folder) -> None:
    unknown = {**S3, "access_key_id": "UNKNOWN", "secret_access_key": "s"}
    words = "access key UNKNOWN is not known there"
    key = f"{folder.prefix}/x"
    source, _ = folder.file("source", 5)
    for call in asking(source, key):
        assert words in folder.refused(*call, settings=unknown)


def test_wrong_secret_is_told(folder: Folder) -> None:
    text = folder.site.run(["cat", "/home/alice/.aws/credentials"]).stdout
    access = next(line.split()[-1] for line in text.splitlines() if "access_key_id" in line)
    wrong = {**S3, "access_key_id": access, "secret_access_key": "wrong"}
    said = folder.refused("head_many", [f"{folder.prefix}/x"], settings=wrong)
    assert f"secret key does not belong to the access key {access}" in said


def test_absent_bucket_is_told(folder: Folder) -> None:
    absent = {**S3, "bucket": "no-such-bucket"}
    source, _ = folder.file("source", 5)
    key = f"{folder.prefix}/x"
    for call in asking(source, key):
        said = folder.refused(*call, settings=absent)
        assert "bucket no-such-bucket at https://s3:7443: there is no such bucket" in said


def test_certificate_of_an_unknown_authority_is_refused(folder: Folder) -> None:
    bundle = f"{folder.path}/other.pem"
    folder.site.run(["sh", "-c", f"cat $(ls /etc/ssl/certs/*.pem | head -n 1) > {bundle}"])
    other = {**S3, "ca_file": bundle}
    source, _ = folder.file("source", 20 * MIB)
    for call in asking(source, f"{folder.prefix}/x"):
        said = folder.refused(*call, settings=other)
        assert "certificate of https://s3:7443 cannot be verified" in said
        assert "name its file as ca_file" in said


def test_users_do_not_see_each_other(folder: Folder) -> None:
    source, _ = folder.file("source", 5)
    key = f"{folder.prefix}/x"
    folder.call("upload", source, key)
    said = folder.refused("head_many", [key], user="bob")
    assert "may not do that, or there is no such object" in said
    calls: list[list[Any]] = [
        ["list_objects", "uploads/alice/"],
        ["download", key, {"path": "/tmp/storage-not-for-bob"}],
        ["delete", key],
    ]
    for call in calls:
        assert "may not do that" in folder.refused(*call, user="bob")
    assert key in folder.call("head_many", [key])


def test_missing_names_are_told_where_only_ones_own_can_be_listed(folder: Folder) -> None:
    """The server says 403, not 404, of what is not there to who may not list the whole bucket."""
    ((outcome, said),) = folder.calls(["resolve_names", ["no-such-image.sif"]])
    assert outcome == "NotFoundError"
    assert "prominence upload --name no-such-image.sif --filename FILE" in said


@pytest.mark.parametrize("host", ["node1", "exec1"])
def test_nodes_read_and_write_without_keys(folder: Folder, host: str) -> None:
    uid = uuid4().hex
    source, sha256 = folder.file("source", 100_000)
    key = f"{folder.prefix}/a b+c%"
    put_key, prefix = f"scratch/{uid}/out dir/é.txt", f"scratch/{uid}/"
    answers = folder.calls(
        ["upload", source, key],
        ["source", {"info": key}],
        ["destination", put_key],
        ["destination_prefix", prefix],
        ["temporary_url", put_key],
    )
    _, get, put, post, back = (value for _, value in answers)
    work = f"/tmp/storage-{uid}"
    run = folder.site.run
    curl = ["curl", "-sS", "--fail-with-body", "--max-time", "100"]
    run([*curl, "-o", work, get], host=host)
    assert run(["sha256sum", work], host=host).stdout.split()[0] == sha256

    run([*curl, "-T", work, put["url"]], host=host)
    form = [word for name, value in post["fields"].items() for word in post_field(name, value)]
    run([*curl, *form, "-F", f"file=@{work}", post["url"]], host=host)
    found = folder.call("head_many", [put_key, f"{prefix}one.dat"])
    assert {info["size_bytes"] for info in found.values()} == {100_000}
    assert sorted(found) == [f"{prefix}one.dat", put_key]
    body = run([*curl, "-o", f"{work}-2", back], host=host)
    assert body.returncode == 0

    outside = [word.replace(prefix, "scratch/other/") for word in form]
    refused = run([*curl, *outside, "-F", f"file=@{work}", post["url"]], host=host, check=False)
    assert "403" in refused.stderr
    run(["rm", "-f", work, f"{work}-2"], host=host)
    folder.calls(["delete", put_key], ["delete", f"{prefix}one.dat"])


def post_field(name: str, value: str) -> list[str]:
    return ["-F", f"{name}={value}one.dat" if name == "key" else f"{name}={value}"]


def test_shared_folder_keeps_users_apart(folder: Folder) -> None:
    root = f"/tmp/storage-shared-{uuid4().hex[:8]}"
    run = folder.site.run
    run(["mkdir", "-m", "1777", root], user="root")
    shared = {"type": "folder", "path": root}
    source, sha256 = folder.file("source", 5)
    key = "uploads/alice/x"
    assert folder.call("upload", source, key, settings=shared)["sha256"] == sha256
    assert folder.call("head_many", [key], user="bob", settings=shared) == {}
    assert folder.call("list_objects", "uploads/alice/", user="bob", settings=shared) == []
    assert run(["cat", f"{root}/alice/uploads/x"], user="bob", check=False).returncode != 0

    # What bob put in alice's way: she is told instead of writing there, or reading it.
    run(["rm", "-rf", f"{root}/alice"])
    run(
        ["sh", "-c", f"mkdir -p {root}/alice/uploads; echo evil > {root}/alice/uploads/x"],
        user="bob",
    )
    run(["chmod", "-R", "a+rX", f"{root}/alice"], user="bob")
    for call in (["upload", source, key], ["head_many", [key]]):
        said = folder.refused(*call, settings=shared)
        assert f"{root}/alice should be your own folder and is a folder of bob" in said
    run(["rm", "-rf", root], user="root")


def test_checksum_is_what_sha256sum_says(folder: Folder) -> None:
    source, _ = folder.file("source", 3)
    folder.site.run(["sh", "-c", f"printf abc > {source['path']}"])
    stored = folder.call("upload", source, f"{folder.prefix}/x")
    assert stored["sha256"] == hashlib.sha256(b"abc").hexdigest()
