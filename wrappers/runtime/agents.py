"""What MPI's launcher finds in ssh's place, and the leader's end of it.

In the container of node 0 ``mpirun`` calls :data:`SCRIPT` as it would call ssh: a host, and words for a
shell there. The script rings a bell (a named pipe), says both by a pipe of its own, and waits at
another for the exit code. The leader has the node of that name start the words in the same image. As long
as the script lives its pipe is open: when it is killed, the leader ends what it had started.
"""

import os
import signal

from . import link
from .stream import write_all
from .text import decode, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from .log import Log
    from .process import Watch
    from .roll import Member
    from .team import Team

BELL = b"bell"
SPARE = 8  # programs beyond two on each node, at once
NOT_REACHED = 255  # as ssh has it

# POSIX sh's own commands alone: an image need have no others.
SCRIPT = """\
#!/bin/sh
# Stands in ssh's place: has a program started on another node of the job.
while :; do
    case ${1-} in
        -[BbcDEeFIiJLlmOopQRSWw]) shift 2 ;;
        -*) shift ;;
        *) break ;;
    esac
done
host=${1-}
shift
case $host in
    %(here)s) exec /bin/sh -c "$*" ;;
esac
cd "${0%%/*}" || exit 255
slot=0
while [ -p "call.$slot" ]; do
    (set -C && : > "claim.$slot") 2> /dev/null && break
    slot=$((slot + 1))
done
if [ ! -p "call.$slot" ]; then
    echo "prominence: $slot programs run on other nodes; one more cannot be started on $host" >&2
    exit 255
fi
echo "$slot" > bell
{
    printf '%%s\\n%%s\\0' "$host" "$*" >&9
    read -r code < "answer.$slot"
} 9> "call.$slot"
exit "${code:-255}"
"""


def script(here: "list[str]") -> str:
    """The agent, which knows node 0 by these names and needs nobody to start something there."""
    return SCRIPT % {"here": "|".join("'%s'" % name for name in here)}


class Call:
    """One agent that waits: its slot, what it has said, and what runs for it where."""

    def __init__(self, slot: int, call: int, answer: int) -> None:
        self.slot = slot
        self.call = call
        self.answer = answer
        self.said = b""
        self.member: "Optional[Member]" = None
        self.run: "Optional[int]" = None


class Agents:
    """Serves the agents of one task's run, until :meth:`close`. Raises OSError where pipes cannot be made."""

    def __init__(
        self,
        folder: bytes,
        members: "dict[str, Member]",
        team: "Team",
        watch: "Watch",
        log: "Log",
        stdout: "Optional[int]",
    ) -> None:
        self.folder = folder
        self.members = members
        self.team = team
        self.watch = watch
        self.log = log
        self.streams = {link.OUTPUT: 1 if stdout is None else stdout, link.ERROR: 2}
        self.calls: "dict[int, Call]" = {}
        for slot in range(2 * len(members) + SPARE):
            for name in (b"call.%d", b"answer.%d"):
                os.mkfifo(self._path(name % slot), 0o600)
        os.mkfifo(self._path(BELL), 0o600)
        self.bell = os.open(self._path(BELL), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._rung = b""
        watch.hear(self.bell, self._ring)

    def _path(self, name: bytes) -> bytes:
        return os.path.join(self.folder, name)

    def _ring(self) -> None:
        """Slots' numbers, a line each."""
        try:
            self._rung += os.read(self.bell, 4096)
        except BlockingIOError:
            return
        *lines, self._rung = self._rung.split(b"\n")
        for line in lines:
            if line.isdigit() and int(line) not in self.calls:
                self._open(int(line))

    def _open(self, slot: int) -> None:
        flags = os.O_CLOEXEC | os.O_NONBLOCK
        try:
            call = os.open(self._path(b"call.%d" % slot), os.O_RDONLY | flags)
            answer = os.open(self._path(b"answer.%d" % slot), os.O_RDWR | flags)
        except OSError as error:  # removed by the task itself
            self.log("a program of MPI cannot be heard: %s" % error)
            return
        self.calls[slot] = one = Call(slot, call, answer)
        self.watch.hear(call, lambda: self._hear(one))

    def _hear(self, one: Call) -> None:
        try:
            data = os.read(one.call, 1 << 16)
        except BlockingIOError:
            return
        if not data:
            self._hung_up(one)
            return
        one.said += data
        if one.member is None and one.said.endswith(b"\0"):
            host, _, line = one.said[:-1].partition(b"\n")
            self._start(one, decode(host), decode(line))

    def _start(self, one: Call, host: str, line: str) -> None:
        one.member = self.members.get(host.rpartition("@")[2])
        if one.member is None:
            write_all(2, b"prominence: %s is no node of this job\n" % shown(host).encode())
            self._answer(one, NOT_REACHED)
            return
        self.log("MPI starts a program on %s" % one.member)
        one.run = self.team.run(
            one.member, line, lambda _member, kind, payload: self._comes(one, kind, payload)
        )

    def _comes(self, one: Call, kind: bytes, payload: bytes) -> None:
        """Output, which is the task's; or the exit code."""
        if kind in self.streams:
            write_all(self.streams[kind], payload)
            return
        assert one.member is not None
        code = int(one.member.parsed(payload)["code"])
        self.log("MPI's program on %s: exit code %d" % (one.member, code))
        one.run = None
        self._answer(one, code)

    def _answer(self, one: Call, code: int) -> None:
        if one.slot in self.calls:
            os.write(one.answer, b"%d\n" % code)

    def _hung_up(self, one: Call) -> None:
        """The agent has ended: it has its answer, or somebody has killed it."""
        if one.run is not None and one.member is not None:
            self.team.signal(one.member, one.run, signal.SIGTERM)
        self._forget(one)
        try:
            os.unlink(self._path(b"claim.%d" % one.slot))
        except OSError:
            pass  # the task itself has removed it

    def _forget(self, one: Call) -> None:
        self.watch.forget(one.call)
        del self.calls[one.slot]
        os.close(one.call)
        os.close(one.answer)

    def close(self) -> None:
        """No agent is there any more; what runs for them is ended with the task."""
        for one in list(self.calls.values()):
            self._forget(one)
        self.watch.forget(self.bell)
        os.close(self.bell)
