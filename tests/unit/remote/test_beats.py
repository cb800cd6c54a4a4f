"""A node that has nothing to say tells that it is there; follow's own words come in between."""

import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from prominence_hpc.adapter.remote.snapshot import request as snapshot_request
from prominence_hpc.wrappers import frames
from tests.unit.remote.jobs import Place, shell_of
from tests.unit.wrappers.servers import Handler, serving

SECONDS = 0.1  # instead of many


@pytest.fixture
def quick(place: Place) -> Place:
    """A job whose runner is all that it always is, but for the time between two beats."""
    (runner,) = place.root.glob("*.pyz")
    buffer = io.BytesIO()
    with zipfile.ZipFile(runner) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            text = old.read(name).decode()
            if name.endswith("/frames.py"):
                quicker = text.replace(
                    f"BEAT_SECONDS = {frames.BEAT_SECONDS}", f"BEAT_SECONDS = {SECONDS}"
                )
                assert quicker != text
                text = quicker
            new.writestr(name, text)
    runner.write_bytes(buffer.getvalue())
    return place


def frames_of(
    place: Place, request: dict[str, object], on_beat: Callable[[int], None]
) -> list[frames.Frame]:
    """Everything that comes; ``on_beat`` is told how often there was nothing else by now."""
    channel = shell_of(place.folder).open(frames.enter_argv(str(place.folder)))
    channel.write(frames.pack_json(frames.REQUEST, request))
    reader, data, found = frames.FrameReader(), b"", list[frames.Frame]()
    while frames.MAGIC not in data:
        data += channel.read(1 << 16, timeout_seconds=10)
    block = data.partition(frames.MAGIC)[2]
    while True:
        for frame in reader.feed(block):
            found.append(frame)
            if frame[0] == frames.BEAT:
                on_beat(beats(found))
        block = channel.read(1 << 16, timeout_seconds=10)
        if not block:
            channel.close()
            return found


def beats(found: list[frames.Frame]) -> int:
    return [kind for kind, _ in found].count(frames.BEAT)


def test_a_silent_command(quick: Place, tmp_path: Path) -> None:
    script = f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; echo done"
    request = {
        "verb": "exec",
        "command": ["sh", "-c", script],
        "host": True,
        "terminal": None,
        "timeout_seconds": 20,
    }
    found = frames_of(
        quick, request, lambda count: (tmp_path / "go").touch() if count == 2 else None
    )
    assert beats(found) >= 2
    assert [frame for frame in found if frame[0] == frames.OUTPUT] == [(frames.OUTPUT, b"done\n")]
    assert json.loads(found[-1][1]) == {"exit_code": 0, "ended_by": ""}


def test_streams_to_which_nothing_is_added(quick: Place) -> None:
    log = quick.folder / "wrapper.log"
    log.write_bytes(b"begins\n")

    def go_on(count: int) -> None:
        if count == 2:
            log.write_bytes(b"begins\nends\n")
            (quick.folder / "running.json").unlink()

    quick.write_running(host="another-node")
    request = {"verb": "follow", "offsets": {"wrapper.log": 0}, "once": False}
    found = frames_of(quick, request, go_on)
    assert beats(found) >= 2
    said = b"".join(payload[1:] for kind, payload in found if kind == frames.STREAM)
    assert said == b"begins\nends\n"
    assert json.loads(found[-1][1]) == {"offsets": {"wrapper.log": 12}}


def test_storage_that_takes_its_time(quick: Place) -> None:
    (quick.work / "file").write_text("x")
    go = Event()

    def answer(handler: Handler) -> None:
        go.wait(10)
        handler.reply(200)

    with serving(answer) as server:
        place = {"method": "put", "url": server.url + "/x", "path": None, "name": "x"}
        request = snapshot_request("file", place)
        found = frames_of(quick, request, lambda count: go.set() if count == 2 else None)
        go.set()
    assert beats(found) >= 2
    assert [kind for kind, _ in found if kind == frames.DONE] == [frames.DONE]


def test_whoever_says_much_need_not_say_that_he_is_there(quick: Place) -> None:
    log, over = quick.folder / "wrapper.log", Event()
    log.touch()
    quick.write_running(host="another-node")

    def write() -> None:
        end = time.monotonic() + 5 * SECONDS
        while time.monotonic() < end:
            with log.open("ab") as file:
                file.write(b"line\n")
            time.sleep(0.01)
        (quick.folder / "running.json").unlink()
        over.set()

    writer = Thread(target=write)
    writer.start()
    request = {"verb": "follow", "offsets": {"wrapper.log": 0}, "once": False}
    found = frames_of(quick, request, lambda _: None)
    writer.join()
    assert over.is_set()
    said = b"".join(payload[1:] for kind, payload in found if kind == frames.STREAM)
    assert said == log.read_bytes()
    assert beats(found) <= 1  # a busy machine may keep the writer waiting
