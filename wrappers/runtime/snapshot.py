"""``prominence snapshot`` on the node: files of the running job, packed while they are sent.

They go to object storage (one PUT, or the parts of a multipart upload, for each of which the login
node gives an address when it is asked), into a folder, or back over the connection itself. There is
never a second copy on the node's disk.
"""

import hashlib
import json
import os
import queue
import signal
import threading
import time

from . import frames
from .ahead import read_ahead
from .control import Control
from .entrance import Gone, leave, note
from .errors import Stopped, TransferError, UnsafeName
from .gzip_out import compressed
from .live_archive import LiveArchive
from .namespace import HOME, Namespace, of_plan
from .patterns import expand, is_pattern
from .place import CONFLICT, NOT_FOUND, REMOTE, USAGE, Refusal
from .planfile import PlanFile
from .put_bytes import PutBytes
from .text import encode, shown
from .upload import store_in_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from .entrance import Peer
    from .live_archive import Top
    from .place import Place

MIB = 1 << 20
PART = 16 * MIB
PARTS_OF_A_SIZE = 500  # then they grow: S3 takes ten thousand at most
NICE = 10  # the job comes first
THREADS = 2
DAY = 86400.0
LEAVE_SECONDS = 2.0  # to remove what was begun, once the login node is gone
REPORT_SECONDS = 0.1  # between two words on how far it is


def snapshot(peer: "Peer", place: "Place", request: "dict[str, Any]") -> "dict[str, Any]":
    """Serve one ``snapshot``; DONE has the archive's size, SHA-256 and the tags of its parts."""
    place.check_running()
    if place.elsewhere or place.scratch is None:
        raise Refusal(CONFLICT, _no_files(place))
    tops = find(of_plan(place.plan, place.scratch.work), encode(request["path"]), place)
    alive = place.wrapper()
    os.nice(NICE)
    progress = Progress(peer)
    archive = LiveArchive(tops, progress, place.scratch.work)
    peer.send(frames.pack_json(frames.TOTAL, archive.measure()))
    threading.Thread(target=_beat, args=(peer,), daemon=True).start()
    control = Control(time.time(), DAY, 0, 0)
    answers = Answers(peer, control, request["destination"])
    blocks = compressed(archive.blocks(), THREADS)
    try:
        done = send(peer, answers, control, place, request["destination"], blocks)
    except Stopped as error:
        raise Gone from error
    except TransferError as error:
        msg = "The snapshot could not be stored: %s." % error
        raise Refusal(REMOTE, msg) from error
    if not alive:
        msg = "Job %d ended while its files were packed." % place.plan["job_id"]
        raise Refusal(CONFLICT, msg)
    if not archive.entries:
        raise Refusal(NOT_FOUND, "There is nothing to take: " + "; ".join(archive.notes[:3]) + ".")
    progress.tell()
    for words in archive.notes:
        note(peer, words)
    return done


def _beat(peer: "Peer") -> None:
    """Storage may take its time: the login node is told that we are still there."""
    try:
        while True:
            time.sleep(frames.BEAT_SECONDS)
            peer.send(frames.pack(frames.BEAT))
    except Gone:
        return  # whoever sends something else finds out too


def _no_files(place: "Place") -> str:
    where = "has its files on another node" if place.elsewhere else place.phase()
    return "Job %d %s: there is nothing to take from it." % (place.plan["job_id"], where)


def find(namespace: Namespace, path: bytes, place: "Place") -> "list[Top]":
    """What a path or pattern stands for; raises Refusal where that is nothing, or outside of the job."""
    try:
        where = namespace.resolve(path)
        found = [(path, where)] if os.path.lexists(where) else []
        if not found and is_pattern(path):
            found = _matches(namespace, path)
        tops = [(_archive_name(name), where) for name, where in found]
    except UnsafeName as error:
        msg = (
            "%s is outside of the job: a path is relative to its working directory, or absolute below"
            " /home/user or an artifact's mountpoint (%s)." % (shown(path), error)
        )
        raise Refusal(USAGE, msg) from error
    except ValueError as error:
        msg = "%s is no path." % shown(path)
        raise Refusal(USAGE, msg) from error
    if not tops:
        what = "Nothing in job %d matches %s" if is_pattern(path) else "Job %d has no %s"
        raise Refusal(NOT_FOUND, what % (place.plan["job_id"], shown(path)) + " now.")
    return tops


def _matches(namespace: Namespace, pattern: bytes) -> "list[tuple[bytes, bytes]]":
    """Names that match and where they are; raises UnsafeName where that is outside for all of them.

    Of "*/x" those that there are: a folder need not have an x. A link that leads outside is taken as
    a link, as it is in a folder that is packed.
    """
    names = sorted(expand(namespace, pattern))
    found = []
    outside = []
    for name in names:
        try:
            where = namespace.resolve(name)
        except UnsafeName as error:
            outside.append(error)
            where = _link_itself(namespace, name)
        if os.path.lexists(where):
            found.append((name, where))
    if outside and not found and len(outside) == len(names):
        raise outside[0]
    return found


