"""Any document decodes or is refused by SpecError, and what is accepted is what was written."""

import copy
import json
import shlex
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from prominence_hpc.adapter.description import CreateOptions, describe_job
from prominence_hpc.adapter.expand import expand
from prominence_hpc.adapter.honoured import refuse_unsupported
from prominence_hpc.adapter.job import Job
from prominence_hpc.adapter.spec import (
    ARTIFACT,
    INPUT_FILE,
    JOB,
    NOTIFICATION,
    PLACEMENT,
    POLICIES,
    RESOURCES,
    STORAGE,
    TASK,
    decode_job,
)
from prominence_hpc.errors import SpecError, UsageError

KEYS = sorted(
    {
        key
        for table in (
            *(JOB, TASK, RESOURCES, POLICIES, PLACEMENT),
            *(INPUT_FILE, ARTIFACT, NOTIFICATION, STORAGE),
        )
        for key in table
    }
    | {"sites", "regions", "username", "token", "cpu", "A", "jobs"}
)
TELLING = [
    *("centos:7", "basic", "sidecar", "openmpi", "singularity", "udocker", "b2drop", "email"),
    *("a/b", "../x", "/x", "d:/x", "d:/x/..", "/x/y", "//x", ".", "", "/", "x.tgz", "a//b", "'"),
    *("http://h/x", "https://[", "http://h:99999/", "docker://x", "file://x", "://", "aGk="),
    *("\0", "\ud800", "\n", "#!", "1", "true"),
]
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, 2, 10**400, -1, 1e308, 2.0])
    | st.floats()
    | st.sampled_from(TELLING)
    | st.text()
)
keys = st.sampled_from(KEYS) | st.text(max_size=3)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(keys, inner, max_size=6)
        | st.fixed_dictionaries({"image": inner}, optional={key: inner for key in TASK})
        | st.fixed_dictionaries({}, optional={key: inner for key in RESOURCES})
        | st.fixed_dictionaries({}, optional={key: inner for key in POLICIES})
        | st.fixed_dictionaries({"tasks": inner, "resources": inner})
    ),
    max_leaves=25,
)
near_jobs = st.fixed_dictionaries(
    {
        "tasks": st.lists(
            st.fixed_dictionaries(
                {"image": st.just("centos:7") | scalars},
                optional={key: documents for key in TASK if key != "image"},
            ),
            max_size=3,
        ),
        "resources": st.fixed_dictionaries(
            {"memory": st.just(1) | scalars}, optional={key: scalars for key in RESOURCES}
        ),
    },
    optional={key: documents for key in (*JOB, "jobs") if key not in ("tasks", "resources")},
)

# Whatever a system call takes: no NUL, nothing that UTF-8 cannot spell.
hostile = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def decode_or_refuse(document: object) -> Job | None:
    try:
        return decode_job(document)
    except SpecError as error:
        assert error.problems
        assert all("\n" not in str(problem) for problem in error.problems)
        return None


@given(documents | near_jobs)
def test_a_document_decodes_or_is_refused(document: Any) -> None:
    before = copy.deepcopy(document)
    job = decode_or_refuse(document)
    assert repr(document) == repr(before)
    if job is not None:
        # It is plain JSON, and means the same when it is read again.
        again = json.loads(json.dumps(job.document, allow_nan=False))
        assert decode_job(again) == job


@given(near_jobs)
def test_expansion_never_breaks_a_document(document: dict[str, Any]) -> None:
    before = copy.deepcopy(document)
    expanded = expand(document, None)
    decode_or_refuse(expanded)
    assert repr(document) == repr(before)


@given(near_jobs)
def test_a_decoded_job_is_honoured_or_refused(document: dict[str, Any]) -> None:
    job = decode_or_refuse(document)
    if job is None:
        return
    try:
        refuse_unsupported(job, backend="slurm")
    except SpecError as error:
        assert error.problems


@given(st.lists(hostile, min_size=1), st.dictionaries(st.from_regex("[A-Z_]+"), hostile))
def test_arguments_and_environment_arrive_as_they_were_given(
    arguments: list[str], environment: dict[str, str]
) -> None:
    names = {name.strip(): value for name, value in environment.items()}
    command = shlex.join(["run", *arguments])
    (task,) = decode_job(
        {
            "tasks": [{"image": "x", "cmd": command, "env": names}],
            "resources": {"memory": 1},
        }
    ).tasks
    assert task.cmd is not None
    assert shlex.split(task.cmd) == ["run", *arguments]
    assert task.env == names


@given(hostile, hostile, st.lists(st.tuples(st.from_regex(r"\A[A-Z]+\Z"), hostile)))
def test_options_arrive_as_they_were_typed(
    image: str, command: str, environment: list[tuple[str, str]]
) -> None:
    options = CreateOptions(
        image=image,
        command=command,
        env=[f"{name}={value}" for name, value in environment],
    )
    (task,) = describe_job(options)["tasks"]
    assert task["image"] == image
    assert task.get("cmd", "") == command
    assert task.get("env", {}) == dict(environment)


@given(st.text(), st.text(), st.text())
def test_options_are_described_or_refused(artifact: str, pair: str, numbers: str) -> None:
    options = CreateOptions(
        image="x", artifacts=[artifact], env=[pair], labels=[pair], cpus_range=numbers
    )
    try:
        described = describe_job(options)
    except UsageError as error:
        assert str(error).startswith("--")
    else:
        decode_or_refuse(described)
