"""What the texts of a job description may hold: checks and conversions of single values.

A check answers what is wrong, or None. They know no other value of the description: rules between
values are in :mod:`prominence_hpc.adapter.spec.rules`.
"""

import binascii
import math
import posixpath
import re
import shlex
from typing import Any

from prominence_hpc.adapter.spec.fields import text
from prominence_hpc.adapter.spec.job import MountPoint
from prominence_hpc.adapter.spec.place import Place, quoted, shown

__all__ = [
    "FILE_SCHEME",
    "LOCAL_ONLY",
    "MAXIMUM_INPUT_BYTES",
    "WORKING_DIRECTORY",
    "artifact_url",
    "at_most",
    "base64_content",
    "command",
    "environment_name",
    "environment_value",
    "file_path",
    "gpu_type",
    "image_name",
    "input_filename",
    "job_name",
    "label_key",
    "label_value",
    "mount_path",
    "mount_point",
    "not_empty",
    "sha256",
    "task_folder",
    "web_folder",
]

FILE_SCHEME = "file://"  # of inputs: the contents of a local file
WORKING_DIRECTORY = "/home/user"  # in the container, whatever a task's workdir is
# What every container needs as it is; a mount there, or below, would break or hide it.
SYSTEM_DIRECTORIES = ("/proc", "/sys", "/dev")
MAXIMUM_INPUT_BYTES = 999_999  # the contract: under 1,000,000
MAXIMUM_LABEL = 512
LONGEST_INTEGER_BITS = 4096  # Python prints no integer of more than 4300 digits
IMAGE_SCHEMES = ("docker", "shub", "oras", "library", "http", "https")
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
PLAIN_TEXT = text()
RESERVED_VARIABLES = ("HOME", "UID", "GID")  # Apptainer's, or the contract's, to set
# The shell in Apptainer's start script loses every variable on the first of these and changes the
# second (seen with 1.4.5).
SHELL_LOSES = frozenset("\x80\x81")
LOCAL_ONLY = "file:// is read by `prominence run` from a local description only"
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def not_empty(value: str) -> str | None:
    return None if value else "must not be empty"


def at_most(maximum: int, value: str) -> str | None:
    if len(value) > maximum:
        return f"must be at most {maximum} characters long, not {len(value)}"
    return None


def job_name(value: str) -> str | None:
    if re.fullmatch(r"[A-Za-z0-9\-_ ./]*", value):
        return at_most(512, value)
    return f"may hold letters A-Z a-z, digits, spaces and - _ . / only, not {quoted(value)}"


def gpu_type(value: str) -> str | None:
    """A word that both schedulers take: the type of a gres in Slurm, part of a device's name elsewhere."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
        return at_most(64, value)
    return (
        "must begin with a letter or digit and may hold letters A-Z a-z, digits and - _ . only, "
        f"not {quoted(value)}"
    )


def label_key(value: str) -> str | None:
    if re.fullmatch(r"[A-Za-z0-9]+", value):
        return at_most(MAXIMUM_LABEL, value)
    return "may hold letters A-Z a-z and digits only"


def label_value(value: str) -> str | None:
    if re.fullmatch(r"[\w\-./]+", value):
        return at_most(MAXIMUM_LABEL, value)
    return f"may hold letters, digits and - _ . / only, and at least one, not {quoted(value)}"


def environment_name(value: str) -> str | None:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value, re.ASCII):
        return "must be letters, digits and _, and not begin with a digit"
    if value in RESERVED_VARIABLES:
        return "is set for every task and cannot be changed"
    return None


def environment_value(value: object, place: Place) -> Any:
    """Text as it is; a number as JSON prints it (``3``, ``1.5``, ``3.0``)."""
    if isinstance(value, str):
        if SHELL_LOSES & set(value):
            return place.note("holds U+0080 or U+0081, which Apptainer cannot pass on")
        return PLAIN_TEXT(value, place)
    if isinstance(value, bool):
        return place.note(f"must be text or a number, not {shown(value)}; write it in quotes")
    if isinstance(value, int) and value.bit_length() <= LONGEST_INTEGER_BITS:
        return str(value)
    if isinstance(value, int):
        return place.note("is a number of very many digits; write it in quotes")
    if isinstance(value, float):
        return str(value) if math.isfinite(value) else place.note("must be a finite number or text")
    return place.note(f"must be text or a number, not {shown(value)}")


def command(value: str, place: Place) -> Any:
    """The command as it stands; blank means none. It must split into arguments as a shell would."""
    try:
        arguments = shlex.split(value)
    except ValueError as error:
        reason = str(error).lower()
        return place.note(
            f"cannot be split into arguments ({reason}): {quoted(value)}; close every quote, and "
            "note that each line of a cmd is a task of its own unless the cmd begins with #!"
        )
    return value if arguments else None


def image_name(value: str) -> str | None:
    if not value.strip():
        return "must not be empty"
    if CONTROL.search(value) or value.startswith("-"):
        return f"must not hold control characters or begin with -: {quoted(value)}"
    scheme = SCHEME.match(value)
    if scheme is None:
        return None if value.startswith("/") else object_name(value)
    if scheme[1] == "file":
        return "must be written as an absolute path, without file://"
    if scheme[1] not in IMAGE_SCHEMES:
        known = ", ".join(f"{name}://" for name in IMAGE_SCHEMES)
        return f"begins with {scheme[0]}; known are {known}"
    if scheme.end() == len(value):
        return f"names no image after {scheme[0]}"
    return web_address(value) if scheme[1].startswith("http") else None


def artifact_url(value: str) -> str | None:
    if not value.strip():
        return "must not be empty"
    if CONTROL.search(value):
        return f"must not hold control characters: {quoted(value)}"
    scheme = SCHEME.match(value)
    if scheme is None:
        return object_name(value)
    if scheme[1] not in ("http", "https"):
        return f"begins with {scheme[0]}; give an http(s) URL or the name of an uploaded file"
    return web_address(value)


def web_address(value: str) -> str | None:
    from urllib.parse import urlsplit  # 4 ms, for jobs that name a URL

    try:
        parts = urlsplit(value)
        _ = parts.port  # reading it checks it
    except ValueError as error:
        return f"is not a URL ({error}): {without_query(value)}"
    if not parts.hostname or " " in value:
        return f"is not a URL with a host and without spaces: {without_query(value)}"
    return None


def without_query(url: str) -> str:
    """A presigned URL's query is a password."""
    return quoted(url.partition("?")[0])


