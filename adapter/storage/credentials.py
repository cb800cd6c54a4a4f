"""Whose keys requests are signed with: the environment, the configuration, the AWS files.

The three usual places are read here, without boto3. What else AWS profiles can say (single sign-on,
roles, a program that prints keys, the machine's own role) is left to boto3, which knows them all.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from prominence_hpc.adapter.storage.base import StorageSettings
from prominence_hpc.adapter.storage.sigv4 import Credentials
from prominence_hpc.errors import ConfigError

__all__ = ["find_credentials", "parse_profile"]


# Settings of ~/.aws/config by which a profile gets keys that are not written down.
BORROWING = frozenset(
    {
        "credential_process",
        "credential_source",
        "role_arn",
        "sso_account_id",
        "sso_session",
        "web_identity_token_file",
    }
)


def find_credentials(
    settings: StorageSettings, environ: Mapping[str, str] | None = None
) -> Credentials:
    """The first credentials found. Raises ConfigError where there are none, or half of a pair."""
    environ = os.environ if environ is None else environ
    return (
        _from_environment(environ)
        or _from_settings(settings)
        or _from_file(settings, environ)
        or _from_boto(settings, environ)
        or _none(settings, environ)
    )


def _from_environment(environ: Mapping[str, str]) -> Credentials | None:
    return _pair(
        "the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        environ.get("AWS_ACCESS_KEY_ID"),
        environ.get("AWS_SECRET_ACCESS_KEY"),
        environ.get("AWS_SESSION_TOKEN"),
    )


def _from_settings(settings: StorageSettings) -> Credentials | None:
    return _pair(
        "the configuration: access_key_id and secret_access_key of [storage]",
        settings.access_key_id,
        settings.secret_access_key,
        settings.session_token,
    )


def _from_file(settings: StorageSettings, environ: Mapping[str, str]) -> Credentials | None:
    path = _file(environ)
    profile = _profile(settings, environ)
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"Cannot read the S3 credentials in {path}: {error}."
        raise ConfigError(msg) from error
    values = parse_profile(text, profile)
    return _pair(
        f"{path}, profile {profile}: aws_access_key_id and aws_secret_access_key",
        values.get("aws_access_key_id"),
        values.get("aws_secret_access_key"),
        values.get("aws_session_token"),
    )


def parse_profile(text: str, profile: str) -> dict[str, str]:
    """The settings of one ``[profile]`` of an AWS credentials file; empty where it has none.

    >>> parse_profile("[default]\\naws_access_key_id = A\\n# b\\n[other]\\nx=y\\n", "default")
    {'aws_access_key_id': 'A'}
    """
    values: dict[str, str] = {}
    inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line.strip("[] \t") == profile
        elif inside and "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            values[name.strip().lower()] = value.strip()
    return values


def _from_boto(settings: StorageSettings, environ: Mapping[str, str]) -> Credentials | None:
    path = Path(environ.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser()
    profile = _profile(settings, environ)
    if not _borrows(path, profile):
        return None
    # Imported here: a quarter of a second that most users never need.
    import botocore.session
    from botocore.exceptions import BotoCoreError

    try:
        found = botocore.session.Session(profile=profile).get_credentials()
    except BotoCoreError as error:
        msg = f"The profile {profile} in {path} gives no S3 credentials: {error}."
        raise ConfigError(msg) from error
    if found is None:
        return None
    frozen = found.get_frozen_credentials()
    assert frozen.access_key
    assert frozen.secret_key
    expiry = getattr(found, "_expiry_time", None)
    return Credentials(
        access_key_id=frozen.access_key,
        secret_access_key=frozen.secret_key,
        session_token=frozen.token,
        expires=expiry.timestamp() if expiry else None,
    )


def _borrows(path: Path, profile: str) -> bool:
    """Are its keys elsewhere? If not, boto3 would wait for a cloud's metadata service."""
    if not path.is_file():
        return False
    section = profile if profile == "default" else f"profile {profile}"
    return not BORROWING.isdisjoint(parse_profile(path.read_text(encoding="utf-8"), section))


def _pair(
    where: str, access: str | None, secret: str | None, token: str | None
) -> Credentials | None:
    if not access and not secret:
        return None
    if not access or not secret:
        msg = f"Half of the S3 credentials is missing in {where} belong together."
        raise ConfigError(msg)
    return Credentials(access_key_id=access, secret_access_key=secret, session_token=token or None)


def _none(settings: StorageSettings, environ: Mapping[str, str]) -> Credentials:
    msg = (
        f"There are no S3 credentials for the bucket {settings.bucket}: set AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, or access_key_id and secret_access_key under [storage] in the "
        f"configuration, or the profile {_profile(settings, environ)} in {_file(environ)}."
    )
    raise ConfigError(msg)


def _profile(settings: StorageSettings, environ: Mapping[str, str]) -> str:
    """What the settings name; their default gives way to AWS_PROFILE."""
    if settings.profile != "default":
        return settings.profile
    return environ.get("AWS_PROFILE") or "default"


def _file(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()
