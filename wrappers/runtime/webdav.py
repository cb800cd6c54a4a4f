"""Remote storage that tasks see as a folder: WebDAV, by ``rclone mount`` beside the tasks.

What tasks write is kept in a cache on the node and sent by rclone behind their backs, so the mount's
end has two steps: wait until all of it is on the server, then unmount. The server's password is in
no argument list and no file: rclone reads it from its environment.
"""

import http.client
import json
import os
import socket
import subprocess
import time

from .errors import STORAGE_FAILED, JobFailed, TransferError
from .mounts import is_mounted, unmount
from .retry import Transient
from .text import decode, encode, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Optional

    from .companion import Companion
    from .control import Control
    from .log import Log
    from .process import Watch

PROGRAM = b"rclone"
REMOTE = "storage"
MOUNT_SECONDS = 30.0  # for the mount to appear
ASK_SECONDS = 5.0  # for an answer from rclone itself
POLL_SECONDS = 0.2
PATIENCE_SECONDS = 60.0  # with a server that does not answer at the beginning
TAIL = 2000
SOCKET = b"rc"  # of rclone's remote control, in a folder that is ours alone
OPTIONS = (
    "--config=",  # none: neither the user's file nor another
    "--vfs-cache-mode=writes",  # files can be written to at any place, and read again
    "--vfs-write-back=1s",
    "--dir-cache-time=30s",
    "--umask=077",
    "--log-level=NOTICE",
    "--rc",
    "--rc-no-auth",
    "--rc-addr=unix://rc",
)


class WebDAV:
    """The storage of one job: where it is mounted on the node, and the program that does it."""

    def __init__(self, settings: "dict[str, Any]", folder: bytes, log: "Log") -> None:
        """``folder``: of the scratch folder, made here for this alone."""
        self.settings = settings
        self.folder = folder
        self.mount = os.path.join(folder, b"mount")
        self.cache = os.path.join(folder, b"cache")
        self.log = log
        self._companion: "Optional[Companion]" = None
        self._words: "list[bytes]" = []
        self._env: "dict[bytes, bytes]" = {}

    def open(self, watch: "Watch", certificates: "Optional[str]") -> None:
        """Mount it; raises JobFailed where the server or the node will not have it."""
        program = _which(PROGRAM)
        if program is None:
            raise JobFailed(STORAGE_FAILED, "rclone is not on PATH of this node.")
        self._ask_server(watch.control, certificates)
        try:
            for path in (self.folder, self.mount, self.cache):
                os.mkdir(path, 0o700)
            self._env = self._environment(program, certificates)
        except OSError as error:
            raise JobFailed(STORAGE_FAILED, "Storage: %s." % error.strerror) from error
        self._words = [program, b"mount", encode(REMOTE + ":"), self.mount]
        self._words += [encode(option) for option in OPTIONS]
        self._words += [b"--cache-dir=" + self.cache]
        self._companion = self._begin(watch)
        self.log("storage is mounted")

    def close(self, watch: "Watch", end: float) -> str:
        """Unmount it once all is on the server; returns what went wrong, or nothing. ``end``: when to give up.

        A scheduler that cancels a job may signal all of its processes, rclone too, which then leaves with
        its cache unsent; another one sends what the first has left.
        """
        if self._companion is None:
            return ""
        early = self._companion.ended is not None and not watch.control.signal_number
        if self._companion.ended is not None and any(self._unsent()):
            self.log("rclone has ended; another sends what it has left")
            unmount(self.mount)
            try:
                self._companion = self._begin(watch)
            except JobFailed as error:
                return error.detail
        problem = self._write_back(self._companion, end)
        if early:
            problem = problem or "rclone ended before the tasks did; see the job's wrapper.log."
        watch.end([self._companion])
        unmount(self.mount)
        self.log(problem or "storage is unmounted, everything is on the server")
        return problem

    def _begin(self, watch: "Watch") -> "Companion":
        """rclone, once it has mounted; raises JobFailed where it does not."""
        path = os.path.join(self.folder, b"log")
        try:
            with open(path, "ab") as output:
                number = output.fileno()
                companion = watch.begin(self._words, self._env, self.folder, number, number)
        except OSError as error:
            raise JobFailed(STORAGE_FAILED, "rclone: %s." % error.strerror) from error
        end = time.time() + MOUNT_SECONDS
        while not is_mounted(self.mount):
            if companion.ended is not None or time.time() > end or watch.control.left() <= 0:
                watch.end([companion])
                unmount(self.mount)
                raise JobFailed(STORAGE_FAILED, "rclone: %s" % (self._said() or "no mount."))
            watch.pause(0.05)
        return companion

    def _ask_server(self, control: "Control", certificates: "Optional[str]") -> None:
        """rclone would mount whatever it is given, and tell of a wrong password file by file."""
        from .dav_check import check
        from .retry import retrying

        try:
            retrying(
                lambda: check(self.settings, certificates), control, PATIENCE_SECONDS, self.log
            )
        except (TransferError, Transient) as error:
            raise JobFailed(STORAGE_FAILED, "Storage: %s." % error) from error

    def _environment(self, program: bytes, certificates: "Optional[str]") -> "dict[bytes, bytes]":
        settings = self.settings
        prefix = "RCLONE_CONFIG_%s_" % REMOTE.upper()
        values = {
            "TYPE": "webdav",
            "URL": settings["url"],
            # Plain WebDAV, which every server speaks, B2DROP's Nextcloud too. In rclone's dialects the
            # server must know checksums, and large files go in parts to an address of their own.
            "VENDOR": "other",
            "USER": settings["username"],
            "PASS": _obscured(program, settings["password"]),
        }
        # What a user or site has set for rclone is not for this mount.
        env = {key: value for key, value in os.environb.items() if not key.startswith(b"RCLONE_")}
        env.update({encode(prefix + key): encode(value) for key, value in values.items()})
        if certificates:
            path = os.path.join(self.folder, b"certificates.pem")
            with open(path, "wb") as stream:
                stream.write(_system_certificates() + encode(certificates))
            env[b"SSL_CERT_FILE"] = path  # beside the folder that Go looks into
        return env

    def _write_back(self, companion: "Companion", end: float) -> str:
        while companion.ended is None and time.time() < end:
            if not self._uploads() and not any(self._unsent()):
                return ""
            time.sleep(POLL_SECONDS)
        left = sorted(self._unsent())
        if not left and companion.ended is not None:
            return ""
        self.log("rclone: %s" % self._said())
        names = ", ".join(shown(name) for name in left[:3]) or "files"
        more = " and %d more" % (len(left) - 3) if len(left) > 3 else ""
        return "Not written back to the storage in time: %s%s." % (names, more)

    def _uploads(self) -> int:
        """How many files rclone is sending or going to send, by its own word; one where it says none."""
        try:
            cache = _call(self.folder, "vfs/stats")["diskCache"]
            return int(cache["uploadsInProgress"]) + int(cache["uploadsQueued"])
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return 1

    def _unsent(self) -> "Iterator[bytes]":
        """Files in the cache that the server does not have yet, also such as are just being closed."""
        root = os.path.join(self.cache, b"vfsMeta")
        for folder, _, names in os.walk(root):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    with open(path, "rb") as stream:
                        dirty = json.loads(stream.read().decode("utf-8", "replace"))["Dirty"]
                except (OSError, ValueError, KeyError):
                    continue  # being written, or gone: it is looked at again
                if dirty:  # below the remote's own folder
                    yield os.path.relpath(path, root).split(b"/", 1)[-1]

    def _said(self) -> str:
        """The last that rclone has said, in one line."""
        from .text import scrub

        try:
            with open(os.path.join(self.folder, b"log"), "rb") as stream:
                lines = decode(stream.read()[-TAIL:]).splitlines()
        except OSError:
            return ""
        return scrub(" ".join(lines[-1:]))


