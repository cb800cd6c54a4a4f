import doctest
import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import classad2
import htcondor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prominence_hpc.backends.base import Copies, Submission, Transfer
from prominence_hpc.backends.htcondor import HTCondorBackend, quoting, render
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


COPIES = replace(JOB, copies=Copies(first=0, count=10_000), maximum_retries=2)


def test_submit_description_of_many(golden: Callable[[str, str], None]) -> None:
    golden("htcondor-copies.sub", submit_description(COPIES, SITE))


def test_job_script_of_many(golden: Callable[[str, str], None]) -> None:
    golden("htcondor-copies-job.sh", HTCondorBackend(SITE).job_script(COPIES))


def test_a_site_chooses_how_many_wait_in_the_queue() -> None:
    site = replace(PLAIN, directives=("max_idle = 50",))
    assert htcondor2.Submit(submit_description(COPIES, site))["max_idle"] == "50"


def test_one_of_many_of_several_nodes() -> None:
    job = replace(JOB, nodes=2, copies=Copies(first=7, count=1))
    description = submit_description(job, PLAIN)
    assert expanded(description, "arguments") == "7"
    assert "7/report.json=7/node-$(Node)/report.json" in htcondor2.Submit(description)[
        "transfer_output_remaps"
    ].replace("$INT(prominence_copy)", "7")
    assert "max_idle" not in description  # which the parallel universe does not know
    assert render.description_path(job) == JOB.folder / "7/job.sub"
    assert render.node_folders(job) == ["7/node-1"]
    assert render.staged_outputs(job)["7/node-0"] == "."


def removed(job: Submission, record: dict[str, Any], *, in_graph: bool = False) -> str | None:
    """The reason for which HTCondor would remove a job with this record, by its own expressions."""
    description = htcondor2.Submit(submit_description(job, PLAIN, in_graph=in_graph))
    attributes = {
        name[3:]: classad2.ExprTree(str(value))
        for name, value in description.items()
        if name.startswith("My.") and "$" not in value
    }
    ad = classad2.ClassAd({"ProcId": 3, "EnteredCurrentStatus": int(time.time()), **record})
    ad.update(attributes)
    ad["PeriodicRemove"] = classad2.ExprTree(description.get("periodic_remove", "false"))
    if ad.eval("PeriodicRemove") is not True:
        return None
    reason = ad.get("PeriodicRemoveReason")
    return str(ad.eval("PeriodicRemoveReason")) if reason is not None else str(ad["PeriodicRemove"])


IDLE, HELD_FOR_MEMORY, HELD_BY_HAND = (
    {"JobStatus": 1},
    {"JobStatus": 5, "HoldReasonCode": 34},
    {"JobStatus": 5, "HoldReasonCode": 1},
)
WAITED = {"JobStatus": 1, "EnteredCurrentStatus": 1}


def test_which_jobs_htcondor_removes() -> None:
    patient = replace(COPIES, queue_limit_seconds=60)
    assert removed(patient, IDLE) is None
    assert removed(patient, HELD_BY_HAND) is None
    assert removed(patient, WAITED) == "ProminenceQueueLimitSeconds"
    assert removed(COPIES, WAITED) is None
    assert removed(COPIES, HELD_FOR_MEMORY) == "ProminenceFinalHolds"
    assert removed(COPIES, {**IDLE, "ProminenceDeleted3": True}) == "Deleted through prominence"
    assert removed(COPIES, {**IDLE, "ProminenceDeleted30": True}) is None
    assert "ProminenceFinalHolds" in str(removed(JOB, HELD_FOR_MEMORY, in_graph=True))
    assert removed(JOB, HELD_FOR_MEMORY) is None  # whoever finds it may want to know why
    assert "ProminenceQueueLimit" in str(removed(replace(JOB, queue_limit_seconds=9), WAITED))


def test_a_sweep_in_a_graph_is_put_back_before_it_is_removed() -> None:
    again = {**HELD_FOR_MEMORY, "LastHoldReasonCode": 34}
    assert removed(COPIES, HELD_FOR_MEMORY, in_graph=True) is None
    assert "ProminenceFinalHolds" in str(removed(COPIES, again, in_graph=True))
    # what has waited for too long ends by itself, as it begins
    assert removed(replace(COPIES, queue_limit_seconds=60), WAITED, in_graph=True) is None
    read = htcondor2.Submit(submit_description(COPIES, PLAIN, in_graph=True))
    assert read["periodic_release"] == (
        "JobStatus == 5 && member(HoldReasonCode, ProminenceFinalHolds)"
        " && !(member(LastHoldReasonCode, ProminenceFinalHolds) is true)"
    )


@pytest.mark.parametrize(
    ("ad", "runs"),
    [
        ("ProcId = 7\n", True),
        ("LastHoldReasonCode = 34\n", False),
        ("LastHoldReasonCode = 1\n", True),  # somebody's hand
        ("ProminenceDeleted7 = true\n", False),
        ("ProminenceDeleted77 = true\n", True),
    ],
)
def test_a_job_of_a_graph_s_sweep_looks_whether_it_is_to_run(
    ad: str, runs: bool, tmp_path: Path
) -> None:
    (tmp_path / "ad").write_text(f"A = 1\n{ad}B = 2\n")
    site = replace(PLAIN, prologue=("exit 5",))  # in place of the runner
    (tmp_path / "job.sh").write_text(HTCondorBackend(site).job_script(COPIES, in_graph=True))
    environment = {**os.environ, "_CONDOR_JOB_AD": str(tmp_path / "ad")}
    done = subprocess.run(
        ["bash", "job.sh", "7"], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert done.returncode == (5 if runs else 0)
    assert (tmp_path / "7/report.json").exists()


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
