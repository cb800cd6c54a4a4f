"""The configuration: what the site says, what the user says, and where each value came from.

In rising order: ``/etc/prominence/config.toml`` (the site), ``~/.config/prominence/config.toml`` (the
user; or the file that ``PROMINENCE_CONFIG`` names in its place), the environment
(``PROMINENCE_SITE``, ``PROMINENCE_SLURM_TRANSPORT`` for every Slurm site,
``PROMINENCE_STORAGE_ENDPOINT`` and so on for each key of ``[storage]``), flags.
They are merged key by key, an ``environment`` table variable by variable. With no site in any, the
one site is what this machine has: Slurm, HTCondor, else ``local``.

Read by :mod:`.files`; keys and their types are :mod:`.keys`.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from prominence_hpc.adapter.config.files import Layers, read_layers
from prominence_hpc.adapter.config.keys import SECRETS
from prominence_hpc.adapter.storage.base import StorageSettings
from prominence_hpc.backends.settings import BackendName, SiteSettings
from prominence_hpc.errors import ConfigError

__all__ = ["SYSTEM_FILE", "Config", "Setting", "load_config", "settings_of"]

SYSTEM_FILE = Path("/etc/prominence/config.toml")
BACKEND_NAMES: tuple[BackendName, ...] = get_args(BackendName)


@dataclass(frozen=True, kw_only=True)
class Config:
    """All of it, resolved. ``origins``: dotted key to where its value came from; absent: a default."""

    default_site: str
    sites: Mapping[str, SiteSettings]
    storage: StorageSettings
    user: str  # login name
    origins: Mapping[str, str]
    email: str | None = None  # where notifications go; none: to the user, by the site's own rules
    # What the environment says of every Slurm site.
    slurm: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def site(self, name: str | None = None) -> SiteSettings:
        """The named site, or the default; ConfigError lists those there are.

        A backend's own name is always a site: with default settings where nobody configured it.
        """
        wanted = name or self.default_site
        if wanted in self.sites:
            return self.sites[wanted]
        for backend in BACKEND_NAMES:
            if wanted == backend:
                return _site(wanted, backend, {}, self.slurm)
        known = sorted({*self.sites, *BACKEND_NAMES})
        origin = "" if name else f" ({self.origins.get('default_site', 'default')})"
        msg = f"There is no site {wanted!r}{origin}; there are {', '.join(known)}."
        raise ConfigError(msg)


@dataclass(frozen=True)
class Setting:
    """One line of ``prominence config``. A secret's value is not in it."""

    key: str
    value: Any
    origin: str


def load_config(
    *,
    environ: Mapping[str, str],
    site: str | None = None,
    system_file: Path = SYSTEM_FILE,
    user_file: Path | None = None,
) -> Config:
    """The configuration for this run; ``site`` is the flag.

    ConfigError tells every problem at once, one on a line, each with its file or variable and key.
    """
    layers = read_layers(environ, site, system_file, user_file)
    sites = _sites(layers)
    config = Config(
        default_site=_default_site(layers, sites),
        sites=sites,
        storage=_storage(layers),
        user=_login_name(),
        email=layers.email,
        slurm=layers.slurm,
        origins=layers.origins,
    )
    config.site()  # a default that does not exist is told now, not at the first job
    return config


def settings_of(config: Config) -> Iterator[Setting]:
    """Every key with its value and origin, in the order of the tables."""
    yield _setting(config, "default_site", config.default_site)
    yield _setting(config, "email", config.email)
    yield from _table(config, "storage", config.storage)
    for name, site in config.sites.items():
        yield from _table(config, f"sites.{name}", site)


def _table(config: Config, prefix: str, table: SiteSettings | StorageSettings) -> Iterator[Setting]:
    for field in dataclasses.fields(table):
        value = getattr(table, field.name)
        if field.name == "environment":
            for variable, text in value.items():
                yield _setting(config, f"{prefix}.environment.{variable}", text)
        elif field.name in SECRETS and value is not None:
            yield _setting(config, f"{prefix}.{field.name}", "(not shown)")
        elif field.name != "name":
            yield _setting(config, f"{prefix}.{field.name}", value)


def _setting(config: Config, key: str, value: Any) -> Setting:
    return Setting(key, value, config.origins.get(key, "default"))


def _sites(layers: Layers) -> dict[str, SiteSettings]:
    sites: dict[str, SiteSettings] = {}
    problems: list[str] = []
    for name, values in layers.sites.items():
        # A table that bears a backend's name need not repeat it.
        backend = values.get("backend", name)
        if backend in BACKEND_NAMES:
            sites[name] = _site(name, backend, values, layers.slurm)
            if backend == "slurm" and layers.slurm:
                _note_environment(layers, name)
        else:
            where = layers.origins[f"sites.{name}"]
            choices = ", ".join(BACKEND_NAMES)
            problems.append(f"{where}: sites.{name}.backend: is missing; one of {choices}")
    problems += [
        f"{layers.origins[f'sites.{name}']}: sites.{name}.mail: {problem}"
        for name, site in sites.items()
        if (problem := _mail_problem(site))
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    return sites or _only_site(layers)


def _mail_problem(site: SiteSettings) -> str | None:
    if site.mail == "command" and not site.mail_command:
        return 'is "command", and there is no mail_command'
    if site.mail_command and site.mail != "command":
        return f'is "{site.mail}": mail_command wants mail = "command"'
    if site.mail == "scheduler" and site.backend == "local":
        return 'is "scheduler", and local is none; give "command" and a mail_command'
    return None


def _only_site(layers: Layers) -> dict[str, SiteSettings]:
    name = layers.default_site
    if name is None:
        from prominence_hpc.backends import detect_backend  # searches PATH; seldom needed

        name = detect_backend()
        layers.origins[f"sites.{name}.backend"] = "what this machine has"
    for backend in BACKEND_NAMES:
        if name == backend:
            if backend == "slurm" and layers.slurm:
                _note_environment(layers, name)
            return {name: _site(name, backend, {}, layers.slurm)}
    return {}


def _site(
    name: str, backend: BackendName, values: Mapping[str, Any], slurm: Mapping[str, Any]
) -> SiteSettings:
    more = slurm if backend == "slurm" else {}
    return SiteSettings(**{"name": name, "backend": backend, **values, **more})


def _note_environment(layers: Layers, name: str) -> None:
    layers.origins[f"sites.{name}.slurm_transport"] = "environment PROMINENCE_SLURM_TRANSPORT"


def _default_site(layers: Layers, sites: Mapping[str, SiteSettings]) -> str:
    if layers.default_site is not None:
        return layers.default_site
    name = next(iter(sites))
    if len(sites) > 1:
        layers.origins["default_site"] = "the first of the sites"
    return name


def _storage(layers: Layers) -> StorageSettings:
    values = dict(layers.storage)
    if "type" not in values and ("endpoint" in values or "bucket" in values):
        values["type"] = "s3"
        layers.origins["storage.type"] = "as there is a bucket or an endpoint"
    if values.get("type") == "s3" and not values.get("bucket"):
        where = layers.origins["storage.type"]
        msg = f"{where}: storage.bucket: is missing; S3 storage needs the name of a bucket"
        raise ConfigError(msg)
    return StorageSettings(**values)


def _login_name() -> str:
    """As the password database says it: ``$USER`` is anybody's to set, and names objects in storage."""
    import os
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError as error:
        msg = f"The user id {os.getuid()} has no login name on this machine (getent passwd)."
        raise ConfigError(msg) from error
