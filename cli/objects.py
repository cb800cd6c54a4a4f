"""``prominence upload``, ``ls`` and ``rm``: a user's objects in storage."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prominence_hpc.cli.flags import flag_options, json_option
from prominence_hpc.cli.output import print_json
from prominence_hpc.cli.progress import progress_bar

if TYPE_CHECKING:
    from prominence_hpc.adapter.storage.base import ObjectInfo

__all__ = ["ls_command", "rm_command", "upload_command"]


@click.command("upload")
@click.option("--name", required=True, help="The name it gets; jobs refer to it by this.")
@click.option(
    "--filename",
    required=True,
    type=click.Path(
        readable=False, path_type=Path
    ),  # what cannot be read is told as what is absent
    help="The file to upload.",
)
@click.option("--checksum", metavar="SHA256", help="Refuse the upload where the file differs.")
@json_option
@flag_options
def upload_command(*, name: str, filename: Path, checksum: str | None, as_json: bool) -> None:
    """Upload a file: a container image, or data for jobs.

    Its SHA-256 is kept with it. A file of the same name that is there already is replaced.
    """
    from prominence_hpc.adapter.objects import upload_object
    from prominence_hpc.cli.session import workspace

    session = workspace()
    size = filename.stat().st_size if os.access(filename, os.F_OK) else 0
    with progress_bar(f"Uploading {name}", size) as progress:
        info = upload_object(
            session.storage,
            session.config.user,
            name,
            filename,
            checksum=checksum,
            progress=progress,
        )
    print_json(shown(info, session.config.user)) if as_json else click.echo("Success")


@click.command("ls")
@click.option("-l", "--long", "long_format", is_flag=True, help="Size, time and checksum as well.")
@json_option
@flag_options
@click.argument("path", default="")
def ls_command(*, path: str, long_format: bool, as_json: bool) -> None:
    """List uploaded objects: all, one, or those below PATH."""
    from prominence_hpc.adapter.objects import list_objects
    from prominence_hpc.cli.session import workspace

    session = workspace()
    user = session.config.user
    found = list(list_objects(session.storage, user, path, checksums=long_format or as_json))
    if as_json:
        print_json([shown(info, user) for info in found])
    elif found:
        click.echo("\n".join(long_lines(found, user) if long_format else names(found, user)))


def names(found: "list[ObjectInfo]", user: str) -> list[str]:
    from prominence_hpc.adapter.objects import object_name

    return [object_name(user, info.key) for info in found]


def long_lines(found: "list[ObjectInfo]", user: str) -> list[str]:
    """Name, bytes, time (UTC), SHA-256, in columns."""
    shown_names = names(found, user)
    name_width = max(map(len, shown_names))
    size_width = max(len(str(info.size_bytes)) for info in found)
    return [
        f"{name:<{name_width}}   {info.size_bytes:>{size_width}}   "
        f"{modified(info) or '-'}   {info.sha256 or '-'}"
        for name, info in zip(shown_names, found, strict=True)
    ]


def modified(info: "ObjectInfo") -> str | None:
    return f"{info.modified:%Y-%m-%d %H:%M:%S}" if info.modified else None


def shown(info: "ObjectInfo", user: str) -> dict[str, Any]:
    from prominence_hpc.adapter.objects import object_name

    return {
        "name": object_name(user, info.key),
        "size": info.size_bytes,
        "lastModified": modified(info),
        "sha256": info.sha256,
    }


@click.command("rm")
@flag_options
@click.argument("name")
def rm_command(*, name: str) -> None:
    """Remove an uploaded object."""
    from prominence_hpc.adapter.objects import remove_object
    from prominence_hpc.cli.session import workspace

    session = workspace()
    remove_object(session.storage, session.config.user, name)
    click.echo("Success")
