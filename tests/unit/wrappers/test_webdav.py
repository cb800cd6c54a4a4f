"""Remote storage without a real rclone: what it is told, when all is sent, what is never removed."""

import json
import os
import sys
import time
from base64 import b64decode
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from prominence_hpc.wrappers.runtime import mounts, scratch, webdav
from prominence_hpc.wrappers.runtime.control import Control
from prominence_hpc.wrappers.runtime.dav_check import check
from prominence_hpc.wrappers.runtime.errors import JobFailed, TransferError
from prominence_hpc.wrappers.runtime.retry import Transient
from tests.unit.wrappers.servers import Handler, serving

SETTINGS = {
    "url": "https://dav.example/",
    "username": "user",
    "password": "pass wörd",
    "mountpoint": "/data",
}
RCLONE = """\
#!{python} -IS
import json, os, sys
with open(os.path.join({here!r}, "calls"), "a") as file:
    given = {{key: value for key, value in os.environ.items() if key.startswith("RCLONE")}}
    file.write(json.dumps([sys.argv[1:], given]) + "\\n")
if sys.argv[1] == "obscure":
    print(sys.stdin.read()[::-1])
"""


@pytest.fixture(autouse=True)
def do_propfind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "do_PROPFIND", Handler.handle_any, raising=False)


def settings(url: str) -> dict[str, Any]:
    return {**SETTINGS, "url": url}


def answer_to(status: int) -> None:
    def answer(handler: Handler) -> None:
        handler.reply(status)

    with serving(answer) as server:
        try:
            check(settings(server.url + "/folder"), None)
        finally:
            (seen,) = server.seen
            assert (seen.method, seen.target) == ("PROPFIND", "/folder")
            assert seen.headers["Depth"] == "0"
            word = seen.headers["Authorization"].split()[1]
            assert b64decode(word).decode() == "user:pass wörd"


