import doctest
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import htcondor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prominence_hpc.backends.base import Transfer
from prominence_hpc.backends.htcondor import HTCondorBackend, quoting
from prominence_hpc.backends.htcondor.quoting import classad_string, readable, submit_value
from prominence_hpc.backends.htcondor.render import FENCE_SECONDS, submit_description
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import BackendError, ConfigError
from tests.unit.backends.helpers import TAG, submission

SITE = SiteSettings(
    name="pool",
    backend="htcondor",
    directives=('Requirements = TARGET.Site == "west"', 'My.Project = "fusion"'),
    prologue=("export http_proxy=http://proxy:3128",),
)
PLAIN = SiteSettings(name="pool", backend="htcondor")
JOB = submission(
    Path("/home/a b/jobs/0/12"),
    transfer=Transfer(
        inputs=((Path("/home/storage/an image, large.sif"), "object-0"),),
        outputs=(("outputs-0", Path("/home/storage/scratch/uid")),),
    ),
)

texts = st.text(st.characters(exclude_categories=["Cs"]))
# What submit descriptions give a meaning to, more often than chance would.
hostile = st.lists(
    st.sampled_from(
        ["$(HOME)", "$$(Arch)", "$ENV(HOME)", "$", "\\", '"', "\n", "#", " ", "a", "é😀"]
    )
).map("".join)


def test_submit_description(golden: Callable[[str, str], None]) -> None:
    golden("htcondor-job.sub", submit_description(JOB, SITE))


def test_submit_description_of_several_nodes(golden: Callable[[str, str], None]) -> None:
    golden("htcondor-nodes.sub", submit_description(replace(JOB, nodes=4), SITE))


def test_job_script(golden: Callable[[str, str], None]) -> None:
    golden("htcondor-job.sh", HTCondorBackend(SITE).job_script(JOB))


def test_examples() -> None:
    assert doctest.testmod(quoting).failed == 0


def expanded(description: str, name: str) -> str:
    """A value as condor_submit would take it, by HTCondor's own reading of the description."""
    value = htcondor2.Submit(description).expand(name)
    assert isinstance(value, str)
    return value


@given(text=texts | hostile)
def test_names_and_labels_come_back_exactly(text: str) -> None:
    description = submit_description(replace(JOB, name=f"n{text}", labels={"k": text}), PLAIN)
    assert len(description.splitlines()) == len(submit_description(JOB, PLAIN).splitlines())
    assert expanded(description, "My.JobBatchName") == f'"{readable("n" + text)}"'
    assert json.loads(expanded(description, "My.JobBatchName")) == f"n{text}"
    assert expanded(description, "My.ProminenceLabels") == f'{{ "{readable("k=" + text)}" }}'


@given(text=st.text("abcXYZ019 _-./"))
def test_what_the_contract_allows_is_kept_as_it_is(text: str) -> None:
    assert classad_string(text) == f'"{text}"'


def can_be_told(path: str) -> bool:
    printable = all(letter.isprintable() or ord(letter) > 0xFFFF for letter in path)
    return printable and "$$" not in path and not path.endswith((" ", "\\"))


@given(name=texts | hostile)
def test_a_folder_is_told_exactly_or_refused(name: str) -> None:
    folder = Path("/home") / f"x{name.replace('/', '').replace(chr(0), '')}"
    job = replace(JOB, folder=folder)
    if can_be_told(str(folder)):
        description = submit_description(job, PLAIN)
        assert expanded(description, "initialdir") == str(folder)
        assert expanded(description, "executable") == f"{folder}/job.sh"
    else:
        with pytest.raises(BackendError, match="PROMINENCE_HOME"):
            submit_description(job, PLAIN)


@pytest.mark.parametrize("path", ["/a\nb", "/a ", " /a", "/a$$(b)", "/a\tb", "/a\\", "/a\x85b"])
def test_paths_that_cannot_be_told(path: str) -> None:
    with pytest.raises(BackendError, match="another state folder"):
        submit_value(path)


def test_the_fence_stands_behind_the_limit() -> None:
    description = submit_description(replace(JOB, limit_seconds=600), PLAIN)
    assert f"allowed_execute_duration = {600 + FENCE_SECONDS}\n" in description
    assert "allowed_execute" not in submit_description(replace(JOB, limit_seconds=0), PLAIN)


def test_priority_is_left_out_where_there_is_none() -> None:
    assert "priority = 3\n" in submit_description(JOB, PLAIN)
    assert "priority" not in submit_description(replace(JOB, priority=None), PLAIN)


def test_a_job_without_a_name_is_named_by_its_id() -> None:
    description = submit_description(replace(JOB, name=""), PLAIN)
    assert expanded(description, "My.JobBatchName") == '"prominence-12"'


def test_the_tag_is_a_string_of_the_record() -> None:
    assert expanded(submit_description(JOB, PLAIN), "My.ProminenceTag") == f'"{TAG}"'


def test_a_line_end_in_a_directive_is_refused() -> None:
    with pytest.raises(ConfigError, match="one line"):
        submit_description(JOB, replace(PLAIN, directives=("a = b\nqueue 1000",)))


def test_an_e_mail_at_the_end() -> None:
    told = submit_description(replace(JOB, mails=True, mail_address="me@site.test"), PLAIN)
    assert "notification = Complete\nnotify_user = me@site.test\nemail_attributes = " in told
    assert "notify_user" not in submit_description(replace(JOB, mails=True), PLAIN)
    assert "notif" not in submit_description(JOB, PLAIN)
