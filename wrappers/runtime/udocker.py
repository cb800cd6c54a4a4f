"""udocker on this node: containers without namespaces, of unpacked images, by proot and the like.

https://github.com/indigo-dc/udocker (docs/user_manual.md). Everything that it keeps lies in the job's
scratch folder, one repository for each image, so that nothing is ever written to a home.
"""

import os
import re
import subprocess

from .container import folders_of_job, workdir
from .errors import RUNTIME_MISSING, TASK_NOT_STARTED, JobFailed, TransferError
from .namespace import HOME
from .program import call, which
from .scratch import remove_tree
from .text import decode, encode, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Optional, Tuple

    from .control import Control
    from .scratch import Folders, Scratch

CONTAINER = b"task"
SITE_SETTINGS = "/etc/udocker.conf"
# These would steer udocker, its Python or proot itself if they stood in its environment.
STEERING = re.compile(r"(PATH|HOME|TMPDIR|BASH_ENV|ENV|LD_.*|PYTHON.*|UDOCKER_.*|PROOT_.*)\Z")
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class Udocker:
    """Found on PATH."""

    SUFFIX = ".tar"  # docker archives: each job unpacks its own container from one

    def __init__(self) -> None:
        found = which("udocker")
        if found is None:
            detail = "udocker is not on PATH of this node."
            raise JobFailed(RUNTIME_MISSING, detail)
        self.path = found
        self._version: "Optional[str]" = None

    def begin(self, scratch: "Scratch", control: "Control") -> None:
        """From here on it can make files; before, there is no place for them."""
        self.scratch = scratch
        self.control = control

    @property
    def version(self) -> str:
        """Such as ``udocker version 1.3.17``."""
        if self._version is None:
            asked = subprocess.run(
                [self.path, b"--version"],
                env=self._environment(os.path.join(self.scratch.build, b"udocker")),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=False,
            )
            found = re.search(r"version:\s*(\S+)", decode(asked.stdout))
            self._version = "udocker version %s" % (found.group(1) if found else "unknown")
        return self._version

    def pull(self, reference: str, target: bytes, login: "Optional[Tuple[str, str]]") -> None:
        """Fetch from a registry and leave a docker archive; raises TransferError, or Stopped."""
        registry, name = image_words(reference)
        folder = os.path.join(self.scratch.build, b"udocker-" + os.urandom(4).hex().encode("ascii"))
        env = self._environment(folder)
        try:
            if login is not None:
                # It asks for the name and then for the password; neither is ever an argument.
                said = encode("%s\n%s\n" % login)
                self._call([b"login", b"--password-stdin", *registry], env, said)
            self._call([b"pull", *registry, name], env)
            self._call([b"save", b"-o", target, name], env)
        finally:
            if os.path.isdir(folder):
                remove_tree(folder)

    def take_archive(self, archive: bytes, target: bytes) -> None:
        """The same image in the layout that udocker reads."""
        from .docker_archive import rewrite

        rewrite(archive, target)

    def check_file(self, path: bytes) -> None:
        """Whatever is no docker archive cannot be run."""
        del path
        msg = "udocker runs Docker archives and registry images, and this is neither"
        raise TransferError(msg)

    def prepare(self, path: bytes, index: int) -> bytes:
        """A container of the image, for all tasks that use it; returns its repository."""
        folder = os.path.join(self.scratch.images, b"udocker-%d" % index)
        env = self._environment(folder)
        said = self._call([b"load", b"-i", path], env).split()
        if not said:
            msg = "udocker did not say what it loaded"
            raise TransferError(msg)
        name = said[-1]
        self._call([b"create", b"--name=" + CONTAINER, name], env)
        self._call([b"rmi", name], env)  # the container has its own copy of all files
        return folder

    def command(
        self,
        plan: "dict[str, Any]",
        number: int,
        image: bytes,
        scratch: "Scratch",
        variables: "Mapping[str, str]",
    ) -> "Tuple[list[bytes], dict[bytes, bytes]]":
        """Argument list and environment of one task."""
        command = plan["tasks"][number]["command"]
        own = [encode(word) for word in command] if command is not None else None
        task = (plan, number, image, scratch)
        return command_line(self.path, os.environb, task, variables, own)

    def _call(self, words: "list[bytes]", env: "dict[bytes, bytes]", said: bytes = b"") -> bytes:
        return call([self.path, *words], env, self.scratch.build, self.control, said)

    def _environment(self, folder: bytes) -> "dict[bytes, bytes]":
        return own_environment(os.environb, folder, self.scratch.build)


