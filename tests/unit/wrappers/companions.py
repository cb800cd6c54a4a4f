"""Run by test_companions.py in a process of its own: a Watch takes over signals and orphans.

``python3 companions.py FOLDER SCENARIO``, with ``wrappers`` on the path; prints JSON. It runs under the
oldest Python of the machine as well.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from prominence_hpc.wrappers.runtime.control import Control
from prominence_hpc.wrappers.runtime.orphans import descendants
from prominence_hpc.wrappers.runtime.process import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prominence_hpc.wrappers.runtime.companion import Companion

HERE = Path(sys.argv[1])
ENV = {b"PATH": os.environb[b"PATH"]}


def shell(text: str) -> "list[bytes]":
    return [b"/bin/sh", b"-c", text.encode()]


def until(made: str) -> None:
    end = time.time() + 10
    while not (HERE / made).exists():
        assert time.time() < end, made
        time.sleep(0.02)


def code_of(companion: "Companion") -> int:
    assert companion.ended is not None
    return companion.ended.exit_code


class Scenarios:
    def __init__(self) -> None:
        self.control = Control(time.time(), 1000, 0, 30)
        self.watch = Watch(self.control)
        self.control.start_tasks(1000)

    def begin(self, text: str) -> "Companion":
        return self.watch.begin(shell(text), ENV, bytes(HERE), None, None)

    def run(self, text: str) -> int:
        return self.watch.run(shell(text), ENV, bytes(HERE), None).exit_code

    def outlives(self) -> "list[Any]":
        """Its children, and one that it has left in another session, live on; a task's do not."""
        companion = self.begin("(setsid sleep 1001 &); setsid sleep 1002 & echo > up; wait")
        until("up")
        code = self.run("(setsid sleep 1003 &); sleep 1004 & exit 3")
        beside = [self._words(pid) for pid in descendants(os.getpid())]
        self.watch.end([companion])
        return [code, sorted(beside), code_of(companion), self._gone()]

    def early(self) -> "list[Any]":
        """One that ends before the task's end, and leaves something: its status is not lost."""
        companion = self.begin(
            "(setsid sh -c 'trap \"echo > told; exit\" TERM; echo > up; sleep 1005 & wait' &)"
            " ; exit 7"
        )
        code = self.run("while [ ! -e up ]; do sleep 0.05; done")
        while companion.ended is None:
            self.watch.pause(10)
        found = [code, code_of(companion), self._left_by(companion)]
        self.watch.end([companion])
        return [*found, (HERE / "told").exists(), self._gone()]

    def stubborn(self) -> "list[Any]":
        """Who heeds SIGTERM has its seconds; who does not is killed, with what it started."""
        kind = self.begin(
            "trap 'sleep 0.3; echo > kind; exit 4' TERM; echo > up1; sleep 1006 & wait"
        )
        deaf = self.begin("trap '' TERM; echo > up2; while :; do sleep 0.1; done")
        until("up1")
        until("up2")
        start = time.time()
        self.watch.end([kind, deaf])
        took = time.time() - start
        return [
            code_of(kind),
            code_of(deaf),
            4 < took < 8,
            self._gone(),
            (HERE / "kind").exists(),
            len(self.watch.companions),
        ]

    def absent(self) -> "list[Any]":
        """What cannot be started says so, and leaves nothing."""
        try:
            self.watch.begin([b"/nonexistent"], ENV, bytes(HERE), None, None)
        except OSError as error:
            return [error.errno, self.watch.companions, self._gone()]
        return []

    def streams(self) -> "list[Any]":
        out = os.open(str(HERE / "out"), os.O_WRONLY | os.O_CREAT)
        companion = self.watch.begin(shell("echo words; echo oops >&2"), ENV, bytes(HERE), out, out)
        while companion.ended is None:
            self.watch.pause(10)
        self.watch.end([companion])
        assert companion.ended is not None
        words = (HERE / "out").read_text()
        return [words, code_of(companion), companion.ended.max_kb > 0]

    def keeper_killed(self) -> "list[Any]":
        companion = self.begin("echo > up; exec sleep 1007")
        until("up")
        os.kill(companion.keeper, signal.SIGKILL)
        os.waitid(os.P_PID, companion.keeper, os.WEXITED | os.WNOWAIT)  # its program is ours now
        code = self.run("exit 0")
        self.watch.end([companion])
        return [code, code_of(companion), self._gone()]

    def signalled(self) -> "list[Any]":
        """The scheduler's SIGTERM to the wrapper and its keepers ends the task, not a companion."""
        companion = self.begin("trap 'exit 9' TERM; echo > up; sleep 1008 & wait")
        until("up")
        os.kill(companion.keeper, signal.SIGTERM)
        code = self.run(f"kill -TERM {os.getpid()}; sleep 1009")
        alive = companion.ended is None
        self.watch.end([companion])
        return [code, alive, code_of(companion), self._gone()]

    def abandoned(self) -> None:
        """Where the wrapper is killed, its companions go too. Says their processes' ids."""
        companion = self.begin("trap '' TERM; (setsid sleep 1010 &); echo > up; sleep 1011")
        until("up")
        sys.stdout.write(json.dumps([companion.keeper, *descendants(companion.keeper)]))
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    def _words(self, pid: int) -> str:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1][-1].decode()

    def _left_by(self, companion: "Companion") -> bool:
        return bool(descendants(companion.keeper))

    def _gone(self) -> bool:
        return descendants(os.getpid()) == []


sys.stdout.write(json.dumps(getattr(Scenarios(), sys.argv[2])()))
