"""Reading the configuration's layers: files and environment, checked and merged, not yet resolved."""

import os
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prominence_hpc.adapter.config.keys import (
    SECRETS,
    TOP_LEVEL,
    InvalidValue,
    convert,
    did_you_mean,
    from_text,
    site_keys,
    storage_keys,
)
from prominence_hpc.errors import ConfigError

__all__ = ["Layers", "read_layers"]

_STORAGE_PREFIX = "PROMINENCE_STORAGE_"
_SLURM_TRANSPORT = "PROMINENCE_SLURM_TRANSPORT"


@dataclass
class Layers:
    """What all layers together say. A later layer's value takes the place of an earlier one's."""

    default_site: str | None = None
    email: str | None = None
    sites: dict[str, dict[str, Any]] = field(default_factory=dict)
    storage: dict[str, Any] = field(default_factory=dict)
    slurm: dict[str, Any] = field(default_factory=dict)  # of every site of this backend, and last
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def refuse(self, origin: str, key: str, sentence: str) -> None:
        self.problems.append(f"{origin}: {key}: {sentence}")


def read_layers(
    environ: Mapping[str, str], site: str | None, system_file: Path, user_file: Path | None
) -> Layers:
    """Every layer in rising order; ConfigError with every problem in any of them."""
    layers = Layers()
    _add_file(layers, system_file)
    _add_file(layers, *_user_file(environ, user_file))
    _add_environment(layers, environ)
    if site:
        layers.default_site = site
        layers.origins["default_site"] = "--site"
    if layers.problems:
        raise ConfigError("\n".join(layers.problems))
    return layers


def _user_file(environ: Mapping[str, str], user_file: Path | None) -> tuple[Path, bool]:
    """The user's file, and whether it was named, so that it must exist."""
    named = environ.get("PROMINENCE_CONFIG")
    if named:
        return Path(named).expanduser(), True
    if user_file is not None:
        return user_file, False
    # The XDG base directory specification: a relative path there is to be ignored.
    config_home = Path(environ.get("XDG_CONFIG_HOME") or "")
    if not config_home.is_absolute():
        config_home = Path(environ.get("HOME") or "/nonexistent") / ".config"
    return config_home / "prominence" / "config.toml", False


def _add_file(layers: Layers, path: Path, required: bool = False) -> None:
    try:
        with path.open("rb") as file:
            data = file.read()
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        if required:
            layers.problems.append(f"{path}: does not exist, though PROMINENCE_CONFIG names it")
        return
    except OSError as error:
        layers.problems.append(f"{path}: cannot be read: {error.strerror}")
        return
    document = _parse(layers, path, data)
    _check_mode(layers, path, mode, document)
    _add_document(layers, str(path), document)


def _parse(layers: Layers, path: Path, data: bytes) -> dict[str, Any]:
    import tomllib  # 3 ms, for those who have a file

    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        layers.problems.append(f"{path}: is not TOML: {error}")
        return {}


def _check_mode(layers: Layers, path: Path, mode: int, document: Mapping[str, Any]) -> None:
    storage = document.get("storage")
    held = sorted(SECRETS & storage.keys()) if isinstance(storage, dict) else []
    if held and mode & 0o077:
        command = f"chmod 600 {shlex.quote(str(path))}"
        layers.refuse(str(path), f"storage.{held[0]}", f"others can read this file; run: {command}")


def _add_document(layers: Layers, origin: str, document: Mapping[str, Any]) -> None:
    for key, value in document.items():
        if key not in TOP_LEVEL:
            layers.refuse(origin, key, f"is not a key{did_you_mean(key, TOP_LEVEL)}")
        elif key in ("default_site", "email"):
            _add_value(layers, origin, key, str, value)
        elif not isinstance(value, dict):
            layers.refuse(origin, key, "must be a table")
        elif key == "storage":
            _add_table(layers, origin, "storage", value)
        else:
            _add_sites(layers, origin, value)


def _add_sites(layers: Layers, origin: str, tables: Mapping[str, Any]) -> None:
    for name, table in tables.items():
        if not isinstance(table, dict):
            layers.refuse(origin, f"sites.{name}", f"must be a table: [sites.{name}]")
            continue
        layers.sites.setdefault(name, {})
        layers.origins.setdefault(f"sites.{name}", origin)
        _add_table(layers, origin, f"sites.{name}", table)


def _add_table(layers: Layers, origin: str, prefix: str, table: Mapping[str, Any]) -> None:
    known = storage_keys() if prefix == "storage" else site_keys()
    for key, value in table.items():
        if key in known:
            _add_value(layers, origin, f"{prefix}.{key}", known[key], value)
        else:
            layers.refuse(origin, f"{prefix}.{key}", f"is not a key{did_you_mean(key, known)}")


def _add_value(layers: Layers, origin: str, dotted: str, kind: Any, value: Any) -> None:
    try:
        checked = convert(dotted.rpartition(".")[2], kind, value)
    except InvalidValue as error:
        layers.refuse(origin, dotted, str(error))
        return
    _set(layers, origin, dotted, checked)


def _set(layers: Layers, origin: str, dotted: str, value: Any) -> None:
    table, _, key = dotted.rpartition(".")
    if dotted == "email":
        layers.email = value
    elif not table:
        layers.default_site = value
    elif table == "storage":
        layers.storage[key] = value
    elif isinstance(value, dict):
        site = layers.sites[table.removeprefix("sites.")]
        site[key] = {**site.get(key, {}), **value}
        layers.origins.update({f"{dotted}.{variable}": origin for variable in value})
        return
    else:
        layers.sites[table.removeprefix("sites.")][key] = value
    layers.origins[dotted] = origin


def _add_environment(layers: Layers, environ: Mapping[str, str]) -> None:
    """``PROMINENCE_SITE``, ``PROMINENCE_SLURM_TRANSPORT`` and ``PROMINENCE_STORAGE_…``.

    An empty variable is one that is not set.

    Other PROMINENCE variables are not ours to judge: jobs are given some, and may run this.
    """
    if environ.get("PROMINENCE_SITE"):
        _set(layers, "environment PROMINENCE_SITE", "default_site", environ["PROMINENCE_SITE"])
    if environ.get(_SLURM_TRANSPORT):
        _add_slurm_transport(layers, environ[_SLURM_TRANSPORT])
    known = storage_keys()
    for name, text in environ.items():
        if name.startswith(_STORAGE_PREFIX) and text:
            key = name.removeprefix(_STORAGE_PREFIX).lower()
            _add_variable(layers, f"environment {name}", key, known, text)


def _add_slurm_transport(layers: Layers, text: str) -> None:
    key = "slurm_transport"
    try:
        layers.slurm[key] = from_text(key, site_keys()[key], text)
    except InvalidValue as error:
        layers.refuse(f"environment {_SLURM_TRANSPORT}", key, str(error))


def _add_variable(
    layers: Layers, origin: str, key: str, known: Mapping[str, Any], text: str
) -> None:
    if key not in known:
        layers.refuse(origin, f"storage.{key}", f"is not a key{did_you_mean(key, known)}")
        return
    try:
        value = from_text(key, known[key], text)
    except InvalidValue as error:
        layers.refuse(origin, f"storage.{key}", str(error))
        return
    _set(layers, origin, f"storage.{key}", value)