class _Control(http.client.HTTPConnection):
    """A connection to rclone's socket, whose path may be too long for an address."""

    def __init__(self, folder: bytes) -> None:
        super().__init__("localhost", timeout=ASK_SECONDS)
        self.folder = folder

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ASK_SECONDS)
        descriptor = os.open(self.folder, os.O_PATH | os.O_CLOEXEC)
        try:
            self.sock.connect(b"/proc/self/fd/%d/%s" % (descriptor, SOCKET))
        finally:
            os.close(descriptor)


def _call(folder: bytes, verb: str) -> "dict[str, Any]":
    connection = _Control(folder)
    try:
        connection.request("POST", "/" + verb)
        answer: "dict[str, Any]" = json.loads(connection.getresponse().read().decode("utf-8"))
        return answer
    finally:
        connection.close()


def _obscured(program: bytes, password: str) -> str:
    """The password in the form that rclone's settings want it in; it goes by standard input."""
    done = subprocess.run(
        [program, b"obscure", b"-"],
        input=encode(password),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode != 0:
        raise JobFailed(STORAGE_FAILED, "rclone obscure ended with exit code %d." % done.returncode)
    return decode(done.stdout).strip()


def _system_certificates() -> bytes:
    import ssl

    path: "Optional[str]" = ssl.get_default_verify_paths().cafile
    if not path:
        return b""
    with open(path, "rb") as stream:
        return stream.read() + b"\n"


def _which(name: bytes) -> "Optional[bytes]":
    for folder in os.get_exec_path():
        path = os.path.join(os.fsencode(folder), name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None
