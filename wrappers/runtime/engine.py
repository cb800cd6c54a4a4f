"""Apptainer or Singularity on this node: which one, which version, and its longer commands."""

import os
import subprocess
import threading

from .errors import RUNTIME_MISSING, JobFailed
from .program import call, which
from .text import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Optional, Tuple

    from .control import Control
    from .scratch import Scratch

NAMES = ("apptainer", "singularity")
# mksquashfs(1); the level 9 of its default takes four times as long. Every kernel reads gzip.
QUICK_COMPRESSION = b"-comp gzip -Xcompression-level 1"


class Engine:
    """Found on PATH; its version is asked for at once and read when first needed."""

    SUFFIX = ".sif"  # of the images that it runs

    def __init__(self) -> None:
        found = [path for path in map(which, NAMES) if path is not None]
        if not found:
            detail = "Neither apptainer nor singularity is on PATH of this node."
            raise JobFailed(RUNTIME_MISSING, detail)
        self.path = found[0]
        self._version: "Optional[str]" = None
        self._reading = threading.Lock()
        self._asked = subprocess.Popen(
            [self.path, b"--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def begin(self, scratch: "Scratch", control: "Control") -> None:
        """From here on it can make files; before, there is no place for them."""
        self.scratch = scratch
        self.control = control

    @property
    def version(self) -> str:
        """What ``--version`` prints, such as ``apptainer version 1.4.5``."""
        with self._reading:  # images are fetched by several threads
            if self._version is None:
                output = self._asked.communicate()[0]
                self._version = decode(output).strip()
            return self._version

    def pull(self, reference: str, target: bytes, login: "Optional[Tuple[str, str]]") -> None:
        """Fetch from a registry and leave a SIF; raises TransferError, or Stopped."""
        from .container import PREFIXES

        more = {}
        if login is not None:
            # The environment of this one process: only its owner can read it.
            for prefix in PREFIXES:
                more[encode(prefix + "_DOCKER_USERNAME")] = encode(login[0])
                more[encode(prefix + "_DOCKER_PASSWORD")] = encode(login[1])
        self._call([b"pull", b"--force", target, encode(reference)], more)

    def take_archive(self, archive: bytes, target: bytes) -> None:
        """``docker save`` to SIF, once: running from the archive would convert it for every task."""
        source = b"docker-archive:" + archive
        self._call([b"build", b"--force", *self._quickly(), target, source], {})

    def check_file(self, path: bytes) -> None:
        """Whatever is no archive is this runtime's to judge."""

    def prepare(self, path: bytes, index: int) -> bytes:
        """What tasks run: the image as it is."""
        del index
        return path

    def command(
        self,
        plan: "dict[str, Any]",
        number: int,
        image: bytes,
        scratch: "Scratch",
        variables: "Mapping[str, str]",
    ) -> "Tuple[list[bytes], dict[bytes, bytes]]":
        """Argument list and environment of one task."""
        from .container import argv, runtime_environment

        env = runtime_environment(os.environb, scratch, variables, self.version)
        return argv(self.path, plan, number, image, scratch), env

    def _call(self, words: "list[bytes]", more: "dict[bytes, bytes]") -> None:
        from .container import PREFIXES, own_folders
        from .scratch import remove_tree

        env = dict(os.environb)
        env.update(own_folders(os.environb, self.scratch, self.version))
        env.update(more)
        # A cache of each command's own: two that write one layer at once may read half of it.
        cache = os.path.join(self.scratch.cache, os.urandom(4).hex().encode("ascii"))
        for prefix in PREFIXES:
            env[encode(prefix + "_CACHEDIR")] = cache
        os.mkdir(cache, 0o700)
        try:
            call([self.path, *words], env, self.scratch.build, self.control)
        finally:
            remove_tree(cache)

    def _quickly(self) -> "list[bytes]":
        """Options for a light compression: a quarter of the CPU time, for a tenth more disk."""
        option = b"--mksquashfs-args"
        return [option, QUICK_COMPRESSION] if self._knows(b"build", option) else []

    def _knows(self, command: bytes, option: bytes) -> bool:
        """Whether the help of one of its commands names an option: releases differ."""
        asked = subprocess.run(
            [self.path, command, b"--help"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        return option in asked.stdout
