"""Any document decodes or is refused by SpecError, and what is accepted is what was written."""

import copy
import json
import shlex
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import given
from hypothesis import strategies as st

from prominence_hpc.adapter.spec.decode import (
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
from prominence_hpc.adapter.spec.description import CreateOptions, describe_job
from prominence_hpc.adapter.spec.expand import expand
from prominence_hpc.adapter.spec.honoured import refuse_unsupported
from prominence_hpc.adapter.spec.job import Job
from prominence_hpc.errors import ProminenceError, SpecError, UsageError

T = TypeVar("T")

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
        | st.fixed_dictionaries({"url": inner}, optional={"mountpoint": inner})
        | st.fixed_dictionaries({"filename": inner, "content": inner})
        | st.fixed_dictionaries({"tasks": inner, "resources": inner})
    ),
    max_leaves=10,
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
            {"memory": st.just(1) | scalars},
            optional={key: scalars for key in RESOURCES if key != "memory"},
        ),
    },
    optional={key: documents for key in (*JOB, "jobs") if key not in ("tasks", "resources")},
)

# Whatever a system call takes: no NUL, nothing that UTF-8 cannot spell.
hostile = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def outcome(action: Callable[[], T]) -> T | ProminenceError:
    """What ``action`` answers, or an error made to be read; any other error is a bug."""
    try:
        return action()
    except (SpecError, UsageError) as error:
        return error


def assert_readable(error: object) -> None:
    assert isinstance(error, SpecError)
    assert error.problems
    assert all("\n" not in str(problem) for problem in error.problems)


@given(documents | near_jobs)
def test_a_document_decodes_or_is_refused(document: Any) -> None:
    before = copy.deepcopy(document)
    job = outcome(lambda: decode_job(document))
    assert repr(document) == repr(before)
    if not isinstance(job, Job):
        assert_readable(job)
        return
    # It is plain JSON, and means the same when it is read again.
    again = json.loads(json.dumps(job.document, allow_nan=False))
    assert decode_job(again) == job
    if error := outcome(lambda: refuse_unsupported(job, backend="slurm")):
        assert_readable(error)


@given(near_jobs)
def test_expansion_never_breaks_a_document(document: dict[str, Any]) -> None:
    before = copy.deepcopy(document)
    expanded = expand(document, None)
    assert repr(document) == repr(before)
    job = outcome(lambda: decode_job(expanded))
    if not isinstance(job, Job):
        assert_readable(job)


names = st.from_regex(r"\A[A-Z_]+\Z").filter(lambda name: name not in ("HOME", "UID", "GID"))
values = hostile.filter(lambda value: not {"\x80", "\x81"} & set(value))


@given(st.lists(hostile, min_size=1), st.dictionaries(names, values))
def test_arguments_and_environment_arrive_as_they_were_given(
    arguments: list[str], environment: dict[str, str]
) -> None:
    command = shlex.join(["run", *arguments])
    (task,) = decode_job(
        {
            "tasks": [{"image": "x", "cmd": command, "env": environment}],
            "resources": {"memory": 1},
        }
    ).tasks
    assert task.cmd is not None
    assert shlex.split(task.cmd) == ["run", *arguments]
    assert task.env == environment


@given(hostile, hostile, st.lists(st.tuples(names, hostile)))
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
    described = outcome(lambda: describe_job(options))
    if isinstance(described, UsageError):
        assert str(described).startswith("--")
    else:
        assert isinstance(described, dict)
        outcome(lambda: decode_job(described))