def _link_itself(namespace: Namespace, name: bytes) -> bytes:
    """Where a link is; empty for what is none, or is outside itself."""
    folder, base = os.path.split(name)
    try:
        path = os.path.join(namespace.resolve(folder), base)
    except UnsafeName:
        return b""
    return path if os.path.islink(path) else b""


def _archive_name(name: bytes) -> bytes:
    """Relative to the working directory; without the slash before another folder's name."""
    normal = os.path.normpath(os.path.join(HOME, name))
    if normal == HOME:
        return b"."
    below = HOME + b"/"
    return normal[len(below) :] if normal.startswith(below) else normal.lstrip(b"/")


class Progress:
    """Told of every block, tells the login node now and then."""

    def __init__(self, peer: "Peer") -> None:
        self._peer = peer
        self._count = 0
        self._next = 0.0

    def __call__(self, count: int) -> None:
        self._count += count
        if time.time() >= self._next:
            self.tell()

    def tell(self) -> None:
        """Of all that there was; at the end, or it would seem to lack something."""
        self._peer.send(frames.pack_count(frames.PROGRESS, self._count))
        self._count, self._next = 0, time.time() + REPORT_SECONDS


class Answers:
    """What the login node answers, heard by a thread; its end is ours.

    At once, or a PUT that ends a moment later would store what was given up; but in a folder no half of
    a file is left.
    """

    def __init__(
        self, peer: "Peer", control: Control, destination: "dict[str, Any] | None"
    ) -> None:
        self._in_folder = destination is not None and destination["method"] == "folder"
        self._peer = peer
        self._control = control
        self._heard: "queue.Queue[dict[str, Any]]" = queue.Queue()
        self._number = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            while True:
                kind, payload = self._peer.receive()
                if kind == frames.ADDRESS:
                    self._heard.put(json.loads(payload.decode("ascii")))
        except (Gone, OSError, frames.Broken):
            if self._in_folder:
                self._control.signalled(signal.SIGHUP)
                time.sleep(LEAVE_SECONDS)
            leave(1)

    def next_address(self) -> str:
        """Where the next part goes; raises TransferError where the login node has no address."""
        self._number += 1
        self._peer.send(frames.pack_json(frames.PART, self._number))
        answer = self._heard.get()
        if "url" not in answer:
            raise TransferError(answer["error"])
        return str(answer["url"])


def send(
    peer: "Peer",
    answers: Answers,
    control: Control,
    place: "Place",
    destination: "dict[str, Any] | None",
    blocks: "Iterator[bytes]",
) -> "dict[str, Any]":
    """The archive to where it is to go; raises TransferError."""
    if destination is None:
        return _straight(peer, blocks)
    file = PlanFile(place.plan_path)
    if destination["method"] == "folder":
        folder, name = file.local(destination["path"]), destination["name"]
        size, sha256 = store_in_folder(folder, name, blocks, control, name + ".part")
        return {"size_bytes": size, "sha256": sha256, "parts": []}
    put = PutBytes(file.document.get("ca_certificates"), control)
    return _to_storage(put, answers, destination["url"], blocks)


def _straight(peer: "Peer", blocks: "Iterator[bytes]") -> "dict[str, Any]":
    digest, size = hashlib.sha256(), 0
    for block in read_ahead(blocks):
        digest.update(block)
        size += len(block)
        peer.send(frames.pack(frames.OUTPUT, block))
    return {"size_bytes": size, "sha256": digest.hexdigest(), "parts": []}


def _to_storage(
    put: "PutBytes", answers: Answers, url: str, blocks: "Iterator[bytes]"
) -> "dict[str, Any]":
    """A small archive by the one address that came with the request, a large one in parts."""
    digest, size = hashlib.sha256(), 0
    tags: "list[str]" = []
    for data, last in with_last(parts(read_ahead(blocks))):
        digest.update(data)
        size += len(data)
        if last and not tags:
            put(url, data)
        else:
            tags.append(put(answers.next_address(), data))
    return {"size_bytes": size, "sha256": digest.hexdigest(), "parts": tags}


def parts(blocks: "Iterator[bytes]") -> "Iterator[bytes]":
    """The same bytes in pieces of PART bytes, larger ones after many."""
    held = bytearray()
    number = 0
    for block in blocks:
        held += block
        if len(held) >= PART * (1 + number // PARTS_OF_A_SIZE):
            number += 1
            yield bytes(held)
            held.clear()
    if held or not number:
        yield bytes(held)


def with_last(pieces: "Iterator[bytes]") -> "Iterator[tuple[bytes, bool]]":
    """Each piece, and whether none comes after it."""
    before = next(pieces)
    for piece in pieces:
        yield before, False
        before = piece
    yield before, True
