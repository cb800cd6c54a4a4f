import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.backends.slurm.backend import SlurmBackend
from prominence_hpc.backends.slurm.queries import sacct_argv
from prominence_hpc.backends.slurm.render import (
    COMMENT_CHARACTERS,
    comment,
    directives,
    sbatch_argv,
    sbatch_quote,
)
from prominence_hpc.errors import ConfigError
from tests.unit.backends.helpers import TAG, submission

SITE = SiteSettings(
    name="cluster",
    backend="slurm",
    partition="long",
    account="fusion",
    qos="normal",
    directives=("--constraint='ib&avx2'", "--exclusive"),
    prologue=("module load apptainer",),
)
PLAIN = SiteSettings(name="cluster", backend="slurm")

# What a process can be given as an argument: anything but NUL.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def test_job_script(golden: Callable[[str, str], None]) -> None:
    golden("slurm-job.sh", SlurmBackend(SITE).job_script(submission(Path("/home/a b/jobs/0/12"))))


def test_gpus_and_disk() -> None:
    """--gpus-per-node, so that a site's own --gres for something else stands beside it."""
    site = replace(PLAIN, disk_option="--gres=lscratch:{gb}", directives=("--gres=licence:1",))
    lines = directives(submission(Path("/jobs/12"), gpus=2, gpu_type="a100", disk_mib=2500), site)
    assert "#SBATCH --gpus-per-node=a100:2" in lines
    assert lines[-2:] == ["#SBATCH --gres=lscratch:3", "#SBATCH --gres=licence:1"]
    untyped = directives(submission(Path("/jobs/12"), gpus=1), replace(site, disk_option=None))
    assert "#SBATCH --gpus-per-node=1" in untyped
    assert not [line for line in untyped if "lscratch" in line]
    wrong = replace(PLAIN, disk_option="--tmp=10G")
    with pytest.raises(ConfigError, match=r"disk_option of a site has {mib} or {gb}"):
        directives(submission(Path("/jobs/12")), wrong)


def test_job_script_of_several_nodes(golden: Callable[[str, str], None]) -> None:
    script = SlurmBackend(SITE).job_script(submission(Path("/home/a b/jobs/0/12"), nodes=4))
    golden("slurm-nodes-job.sh", script)


def test_command_line(golden: Callable[[str, str], None]) -> None:
    argv = sbatch_argv(submission(Path("/home/a b/jobs/0/12")))
    golden("slurm-sbatch.txt", "".join(f"{shlex.quote(word)}\n" for word in argv))


@given(name=texts, labels=st.dictionaries(texts, texts), folder=texts)
def test_what_the_user_wrote_is_never_part_of_the_script(
    name: str, labels: dict[str, str], folder: str
) -> None:
    job = submission(Path("/home/x"))
    hostile = replace(job, name=name, labels=labels)
    assert SlurmBackend(SITE).job_script(job) == SlurmBackend(SITE).job_script(hostile)
    argv = sbatch_argv(replace(hostile, folder=Path("/home") / folder.replace("/", "")))
    assert len(argv) == 9
    assert all("\0" not in word for word in argv)
    # One word each, so that none can be taken for another option.
    assert [word for word in argv[1:-1] if not word.startswith("--")] == []
    assert argv[-1].startswith("/home")


@given(name=texts.filter(bool))
def test_names_are_passed_whole(name: str) -> None:
    (option,) = [
        word for word in sbatch_argv(submission(Path("/f"), name=name)) if "--job-name=" in word
    ]
    passed = option.partition("--job-name=")[2] if option.startswith("--job-name=") else ""
    if len(name.encode()) <= 1023:
        assert passed == name
    else:
        assert name.startswith(passed)
        assert 1018 < len(passed.encode()) <= 1023


def test_a_job_without_a_name_is_named_by_its_id() -> None:
    assert "--job-name=prominence-12" in sbatch_argv(submission(Path("/f"), name=""))


@given(labels=st.dictionaries(texts, texts, max_size=4))
def test_the_comment_keeps_labels_exactly(labels: dict[str, str]) -> None:
    text = comment(submission(Path("/f"), labels=labels))
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= COMMENT_CHARACTERS
    assert text.startswith(f"prominence:{TAG} id=12")
    match = re.fullmatch(r"prominence:\w+ id=12(?: labels=(\{.*\})(?: more=(\d+))?)?", text)
    assert match is not None
    kept = json.loads(match[1] or "{}")
    assert kept.items() <= labels.items()
    assert len(kept) + int(match[2] or 0) == len(labels)
    if match[2] is None:
        assert kept == labels


