"""What inputs, artifacts and outputs may not be, each told in one sentence."""

import base64
from typing import Any

import pytest

from prominence_hpc.adapter.spec.decode import decode_job
from tests.unit.spec.documents import assert_one_problem, job, problems, with_task


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (
            job(artifacts=[{"url": "ftp://h/x"}]),
            (
                "artifacts[0].url: begins with ftp://; give an http(s) URL or the name of an "
                "uploaded file"
            ),
        ),
        (
            job(artifacts=[{"url": "/data/x"}]),
            (
                "artifacts[0].url: must be a URL or the name of an uploaded file, not a path; see "
                "prominence upload"
            ),
        ),
        (job(artifacts=[{"url": "a/../../b"}]), None),
        (
            job(artifacts=[{"url": "https://h/?file=data.tgz"}]),
            'artifacts[0].url: does not end in the name of a file: "https://h/"',
        ),
        (job(artifacts=[{"url": "https://h/a%2F..?x"}]), None),
        (job(artifacts=[{"url": "https://h/a%00"}]), None),
        (
            job(artifacts=[{"url": "https://h/a/x%20y?1"}, {"url": "bob/x y.gz"}]),
            'artifacts[1].url: becomes the file "x y.gz", as artifacts[0].url does already',
        ),
        (
            job(inputs=[{"filename": "x", "content": ""}], artifacts=[{"url": "data/x"}]),
            'artifacts[0].url: becomes the file "x", as inputs[0] does already',
        ),
        (job(artifacts=[{"url": "https:///x"}]), None),
        (job(artifacts=[{"url": "https://[::1/x"}]), None),
        (
            job(artifacts=[{"url": "x", "mountpoint": "a/b:/c"}]),
            (
                "artifacts[0].mountpoint: must be DIR:/ABSOLUTE/PATH, DIR one name without /, "
                'not "a/b:/c"'
            ),
        ),
        (
            job(artifacts=[{"url": "x", "mountpoint": "a:c"}]),
            'artifacts[0].mountpoint: must mount at an absolute path other than /, not "c"',
        ),
        (job(artifacts=[{"url": "x", "mountpoint": "a:/"}]), None),
        (job(artifacts=[{"url": "x", "mountpoint": "a:/b/../.."}]), None),
        (job(artifacts=[{"url": "x", "mountpoint": "a:/b:ro"}]), None),
        (job(artifacts=[{"url": "x", "mountpoint": "..:/b"}]), None),
        (
            job(
                artifacts=[
                    {"url": "x", "mountpoint": "a:/d"},
                    {"url": "y", "mountpoint": "b:/d/"},
                ]
            ),
            'artifacts[1].mountpoint: /d is the mount path of "a" already',
        ),
    ],
)
def test_artifacts_refused(document: dict[str, Any], problem: str | None) -> None:
    assert_one_problem(document, problem)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (
            job(inputs=["file://x"]),
            "inputs[0]: file:// is read by `prominence run` from a local description only",
        ),
        (
            job(inputs=[{"filename": "/etc/x", "content": ""}]),
            'inputs[0].filename: must be a file name, relative and without . or ..: "/etc/x"',
        ),
        (job(inputs=[{"filename": "a/../../b", "content": ""}]), None),
        (job(inputs=[{"filename": "", "content": ""}]), None),
        (
            job(inputs=[{"filename": "a", "content": "aGVsbG8"}]),
            (
                "inputs[0].content: must be base64; encode the file with base64, or give "
                "file://PATH instead"
            ),
        ),
        (job(inputs=[{"filename": "a", "content": "ü"}]), None),
        (job(inputs=[{"filename": "a"}]), "inputs[0].content: is required"),
        (
            job(inputs=[{"filename": "a", "content": ""}, {"filename": "a", "content": ""}]),
            'inputs[1].filename: another input has the name "a" already',
        ),
    ],
)
def test_inputs(document: dict[str, Any], problem: str | None) -> None:
    assert_one_problem(document, problem)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (
            job(outputFiles=["/etc/passwd"]),
            (
                "outputFiles[0]: must be relative to the job's working directory, or below an "
                'artifact\'s mountpoint, not "/etc/passwd"'
            ),
        ),
        (
            job(outputFiles=["/database"], artifacts=[{"url": "x", "mountpoint": "d:/data"}]),
            (
                "outputFiles[0]: must be relative to the job's working directory, or below an "
                'artifact\'s mountpoint, not "/database"'
            ),
        ),
        (job(outputFiles=["a/../../b"]), None),
        (job(outputFiles=["out/"]), 'outputFiles[0]: must name a file, not a directory: "out/"'),
        (job(outputDirs=["."]), None),
        (job(outputDirs=[""]), "outputDirs[0]: must not be empty"),
        (
            job(outputFiles=["x.tgz"], outputDirs=["x/"]),
            (
                'outputDirs[0]: is stored as "x.tgz", as outputFiles[0] is; leave out or rename '
                "one of them"
            ),
        ),
        (
            job(outputDirs=["a/x", "b/x"]),
            (
                'outputDirs[1]: is stored as "x.tgz", as outputDirs[0] is; leave out or rename '
                "one of them"
            ),
        ),
        (job(outputFiles=["a", "./a"]), None),
        (
            with_task(stdout="../x"),
            'tasks[0].stdout: must name something inside the job\'s working directory, not "../x"',
        ),
    ],
)
def test_outputs(document: dict[str, Any], problem: str | None) -> None:
    assert_one_problem(document, problem)


