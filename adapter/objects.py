"""What ``upload``, ``ls`` and ``rm`` do, and how names in job descriptions become objects."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from prominence_hpc.adapter.storage.base import ObjectInfo, Progress, Storage
from prominence_hpc.adapter.storage.keys import check_key
from prominence_hpc.errors import NotFoundError, UsageError

__all__ = [
    "list_objects",
    "object_key",
    "object_name",
    "remove_object",
    "resolve_names",
    "upload_object",
]

UPLOADS = "uploads"
SHA256_DIGITS = 64


def object_key(user: str, name: str) -> str:
    """The key of a user's upload. Raises UsageError where ``name`` cannot be one.

    >>> object_key("alice", "images/lammps.sif")
    'uploads/alice/images/lammps.sif'
    """
    key = f"{UPLOADS}/{user}/{name}"
    if not name:
        msg = "The name of an object cannot be empty."
        raise UsageError(msg)
    check_key(key)
    return key


def object_name(user: str, key: str) -> str:
    """What the user calls the object: ``NAME``, or ``USER/NAME`` where it is another user's.

    >>> object_name("alice", "uploads/alice/a/b"), object_name("alice", "uploads/bob/c")
    ('a/b', 'bob/c')
    """
    return key.removeprefix(f"{UPLOADS}/").removeprefix(f"{user}/")


def upload_object(
    storage: Storage,
    user: str,
    name: str,
    source: Path,
    *,
    checksum: str | None = None,
    progress: Progress | None = None,
) -> ObjectInfo:
    """Store a file as ``name``; ``checksum`` is what the user says its SHA-256 is.

    Raises UsageError, NotFoundError or StorageError; then what was stored as ``name`` still is.
    """
    if checksum is not None and not _is_sha256(checksum):
        msg = f"--checksum {checksum!r} is not a SHA-256: {SHA256_DIGITS} hexadecimal digits."
        raise UsageError(msg)
    return storage.upload(source, object_key(user, name), sha256=checksum, progress=progress)


def list_objects(
    storage: Storage, user: str, path: str = "", *, checksums: bool = False
) -> Iterator[ObjectInfo]:
    """A user's objects in order of name: all, or the one ``path``, or those below it.

    Raises NotFoundError where a path is given and nothing is there. ``checksums`` asks for those
    too, which takes a request for each object.
    """
    prefix = f"{UPLOADS}/{user}/{path.rstrip('/')}"
    found = [info for info in storage.list_objects(prefix) if _is_at(info.key, prefix)]
    if path.rstrip("/") and not found:
        msg = f"There is no object {path}{_similar(storage, user, path)}"
        raise NotFoundError(msg)
    if checksums:
        known = storage.head_many([info.key for info in found])
        found = [known.get(info.key, info) for info in found]
    yield from found


def remove_object(storage: Storage, user: str, name: str) -> None:
    """Remove one object. Raises NotFoundError, naming objects like it, where there is none."""
    key = object_key(user, name)
    if key not in storage.head_many([key]):
        msg = f"There is no object {name}{_similar(storage, user, name)}"
        raise NotFoundError(msg)
    storage.delete(key)


def resolve_names(storage: Storage, user: str, names: Sequence[str]) -> dict[str, ObjectInfo]:
    """The objects that these names mean; one look at storage for all of them.

    ``NAME`` is the user's own upload; ``USER/NAME`` may also be another's, if there is no such
    upload of the user's own. Raises NotFoundError that lists every name for which there is none.
    """
    keys = {name: _candidates(user, name) for name in names}
    found = storage.head_many([candidates[0] for candidates in keys.values()])
    absent = [name for name, candidates in keys.items() if candidates[0] not in found]
    others = [key for name in absent for key in keys[name][1:]]
    if others:
        found |= storage.head_many(others)
    resolved = {
        name: next((found[key] for key in candidates if key in found), None)
        for name, candidates in keys.items()
    }
    missing = [name for name, info in resolved.items() if info is None]
    if missing:
        raise NotFoundError(_missing_text(user, missing))
    return {name: info for name, info in resolved.items() if info is not None}


def _candidates(user: str, name: str) -> list[str]:
    own = object_key(user, name)
    owner, slash, rest = name.partition("/")
    if not slash:
        return [own]
    other = object_key(owner, rest)
    return [other] if owner == user else [own, other]


def _missing_text(user: str, missing: Sequence[str]) -> str:
    import shlex  # here: only for this message

    what = f"There is no uploaded object {missing[0]!r}"
    if len(missing) > 1:
        what = "There are no uploaded objects " + ", ".join(repr(name) for name in missing)
    others = [name for name in missing if _is_anothers(user, name)]
    own = [shlex.quote(name.removeprefix(f"{user}/")) for name in missing if name not in others]
    lines = [what + ("; upload with:" if own else ".")]
    lines += [f"  prominence upload --name {name} --filename FILE" for name in own]
    lines += [
        f"The user {name.partition('/')[0]} has no object {name.partition('/')[2]!r}, "
        "or has not made it readable."
        for name in others
    ]
    return "\n".join(lines)


def _is_anothers(user: str, name: str) -> bool:
    """Is this ``OWNER/NAME`` of another user? A folder of one's own may be called anything else."""
    import pwd  # here: only for this message

    owner, slash, _ = name.partition("/")
    try:
        return bool(slash) and pwd.getpwnam(owner).pw_name != user
    except KeyError:
        return False


def _similar(storage: Storage, user: str, name: str) -> str:
    import difflib  # here: only for this message

    prefix = f"{UPLOADS}/{user}/"
    names = [info.key.removeprefix(prefix) for info in storage.list_objects(prefix)]
    close = difflib.get_close_matches(name, names, n=3)
    if not close:
        return "; `prominence ls` shows what there is."
    return f"; did you mean {' or '.join(close)}?"


def _is_at(key: str, prefix: str) -> bool:
    """Is the object ``prefix`` itself, or below it as a folder?"""
    return prefix.endswith("/") or key == prefix or key.startswith(f"{prefix}/")


def _is_sha256(text: str) -> bool:
    return len(text) == SHA256_DIGITS and all(c in "0123456789abcdef" for c in text.lower())
