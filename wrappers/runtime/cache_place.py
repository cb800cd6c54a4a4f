"""Where images last: a scheduler may give every job a /tmp and /var/tmp of its own."""

import os
import pwd

from .text import encode, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .control import Control
    from .image_cache import ImageCache
    from .log import Log

MOUNTINFO = "/proc/self/mountinfo"
BELOW_HOME = b".cache/prominence/images"
# Memory of the node, and disks with a quota that all nodes share.
NO_DISKS = ("tmpfs", "nfs", "cifs", "smb", "lustre", "gpfs", "ceph", "beegfs", "fuse", "afs")
ASK = "the site's image_cache can name another folder"


class Mount:
    """One line of /proc/self/mountinfo, see proc(5)."""

    def __init__(self, line: str) -> None:
        before, _, after = line.partition(" - ")
        words = before.split(" ")
        self.device = words[2]
        self.root = _plain(words[3])
        self.point = _plain(words[4])
        self.kind = after.split(" ")[0]

    def place(self, path: bytes) -> "tuple[str, bytes]":
        """A path below this mount as every other mount of its file system knows it."""
        return self.device, _join(self.root, os.path.relpath(path, self.point))


def lasting(folder: bytes, log: "Log") -> "Optional[bytes]":
    """The folder, or one in this user's home on the node where it would end with the job; or None.

    HTCondor mounts folders of the job's scratch over /tmp and /var/tmp (MOUNT_UNDER_SCRATCH), Slurm
    those that job_container.conf(5) names.
    """
    mounts = read_mounts()
    if not ends_with_job(folder, mounts):
        return folder
    words = "image cache %s is not used: it would end with the job" % shown(folder)
    home = _home()
    if home is None or not os.access(home, os.W_OK | os.X_OK) or not on_disk(home, mounts):
        log("%s, and there is no home on a disk of this node; %s" % (words, ASK))
        return None
    instead = os.path.join(home, BELOW_HOME)
    log("%s; %s is used instead; %s" % (words, shown(instead), ASK))
    return instead


def cache_of(plan: "dict[str, Any]", control: "Control", log: "Log") -> "Optional[ImageCache]":
    """The node's cache of images, where the site has one and it can be used here."""
    from .image_cache import open_cache
    from .scratch import expand

    if not plan.get("image_cache"):
        return None
    folder = expand(plan["image_cache"])
    if b"$" in folder or not folder.startswith(b"/"):
        log("image cache %s is not used: not an absolute path here" % shown(folder))
        return None
    place = lasting(folder, log)
    if place is None:
        return None
    return open_cache(place, plan["image_cache_bytes"], control, log)


def read_mounts() -> "list[Mount]":
    """All mounts, the later over the earlier; none where the kernel does not tell."""
    try:
        with open(MOUNTINFO, encoding="utf-8", errors="surrogateescape") as stream:
            return [Mount(line) for line in stream]
    except OSError:
        return []


def ends_with_job(folder: bytes, mounts: "list[Mount]") -> bool:
    """Whether the folder is a part of the job's own scratch, whatever its name says."""
    mount = _mount_of(folder, mounts)
    if mount is None:
        return False
    device, path = mount.place(os.path.realpath(folder))
    number = os.environb.get(b"SLURM_JOB_ID")
    if number and number in mount.root.split(b"/"):
        return True
    scratch = os.environb.get(b"_CONDOR_SCRATCH_DIR")
    over = _mount_of(scratch, mounts) if scratch else None
    if not scratch or over is None:
        return False
    at, top = over.place(os.path.realpath(scratch))
    return at == device and _below(path, top)


def on_disk(folder: bytes, mounts: "list[Mount]") -> bool:
    mount = _mount_of(folder, mounts)
    return mount is not None and not mount.kind.startswith(NO_DISKS)


def _mount_of(path: bytes, mounts: "list[Mount]") -> "Optional[Mount]":
    real = os.path.realpath(path)
    covering = [mount for mount in mounts if _below(real, mount.point)]
    # Of several at the same point the last one counts: max() would take the first.
    return max(reversed(covering), key=lambda mount: len(mount.point), default=None)


def _below(path: bytes, top: bytes) -> bool:
    return top == b"/" or path == top or path.startswith(top + b"/")


def _join(root: bytes, rest: bytes) -> bytes:
    return os.path.normpath(os.path.join(root, rest))


def _plain(word: str) -> bytes:
    """A name of mountinfo, in which space, tab, newline and backslash are octal escapes."""
    for escape, plain in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        word = word.replace(escape, plain)
    return encode(word)


def _home() -> "Optional[bytes]":
    """Of the node's user database: the environment may bring that of the submitting host."""
    try:
        home = os.fsencode(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return None
    return home if os.path.isdir(home) else None