def test_an_input_holds_less_than_a_million_bytes() -> None:
    def with_input(size: int) -> dict[str, Any]:
        content = base64.b64encode(bytes(size)).decode()
        return job(inputs=[{"filename": "a", "content": content}])

    decode_job(with_input(999_999))
    assert problems(with_input(1_000_000)) == [
        (
            "inputs[0].content: holds 1,000,000 bytes, and an input must be under 1,000,000; "
            "upload the file and list it under artifacts instead"
        )
    ]


def test_a_presigned_urls_query_is_in_no_message() -> None:
    (problem,) = problems(job(artifacts=[{"url": "https://h/a b?X-Amz-Signature=s3cret"}]))
    assert "s3cret" not in problem
    assert "https://h/a b" in problem


@pytest.mark.parametrize(
    ("path", "shown", "reason"),
    [
        ("/home/user", "/home/user", "it would hide the job's working directory, /home/user"),
        ("/home/.", "/home", "it would hide the job's working directory, /home/user"),
        ("//home/", "/home", "it would hide the job's working directory, /home/user"),
        ("/tmp/", "/tmp", "it would hide the job's temporary files"),
        ("/proc", "/proc", "/proc is the container's own"),
        ("/sys/fs/cgroup", "/sys/fs/cgroup", "/sys is the container's own"),
        ("/dev/shm", "/dev/shm", "/dev is the container's own"),
    ],
)
def test_mounts_that_would_break_the_job(path: str, shown: str, reason: str) -> None:
    (problem,) = problems(job(artifacts=[{"url": "x", "mountpoint": f"a:{path}"}]))
    assert problem == (
        f'artifacts[0].mountpoint: must not mount at "{shown}": {reason}; choose another path'
    )


def test_a_local_file_as_the_content_is_read_from_local_descriptions_only() -> None:
    assert problems(job(inputs=[{"filename": "a", "content": "file://a"}])) == [
        "inputs[0].content: file:// is read by `prominence run` from a local description only"
    ]


def test_archives_and_the_same_file_twice_are_no_conflict() -> None:
    urls = ["https://h/1/data.tgz", "https://h/2/data.tgz", "x", "x", "x.zip"]
    decoded = decode_job(job(artifacts=[{"url": url} for url in urls]))
    assert [item.url for item in decoded.artifacts] == urls
