"""The configuration: layers merged key by key, every problem told at once, secrets kept."""

import os
import pwd
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from prominence_hpc.adapter.config.load import Config, load_config, settings_of
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import ConfigError

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load from two texts, an environment and a flag."""

    def load(system: str = "", user: str = "", site: str | None = None, **environ: str) -> Config:
        files = {"system": system, "user": user}
        for name, text in files.items():
            path = tmp_path / f"{name}.toml"
            path.write_text(text)
            path.chmod(0o600)
        return load_config(
            environ=environ,
            site=site,
            system_file=tmp_path / "system.toml",
            user_file=tmp_path / "user.toml",
        )

    return load


SITE = """
default_site = "big"
[storage]
endpoint = "https://s3.example.org"
bucket = "site"
[sites.big]
backend = "slurm"
partition = "long"
account = "physics"
directives = ["--exclusive"]
environment = { A = "1", B = "2" }
"""


def test_the_user_overrides_the_site_key_by_key(load: Load) -> None:
    config = load(
        system=SITE,
        user="""
        storage.bucket = "mine"
        [sites.big]
        partition = "short"
        environment = { B = "3", C = "4" }
        [sites.small]
        backend = "local"
        slots = 2
        """,
    )

    assert config.site() == SiteSettings(
        name="big",
        backend="slurm",
        partition="short",
        account="physics",
        directives=("--exclusive",),
        environment={"A": "1", "B": "3", "C": "4"},
    )
    assert config.site("small").slots == 2
    assert config.storage.bucket == "mine"
    assert config.storage.endpoint == "https://s3.example.org"


def test_every_value_is_shown_with_its_origin(load: Load, tmp_path: Path) -> None:
    config = load(
        system=SITE,
        user='sites.big.partition = "short"\nsites.big.environment.B = "3"',
        PROMINENCE_STORAGE_BUCKET="fromenv",
    )

    shown = {setting.key: (setting.value, setting.origin) for setting in settings_of(config)}

    system, user = str(tmp_path / "system.toml"), str(tmp_path / "user.toml")
    assert shown["sites.big.partition"] == ("short", user)
    assert shown["sites.big.account"] == ("physics", system)
    assert shown["sites.big.environment.A"] == ("1", system)
    assert shown["sites.big.environment.B"] == ("3", user)
    assert shown["sites.big.image_cache_gb"] == (20.0, "default")
    assert shown["storage.bucket"] == ("fromenv", "environment PROMINENCE_STORAGE_BUCKET")
    assert shown["default_site"] == ("big", system)


def test_environment_beats_files_and_the_flag_beats_it(load: Load) -> None:
    assert load(system=SITE, PROMINENCE_SITE="htcondor").default_site == "htcondor"
    assert load(system=SITE, site="local", PROMINENCE_SITE="htcondor").default_site == "local"
    assert load(system=SITE, PROMINENCE_SITE="").default_site == "big"


def test_prominence_config_takes_the_place_of_the_users_file(load: Load, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('sites.big.account = "chemistry"')

    config = load(system=SITE, user='sites.big.qos = "high"', PROMINENCE_CONFIG=str(other))

    assert config.site().account == "chemistry"
    assert config.site().qos is None
    assert config.site().partition == "long"


def test_a_file_that_is_named_must_exist(load: Load, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: does not exist"):
        load(PROMINENCE_CONFIG=str(tmp_path / "absent.toml"))


def test_the_users_file_is_found_where_xdg_says(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "prominence"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('default_site = "local"')
    absent = tmp_path / "absent.toml"

    by_variable = load_config(
        environ={"XDG_CONFIG_HOME": str(tmp_path / "config")}, system_file=absent
    )
    (tmp_path / "config").rename(tmp_path / ".config")
    by_home = load_config(environ={"HOME": str(tmp_path)}, system_file=absent)

    assert by_variable.default_site == by_home.default_site == "local"


def test_every_problem_is_told_at_once_with_file_and_key(load: Load, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(
            system="""
            defaultsite = "x"
            [sites.big]
            backend = "slurm"
            partion = "long"
            slots = "four"
            image_cache_gb = true
            directives = "--exclusive"
            environment = { N = 1 }
            forward_environment = ["GOOD", "A*"]
            [sites.other]
            backend = "pbs"
            """,
            user='storage.type = "ftp"\nstorage.url_lifetime_hours = 1000\nsites.small = 3',
            PROMINENCE_STORAGE_BUKET="x",
        )

    system, user = tmp_path / "system.toml", tmp_path / "user.toml"
    assert str(caught.value).splitlines() == [
        f"{system}: defaultsite: is not a key; did you mean default_site?",
        f"{system}: sites.big.partion: is not a key; did you mean partition?",
        f"{system}: sites.big.slots: must be a whole number, not 'four'",
        f"{system}: sites.big.image_cache_gb: must be a number, not true",
        f"{system}: sites.big.directives: must be a list of texts, not '--exclusive'",
        f"{system}: sites.big.environment: must be a table of texts, not a table",
        f"{system}: sites.big.forward_environment: must hold names of variables, not 'A*'",
        f"{system}: sites.other.backend: must be one of 'slurm', 'htcondor', 'local', not 'pbs'",
        f"{user}: storage.type: must be one of 's3', 'folder', not 'ftp'",
        f"{user}: storage.url_lifetime_hours: must be 0.1 to 168, not 1000",
        f"{user}: sites.small: must be a table: [sites.small]",
        "environment PROMINENCE_STORAGE_BUKET: storage.buket: is not a key; did you mean bucket?",
    ]


def test_a_file_that_is_not_toml_is_named(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"user\.toml: is not TOML: .*line 2"):
        load(user="\ndefault_site = x")


def test_a_site_needs_a_backend_unless_it_bears_the_name_of_one(load: Load) -> None:
    assert load(user='[sites.htcondor]\nregion = "north"').site().backend == "htcondor"
    with pytest.raises(ConfigError, match=r"user\.toml: sites\.big\.backend: is missing"):
        load(user='[sites.big]\nregion = "north"')


def test_backends_are_sites_without_being_configured(load: Load) -> None:
    config = load(system=SITE)

    assert config.site("local") == SiteSettings(name="local", backend="local")
    assert list(config.sites) == ["big"]


def test_an_unknown_site_is_refused_with_those_there_are(load: Load) -> None:
    with pytest.raises(ConfigError, match="no site 'bigg'; there are big, htcondor, local, slurm"):
        load(system=SITE).site("bigg")
    with pytest.raises(ConfigError, match=r"no site 'typo' \(environment PROMINENCE_SITE\)"):
        load(system=SITE, PROMINENCE_SITE="typo")
    with pytest.raises(ConfigError, match=r"no site 'typo' \(--site\)"):
        load(site="typo")


def test_without_sites_the_machine_decides(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert load().site() == SiteSettings(name="local", backend="local")
    (tmp_path / "sbatch").write_text("#!/bin/sh\n")
    (tmp_path / "sbatch").chmod(0o755)
    config = load()
    assert config.site() == SiteSettings(name="slurm", backend="slurm")
    assert config.origins["sites.slurm.backend"] == "what this machine has"


def test_the_first_of_several_sites_is_the_default(load: Load) -> None:
    config = load(system="[sites.slurm]\n[sites.htcondor]", user="[sites.local]")

    assert config.default_site == "slurm"
    assert config.origins["default_site"] == "the first of the sites"


def test_a_bucket_means_s3(load: Load) -> None:
    assert load(PROMINENCE_STORAGE_BUCKET="b").storage.type == "s3"
    assert load().storage.type == "folder"
    folder = load(PROMINENCE_STORAGE_BUCKET="b", PROMINENCE_STORAGE_TYPE="folder")
    assert folder.storage.type == "folder"
    with pytest.raises(ConfigError, match=r"storage\.bucket: is missing"):
        load(PROMINENCE_STORAGE_ENDPOINT="https://s3.example.org")


def test_numbers_in_the_environment_are_numbers(load: Load) -> None:
    hours = load(PROMINENCE_STORAGE_URL_LIFETIME_HOURS="12").storage.url_lifetime_hours
    assert hours == 12.0
    with pytest.raises(ConfigError, match=r"URL_LIFETIME_HOURS: .* must be a number, not 'a week'"):
        load(PROMINENCE_STORAGE_URL_LIFETIME_HOURS="a week")


def test_variables_that_jobs_are_given_are_no_error(load: Load) -> None:
    load(PROMINENCE_JOB_ID="4", PROMINENCE_CPUS="1", PROMINENCE_URL="https://old.example.org")


SECRET = 'storage.bucket = "b"\nstorage.secret_access_key = "hush-hush"\n'


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_file_with_a_secret_must_be_private(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a b.toml"
    path.write_text(SECRET)
    path.chmod(mode)

    with pytest.raises(ConfigError) as caught:
        load_config(environ={}, system_file=tmp_path / "absent", user_file=path)

    assert f"run: chmod 600 '{path}'" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_secrets_are_never_shown(load: Load) -> None:
    config = load(user=SECRET, PROMINENCE_STORAGE_SESSION_TOKEN="hush-token")

    assert config.storage.secret_access_key == "hush-hush"
    assert config.storage.session_token == "hush-token"
    assert "hush" not in repr(config)
    assert "hush" not in repr(list(settings_of(config)))


def test_a_secret_of_the_wrong_type_is_not_shown(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load(user="storage.secret_access_key = 123456")
    assert "must be text" in str(caught.value)
    assert "123456" not in str(caught.value)


def test_names_to_be_filled_in_on_the_node_stay_as_they_are(load: Load) -> None:
    config = load(
        user='[sites.slurm]\nimage_cache = "/scratch/$USER/images"\nscratch = "~/tmp"',
        USER="alice",
        HOME="/home/alice",
    )
    assert config.site().image_cache == "/scratch/$USER/images"
    assert config.site().scratch == "~/tmp"


def test_the_user_is_who_the_system_says(load: Load) -> None:
    assert load(USER="mallory", LOGNAME="mallory").user == pwd.getpwuid(os.getuid()).pw_name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('email = "me"', "email: must be an e-mail address, not 'me'"),
        ('email = "a@b -oX"', "email: must be an e-mail address"),
        ('email = "a@b,c@d"', "email: must be an e-mail address"),
        ('email = "a$(id)@b"', "email: must be an e-mail address"),
        ('email = "a|id@b"', "email: must be an e-mail address"),
        ('email = "-t@b"', "email: must be an e-mail address"),
        ('[sites.slurm]\nmail = "command"', 'sites.slurm.mail: is "command", and there is no'),
        ('[sites.slurm]\nmail_command = ["mail"]', 'sites.slurm.mail: is "none": mail_command'),
        ('[sites.local]\nmail = "scheduler"', 'sites.local.mail: is "scheduler", and local'),
    ],
)
def test_mail_that_cannot_be_sent(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_config(environ={"PROMINENCE_CONFIG": str(file)}, system_file=tmp_path / "none")


def test_an_address_for_mail(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('email = "a.b+c@d-e.example"\n')
    config = load_config(environ={"PROMINENCE_CONFIG": str(file)}, system_file=tmp_path / "none")
    assert config.email == "a.b+c@d-e.example"
    assert config.origins["email"] == str(file)


def test_slurm_s_transport_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[sites.a]\nbackend = "slurm"\nslurm_transport = "commands"\n[sites.local]\n')
    environ = {"PROMINENCE_CONFIG": str(file), "PROMINENCE_SLURM_TRANSPORT": "pyslurm"}
    config = load_config(environ=environ, system_file=tmp_path / "none")
    assert config.site("a").slurm_transport == "pyslurm"
    assert config.site("slurm").slurm_transport == "pyslurm"  # that nobody configured
    assert config.site("local").slurm_transport == "auto"
    assert config.origins["sites.a.slurm_transport"] == "environment PROMINENCE_SLURM_TRANSPORT"
    environ["PROMINENCE_SLURM_TRANSPORT"] = "carrier pigeon"
    with pytest.raises(ConfigError, match=r"slurm_transport: must be one of 'auto', 'commands'"):
        load_config(environ=environ, system_file=tmp_path / "none")