def test_a_server_that_takes_the_name_and_password() -> None:
    answer_to(207)


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, TransferError, r"does not take this user name and password \(401\)"),
        (403, TransferError, r"does not take this user name and password \(403\)"),
        (404, TransferError, "answered 404"),
        (405, TransferError, "answered 405"),
        (503, Transient, "answered 503"),
    ],
)
def test_a_server_that_does_not(status: int, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        answer_to(status)
    assert "wörd" not in str(caught.value)


def test_nobody_there() -> None:
    with pytest.raises(Transient):
        check(settings("http://127.0.0.1:9/"), None)


class FakeWatch:
    """Begins programs by noting them; each new one has the ends that a test has planned."""

    def __init__(self, control: Control, *ended: bool) -> None:
        self.control = control
        self.ended = list(ended)
        self.begun: list[tuple[list[bytes], dict[bytes, bytes]]] = []
        self.stopped: list[Any] = []

    def begin(self, words: list[bytes], env: dict[bytes, bytes], *_: Any) -> Any:
        self.begun.append((words, env))
        return SimpleNamespace(ended=object() if self.ended.pop(0) else None)

    def end(self, companions: list[Any]) -> None:
        self.stopped += companions

    def pause(self, _: float) -> None:
        time.sleep(0.01)


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> webdav.WebDAV:
    """Of a node whose rclone is ours, which mounts nothing and is believed to."""
    program = tmp_path / "bin/rclone"
    program.parent.mkdir()
    program.write_text(RCLONE.format(python=os.path.realpath(sys.executable), here=str(tmp_path)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setenv("RCLONE_CONFIG_PASS", "of the user's own configuration")
    monkeypatch.setattr(webdav, "is_mounted", lambda _: True)
    monkeypatch.setattr(webdav, "unmount", lambda _: None)
    monkeypatch.setattr(webdav, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(webdav.WebDAV, "_ask_server", lambda *_: None)
    said: list[str] = []
    return webdav.WebDAV(SETTINGS, bytes(tmp_path / "storage"), cast("Any", said.append))


def opened(storage: webdav.WebDAV, watch: FakeWatch) -> None:
    storage.open(cast("Any", watch), None)


def dirty(storage: webdav.WebDAV, name: str, *, value: bool = True) -> Path:
    path = Path(storage.cache.decode()) / "vfsMeta/storage" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"Dirty": value}))
    return path


def test_the_password_goes_by_standard_input_and_environment(
    storage: webdav.WebDAV, control: Control, tmp_path: Path
) -> None:
    watch = FakeWatch(control, False)
    opened(storage, watch)
    ((words, env),) = watch.begun
    assert words[1:4] == [b"mount", b"storage:", storage.mount]
    ours = {key: value for key, value in env.items() if key.startswith(b"RCLONE")}
    assert ours == {
        b"RCLONE_CONFIG_STORAGE_TYPE": b"webdav",
        b"RCLONE_CONFIG_STORAGE_URL": b"https://dav.example/",
        b"RCLONE_CONFIG_STORAGE_VENDOR": b"other",
        b"RCLONE_CONFIG_STORAGE_USER": b"user",
        b"RCLONE_CONFIG_STORAGE_PASS": "dröw ssap".encode(),
    }
    (call,) = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    assert call[0] == ["obscure", "-"]
    assert not any("wörd".encode() in word for word in words)


def test_the_end_waits_until_all_is_sent(
    storage: webdav.WebDAV, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = FakeWatch(control, False)
    opened(storage, watch)
    path = dirty(storage, "being closed")
    uploads = [2, 1, 0, 0]

    def call(_folder: bytes, verb: str) -> dict[str, Any]:
        assert verb == "vfs/stats"
        left = uploads.pop(0)
        if not uploads:
            path.write_text('{"Dirty": false}')
        return {"diskCache": {"uploadsInProgress": left, "uploadsQueued": 0}}

    monkeypatch.setattr(webdav, "_call", call)
    assert storage.close(cast("Any", watch), time.time() + 10) == ""
    assert uploads == []
    assert len(watch.stopped) == 1


def test_what_could_not_be_sent_is_named(storage: webdav.WebDAV, control: Control) -> None:
    watch = FakeWatch(control, False)
    opened(storage, watch)
    for name in ("a", "d/b", "d/c", "e"):
        dirty(storage, name)
    dirty(storage, "sent", value=False)
    problem = storage.close(cast("Any", watch), time.time() + 0.1)
    assert problem == "Not written back to the storage in time: a, d/b, d/c and 1 more."


def test_another_rclone_sends_what_one_that_was_ended_has_left(
    storage: webdav.WebDAV, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = FakeWatch(control, True, False)
    monkeypatch.setattr(webdav, "_call", lambda *_: {"diskCache": {"uploadsInProgress": 0, "uploadsQueued": 0}})  # fmt: skip
    opened(storage, watch)
    control.signalled(15)
    path = dirty(storage, "left")

    def begin(*arguments: Any) -> Any:
        path.write_text('{"Dirty": false}')
        return FakeWatch.begin(watch, *arguments)

    monkeypatch.setattr(watch, "begin", begin)
    assert storage.close(cast("Any", watch), time.time() + 10) == ""
    first, second = watch.begun
    assert first == second


def test_one_that_ended_of_itself_is_told_of(storage: webdav.WebDAV, control: Control) -> None:
    watch = FakeWatch(control, True)
    opened(storage, watch)
    problem = storage.close(cast("Any", watch), time.time() + 10)
    assert problem == "rclone ended before the tasks did; see the job's wrapper.log."


def test_a_node_without_rclone(
    storage: webdav.WebDAV, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(JobFailed) as caught:
        opened(storage, FakeWatch(control))
    assert caught.value.detail == "rclone is not on PATH of this node."


def test_a_mount_that_does_not_come(
    storage: webdav.WebDAV, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webdav, "is_mounted", lambda _: False)
    watch = FakeWatch(control, True)
    with pytest.raises(JobFailed) as caught:
        opened(storage, watch)
    assert caught.value.reason == "Storage could not be mounted"
    assert len(watch.stopped) == 1


def test_mount_points_are_read_as_they_are_written() -> None:
    assert mounts.is_mounted(b"/proc")
    assert not mounts.is_mounted(b"/proc/self")
    line = rb"36 35 98:0 /mnt1 /mnt/a\040b\134c rw,noatime master:1 - ext3 /dev/root rw"
    assert mounts._point(line) == b"/mnt/a b\\c"


def test_what_is_mounted_in_a_folder_is_never_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Remote data would go with it."""
    kept = tmp_path / "scratch/storage/mount/remote data"
    kept.parent.mkdir(parents=True)
    kept.write_text("x")
    lstat = os.lstat

    def elsewhere(path: Any) -> Any:
        found = lstat(path)
        if not os.fsencode(path).endswith(b"/mount"):
            return found
        return SimpleNamespace(st_dev=found.st_dev + 1, st_mode=found.st_mode)

    monkeypatch.setattr(os, "lstat", elsewhere)
    with pytest.raises(OSError, match="something is mounted there"):
        scratch.remove_tree(bytes(tmp_path / "scratch"))
    assert kept.exists()
