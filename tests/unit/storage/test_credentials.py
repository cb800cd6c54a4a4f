"""Environment, configuration, AWS files: in that order, and a clear word where there is nothing."""

from pathlib import Path

import pytest

from prominence_hpc.adapter.storage import StorageSettings
from prominence_hpc.adapter.storage.credentials import find_credentials, parse_profile
from prominence_hpc.errors import ConfigError

PLAIN = StorageSettings(type="s3", bucket="bucket")
CONFIGURED = StorageSettings(
    type="s3", bucket="bucket", access_key_id="CONF", secret_access_key="conf-secret"
)
FILE = """
# comment
[default]
aws_access_key_id = FILE
aws_secret_access_key=a=b/c
  [ work ]
aws_access_key_id = WORK
aws_secret_access_key = w
aws_session_token = t
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment with AWS files of its own; their folder does not exist yet."""
    folder = tmp_path / "aws"
    return {
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_CONFIG_FILE": str(folder / "config"),
    }


@pytest.fixture
def credentials_file(environ: dict[str, str]) -> Path:
    path = Path(environ["AWS_SHARED_CREDENTIALS_FILE"])
    path.parent.mkdir()
    path.write_text(FILE)
    return path


def test_environment_comes_first(environ: dict[str, str], credentials_file: Path) -> None:
    assert credentials_file.exists()
    environ |= {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "e", "AWS_SESSION_TOKEN": "t"}
    found = find_credentials(CONFIGURED, environ)
    assert (found.access_key_id, found.secret_access_key, found.session_token) == ("ENV", "e", "t")


def test_configuration_comes_before_the_file(
    environ: dict[str, str], credentials_file: Path
) -> None:
    assert credentials_file.exists()
    assert find_credentials(CONFIGURED, environ).access_key_id == "CONF"


def test_file_is_read_last(environ: dict[str, str], credentials_file: Path) -> None:
    assert credentials_file.exists()
    found = find_credentials(PLAIN, environ)
    assert (found.access_key_id, found.secret_access_key, found.session_token) == (
        "FILE",
        "a=b/c",
        None,
    )


def test_profile_of_settings_or_environment(
    environ: dict[str, str], credentials_file: Path
) -> None:
    assert credentials_file.exists()
    work = StorageSettings(type="s3", bucket="bucket", profile="work")
    assert find_credentials(work, environ).session_token == "t"
    assert find_credentials(PLAIN, {**environ, "AWS_PROFILE": "work"}).access_key_id == "WORK"


def test_none_names_all_places(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="AWS_ACCESS_KEY_ID") as raised:
        find_credentials(PLAIN, environ)
    assert "under [storage]" in str(raised.value)
    assert environ["AWS_SHARED_CREDENTIALS_FILE"] in str(raised.value)


def test_half_a_pair_is_an_error(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"Half .* AWS_SECRET_ACCESS_KEY belong together"):
        find_credentials(CONFIGURED, {**environ, "AWS_ACCESS_KEY_ID": "ENV"})


def test_unreadable_file_is_an_error(environ: dict[str, str]) -> None:
    Path(environ["AWS_SHARED_CREDENTIALS_FILE"]).mkdir(parents=True)
    with pytest.raises(ConfigError, match="Cannot read the S3 credentials in"):
        find_credentials(PLAIN, environ)


def test_profile_that_runs_a_program(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What we do not read ourselves is left to boto3."""
    program = tmp_path / "print-keys"
    program.write_text(
        "#!/bin/sh\necho '"
        '{"Version":1,"AccessKeyId":"LENT","SecretAccessKey":"l","SessionToken":"t",'
        '"Expiration":"2099-01-01T00:00:00Z"}'
        "'\n"
    )
    program.chmod(0o700)
    config = Path(environ["AWS_CONFIG_FILE"])
    config.parent.mkdir()
    config.write_text(f"[profile lent]\ncredential_process = {program}\n")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    lent = StorageSettings(type="s3", bucket="bucket", profile="lent")
    found = find_credentials(lent, environ)
    assert (found.access_key_id, found.session_token) == ("LENT", "t")
    assert found.expires == 4070908800.0


def test_config_file_without_keys_asks_no_metadata_service(environ: dict[str, str]) -> None:
    config = Path(environ["AWS_CONFIG_FILE"])
    config.parent.mkdir()
    config.write_text("[default]\nregion = eu-west-1\n")
    with pytest.raises(ConfigError, match="There are no S3 credentials"):
        find_credentials(PLAIN, environ)


def test_profile_that_the_file_lacks_is_empty() -> None:
    assert parse_profile(FILE, "other") == {}
