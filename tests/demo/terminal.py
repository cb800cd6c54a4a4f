"""Types commands and shows them and what came back, as a person at a terminal would see it."""

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

WIDTH: Final = 100
PLAIN: Final = re.compile(r"[\w@%+=:,./~-]+")


class StepFailed(Exception):
    """A command of the demo ended with another exit code than 0."""


@dataclass(frozen=True)
class Terminal:
    """Where commands run: `prefix` is put before each of them, unseen."""

    prefix: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None  # None: this process's
    folder: Path | None = None

    def type(self, *argv: str) -> str:
        """Shows the command, runs it, shows its output as it comes, and returns that.

        Raises StepFailed where its exit code is not 0.
        """
        print(f"\n$ {shown(argv)}", flush=True)
        lines = []
        with subprocess.Popen(
            [*self.prefix, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            env=self.environment,
            cwd=self.folder,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
                lines.append(line)
        if process.returncode != 0:
            message = f"`{' '.join(argv[:2])} …` ended with exit code {process.returncode}"
            raise StepFailed(message)
        return "".join(lines)

    def say(self, text: str) -> None:
        print(f"\n# {text}", flush=True)


def shown(argv: Sequence[str]) -> str:
    """The command as one would type it: a long one continues before its options.

    >>> print(shown(["prominence", "wait", "7"]))
    prominence wait 7
    >>> print(shown(["prominence", "create", "--name", "x" * 90, "i.sif", "sh -c 'a && b'"]))
    prominence create \\
        --name xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx \\
        i.sif "sh -c 'a && b'"
    """
    words = [_quoted(word) for word in argv]
    if len(" ".join(words)) <= WIDTH:
        return " ".join(words)
    options = [i for i, word in enumerate(words) if word.startswith("--")]
    if not options:
        return " ".join(words)
    starts = [0, *options, options[-1] + 2]
    groups = [words[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]
    return " \\\n    ".join(" ".join(group) for group in groups if group)


def _quoted(word: str) -> str:
    if PLAIN.fullmatch(word) and "~" not in word:
        return word
    safe_in_double_quotes = not any(c in word for c in '"$`\\!')
    return f'"{word}"' if safe_in_double_quotes else shlex.quote(word)