def object_name(value: str) -> str | None:
    """The name of an uploaded object: ``NAME`` or ``USER/NAME``."""
    if value.startswith("/"):
        return "must be a URL or the name of an uploaded file, not a path; see prominence upload"
    if {".", "..", ""} & set(value.split("/")):
        return (
            f"is not a name: it must not hold . or .. or nothing between slashes: {quoted(value)}"
        )
    return None


def sha256(value: str, place: Place) -> Any:
    if re.fullmatch(r"[0-9A-Fa-f]{64}", value):
        return value.lower()
    return place.note("must be a SHA-256 checksum: 64 hexadecimal digits")


def file_path(value: str) -> str | None:
    if value.endswith("/"):
        return f"must name a file, not a directory: {quoted(value)}"
    return not_empty(value)


def input_filename(value: str) -> str | None:
    """A file below the working directory, perhaps in a folder there."""
    parts = value.split("/")
    if not value or value.startswith("/") or {"", ".", ".."} & set(parts):
        return f"must be a file name, relative and without . or ..: {quoted(value)}"
    return None


def base64_content(value: str, place: Place) -> Any:
    """The content without the line breaks that ``base64`` puts in."""
    if value.startswith(FILE_SCHEME):
        return place.note(LOCAL_ONLY)
    joined = "".join(value.split())
    try:
        size = len(binascii.a2b_base64(joined, strict_mode=True)) if joined else 0
    except ValueError:
        return place.note(
            "must be base64; encode the file with base64, or give file://PATH instead"
        )
    if size > MAXIMUM_INPUT_BYTES:
        return place.note(
            f"holds {size:,} bytes, and an input must be under 1,000,000; "
            "upload the file and list it under artifacts instead"
        )
    return joined


def mount_point(value: str, place: Place) -> Any:
    directory, colon, path = value.partition(":")
    if not colon or not directory or "/" in directory or directory in (".", ".."):
        return place.note(
            f"must be DIR:/ABSOLUTE/PATH, DIR one name without /, not {quoted(value)}"
        )
    mount_path = "/" + posixpath.normpath(path).lstrip("/")
    if not path.startswith("/") or ".." in path.split("/") or mount_path == "/":
        return place.note(f"must mount at an absolute path other than /, not {quoted(path)}")
    if set(",:") & set(directory + path) or CONTROL.search(value):
        # Both separate the parts of a bind specification, which knows no quoting.
        return place.note(
            f"must not hold a comma, a second colon or control characters: {quoted(value)}"
        )
    if taken := needed_by_the_container(mount_path):
        return place.note(f"must not mount at {quoted(mount_path)}: {taken}; choose another path")
    return MountPoint(directory=directory, path=mount_path)


def needed_by_the_container(path: str) -> str | None:
    """What a mount at ``path`` (normalised, not /) would hide; None where it may be."""
    if f"{WORKING_DIRECTORY}/".startswith(f"{path}/"):
        return f"it would hide the job's working directory, {WORKING_DIRECTORY}"
    if path == "/tmp":
        return "it would hide the job's temporary files"
    for system in SYSTEM_DIRECTORIES:
        if f"{path}/".startswith(f"{system}/"):
            return f"{system} is the container's own"
    return None


def task_folder(value: str, place: Place) -> Any:
    """Where a task starts: below the job's working directory, or absolute in the container."""
    if posixpath.normpath(value).split("/")[0] == "..":
        return place.note(
            f"must not lead out of the job's working directory: {quoted(value)}; "
            "give an absolute path for a folder of the image"
        )
    return value or None


def mount_path(value: str, place: Place) -> Any:
    """An absolute path in the containers at which something may be mounted, normalised."""
    path = "/" + posixpath.normpath(value).lstrip("/")
    if not value.startswith("/") or ".." in value.split("/") or path == "/":
        return place.note(f"must be an absolute path other than /, not {quoted(value)}")
    if CONTROL.search(value):
        return place.note(f"must not hold control characters: {quoted(value)}")
    if taken := needed_by_the_container(path):
        return place.note(f"must not be {quoted(path)}: {taken}; choose another path")
    return path


def web_folder(value: str) -> str | None:
    """The address of a folder on a WebDAV server; a name and password have keys of their own."""
    match = re.fullmatch(r"https?://([^/?#\s]+)(/[^?#\s]*)?", value)
    if match is None:
        return "must be an address such as https://HOST/PATH, without a query"
    if "@" in match[1]:
        return "must hold no name or password: they have keys of their own"
    return None