def test_labels_beyond_what_slurm_keeps_are_counted() -> None:
    labels = {f"key{number:02}": "v" * 63 for number in range(20)}
    text = comment(submission(Path("/f"), labels=labels))
    kept = json.loads(text.partition(" labels=")[2].partition(" more=")[0])
    assert 10 <= len(kept) < 20
    assert text.endswith(f" more={20 - len(kept)}")


@pytest.mark.parametrize(
    ("seconds", "directive"),
    [(1, "--time=1"), (60, "--time=1"), (61, "--time=2"), (86400, "--time=1440"), (0, None)],
)
def test_walltime_is_in_minutes_rounded_up(seconds: int, directive: str | None) -> None:
    lines = directives(submission(Path("/f"), limit_seconds=seconds), PLAIN)
    times = [line for line in lines if "--time" in line]
    assert times == ([f"#SBATCH {directive}"] if directive else [])


def nice_of(priority: int | None, *, nice: int = 100) -> int:
    lines = directives(submission(Path("/f"), priority=priority), replace(PLAIN, nice=nice))
    values = [line.partition("--nice=")[2] for line in lines if "--nice=" in line]
    return int(values[0]) if values else 0


def test_a_larger_priority_is_never_behind_a_smaller() -> None:
    priorities = [-1000, -5, -1, 0, 1, 5, 100, 1000]
    nices = [nice_of(priority) for priority in priorities]
    assert nices == sorted(nices, reverse=True)
    assert nices[:-1] == [1100, 105, 101, 100, 99, 95, 0]
    assert nice_of(None) == nice_of(0) == 100


def test_slurm_lets_users_only_lower_a_priority() -> None:
    assert nice_of(10**6) == nice_of(5, nice=0) == 0


@given(value=texts.filter(lambda text: not re.search(r"[\r\n]", text)))
def test_quoted_words_of_directives(value: str) -> None:
    """Read back by sbatch's rules: a backslash takes the next letter, blanks and # end a word."""
    quoted = sbatch_quote(value)
    assert re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL) == value
    assert not set(re.sub(r"\\.", "", quoted, flags=re.DOTALL)) - set(
        ascii_letters + digits + "_@%+=:,./-"
    )


@pytest.mark.parametrize(
    "site",
    [
        replace(PLAIN, partition="a\nrm -rf"),
        replace(PLAIN, account="a\nrm -rf"),
        replace(PLAIN, qos="a\nrm -rf"),
        replace(PLAIN, directives=("--a\nrm -rf ~",)),
    ],
)
def test_a_line_end_in_the_configuration_is_refused(site: SiteSettings) -> None:
    with pytest.raises(ConfigError, match="single lines"):
        directives(submission(Path("/f")), site)


def test_a_folder_with_a_backslash_is_written_to_by_the_job_itself() -> None:
    job = submission(Path("/home/back\\slash %j"))
    assert "--output=/dev/null" in sbatch_argv(job)
    assert "\nexec >>stdout 2>>stderr\n" in SlurmBackend(PLAIN).job_script(job)
    plain = submission(Path("/home/%j"))
    assert "--output=\\stdout" in sbatch_argv(plain)
    assert "exec >" not in SlurmBackend(PLAIN).job_script(plain)


def test_accounting_is_not_given_endless_lists() -> None:
    few = sacct_argv(7, handles=["1", "2"])
    assert "--jobs=1,2" in few
    many = sacct_argv(7, handles=[str(number) for number in range(5000)])
    assert not any(word.startswith("--jobs") for word in many)
    assert "--uid=7" in many
    assert any(word.startswith("--starttime=") for word in many)


def test_an_e_mail_at_every_end() -> None:
    folder = Path("/f")
    told = directives(submission(folder, mails=True, mail_address="a'b@c.d"), PLAIN)
    assert "#SBATCH --mail-type=END" in told
    assert "#SBATCH --mail-user=a\\'b@c.d" in told
    to_login_name = directives(submission(folder, mails=True), PLAIN)
    assert not [line for line in to_login_name if "mail-user" in line]
    assert not [line for line in directives(submission(folder), PLAIN) if "mail" in line]