def image_words(reference: str) -> "Tuple[list[bytes], bytes]":
    """How udocker is told of an image: the option for its registry, and the name.

    It takes the port of a registry for a tag, and a digest only in the place of one.

    >>> image_words("docker://host:5000/a/b@sha256:1f")
    ([b'--registry=https://host:5000'], b'a/b:sha256:1f')
    >>> image_words("docker://docker.io/library/busybox:1")
    ([], b'library/busybox:1')
    """
    from .reference import HUB_NAMES

    host, _, name = reference.partition("://")[2].partition("/")
    name = name.replace("@", ":")
    return ([] if host in HUB_NAMES else [encode("--registry=https://" + host)]), encode(name)


def own_environment(
    host: "Mapping[bytes, bytes]", folder: bytes, build: bytes
) -> "dict[bytes, bytes]":
    """The node's, with udocker's own files in ``folder``."""
    env = dict(host)
    env[b"UDOCKER_DIR"] = folder
    env[b"UDOCKER_KEYSTORE"] = os.path.join(folder, b"keystore")
    env[b"UDOCKER_TMP"] = env[b"PROOT_TMP_DIR"] = build
    tools = os.path.join(host.get(b"HOME", b""), b".udocker")
    if not os.path.exists(SITE_SETTINGS) and os.path.isfile(os.path.join(tools, b"lib/VERSION")):
        # The user's own, which udocker would look for in its folder, and download into it.
        for name, part in ((b"UDOCKER_BIN", b"bin"), (b"UDOCKER_LIB", b"lib")):
            env.setdefault(name, os.path.join(tools, part))
    return env


def command_line(
    program: bytes,
    host: "Mapping[bytes, bytes]",
    task: "Tuple[dict[str, Any], int, bytes, Folders]",
    variables: "Mapping[str, str]",
    command: "Optional[list[bytes]]",
) -> "Tuple[list[bytes], dict[bytes, bytes]]":
    """Runs a command, or the image's own, where a task runs: plan, its number, repository, folders."""
    plan, number, repository, scratch = task
    options, env = arguments(variables)
    if command is not None:
        options.append(b"--entrypoint=")  # as with singularity: the command is the whole command
    words = [program, b"--quiet", b"run", b"--nobanner", *volumes(plan, scratch)]
    words += [b"--workdir=" + workdir(plan, plan["tasks"][number]), *options, CONTAINER]
    env = {**own_environment(host, repository, scratch.build), **env}
    return words + (command or []), env


def arguments(variables: "Mapping[str, str]") -> "Tuple[list[bytes], dict[bytes, bytes]]":
    """Options, and what must stand in udocker's own environment, for a task's variables.

    ``--env=NAME`` takes the value from there, as it is, so that it is no argument for others to see.
    That cannot be done for a few names, none of which holds secrets. An --env-file would not do: what
    the image itself sets wins over it.
    """
    words = [b"--env=HOME=" + HOME]
    env = {}
    for name, value in sorted(variables.items()):
        if not IDENTIFIER.match(name):
            detail = "Environment variable %s: a name is letters, digits and _." % shown(name)
            raise JobFailed(TASK_NOT_STARTED, detail)
        if STEERING.match(name):
            words.append(encode("--env=%s=%s" % (name, value)))
        else:
            words.append(encode("--env=" + name))
            env[encode(name)] = encode(value)
    return words, env


def volumes(plan: "dict[str, Any]", scratch: "Folders") -> "list[bytes]":
    """What the container sees of the node, beside /dev, /proc, /sys and the resolver's files."""
    found = [scratch.work + b":" + HOME]
    for source, target in folders_of_job(plan, scratch):
        if b":" in source + target:
            detail = "Mount path %s: udocker cannot be given a colon." % shown(target)
            raise JobFailed(TASK_NOT_STARTED, detail)
        found.append(source + b":" + target)
    for entry in plan["binds"]:
        # SOURCE[:TARGET[:OPTIONS]]; udocker knows no options.
        source, _, rest = encode(entry).partition(b":")
        found.append(source + b":" + (rest.partition(b":")[0] or source))
    return [b"--volume=" + volume for volume in found]
