"""Which keys there may be: one rule for both kinds of storage.

S3 takes nearly anything below 1024 bytes, a folder does not; and a key that only one of them can
hold, or that says ``..``, is refused before any request is made.
"""

from prominence_hpc.errors import UsageError

__all__ = ["HIDDEN", "KEY_BYTES", "check_key", "is_hidden"]

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
KEY_BYTES = 1024
SEGMENT_BYTES = 255  # NAME_MAX of the usual file systems
HIDDEN = ".prominence"  # names of our own beside the user's: uploads under way, checksums


def check_key(key: str) -> None:
    """Raise UsageError where ``key`` cannot be stored; the message names it and says why."""
    problem = _problem(key)
    if problem:
        msg = f"{key!r} cannot be the name of a stored object: {problem}."
        raise UsageError(msg)


def is_hidden(key: str) -> bool:
    """Is this one of our own names, which listings leave out?

    >>> is_hidden("uploads/alice/.prominence-5f/part"), is_hidden("uploads/alice/data.tar")
    (True, False)
    """
    return f"/{HIDDEN}" in f"/{key}"


def _problem(key: str) -> str:
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "it is not valid UTF-8"
    if size > KEY_BYTES:
        return f"it is longer than {KEY_BYTES} bytes"
    if any(character < " " or character == "\x7f" for character in key):
        return "it holds a control character"
    for segment in key.split("/"):
        problem = _segment_problem(segment)
        if problem:
            return problem
    return ""


def _segment_problem(segment: str) -> str:
    if not segment:
        return "it is empty, or has an empty part before, between or after its slashes"
    if segment in {".", ".."}:
        return f"{segment!r} is not allowed as a part of it"
    if segment.startswith(HIDDEN):
        return f"parts that begin with {HIDDEN!r} are kept for PROMINENCE itself"
    if len(segment.encode()) > SEGMENT_BYTES:
        return f"a part of it is longer than {SEGMENT_BYTES} bytes"
    return ""
