"""Runs on the login node: a command on a terminal of its own, driven by steps, as a person would.

Standard input: ``{"argv", "columns", "rows", "steps": [[do, what], …]}``. ``type`` sends keys, ``wait`` reads
until a text has come (after what was waited for before), ``pause`` lets so many seconds pass, ``resize`` gives the terminal
another size, ``hang up`` closes it. Standard output: ``{"code", "output", "waited"}``, the last being whether every text came.
"""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios
import time

WAIT_SECONDS = 40.0


class Terminal:
    """The command's terminal, and all that came out of it."""

    def __init__(self, argv: list[str], columns: int, rows: int) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execvp(argv[0], argv)
        self.output = b""
        self.seen = 0
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def wait(self, text: str) -> bool:
        end = time.monotonic() + WAIT_SECONDS
        while text.encode() not in self.output[self.seen :]:
            if not self.read(end):
                return False
        self.seen = self.output.index(text.encode(), self.seen) + len(text.encode())
        return True

    def read(self, end: float) -> bool:
        """More output; False at the end of it, or of the time."""
        try:
            ready, _, _ = select.select([self.master], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                return False
            block = os.read(self.master, 65536)
        except OSError:  # the command has ended, or we have hung up
            return False
        self.output += block
        return bool(block)

    def ended(self) -> int:
        end = time.monotonic() + WAIT_SECONDS
        while self.read(end):
            pass
        while time.monotonic() < end:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
            time.sleep(0.05)
        else:
            os.kill(self.pid, 9)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def main() -> None:
    request = json.load(sys.stdin)
    terminal = Terminal(request["argv"], request["columns"], request["rows"])
    waited = True
    for do, what in request["steps"]:
        if do == "type":
            terminal.type(what)
        elif do == "resize":
            terminal.resize(*what)
        elif do == "pause":
            time.sleep(what)
        elif do == "hang up":
            os.close(terminal.master)
        else:
            waited = terminal.wait(what)
            if not waited:
                os.kill(terminal.pid, 15)
                break
    code = terminal.ended()
    output = terminal.output.decode(errors="replace")
    print(json.dumps({"code": code, "output": output, "waited": waited}))


if __name__ == "__main__":
    main()
