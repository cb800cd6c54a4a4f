"""The site keeps its promises: what tests of PROMINENCE then may take for granted."""

import os
import subprocess

import pytest

from tests.site import paths
from tests.site.handle import CommandFailed, CommandTimedOut, Site

pytestmark = pytest.mark.engine

# An image from busybox alone, as `apptainer build` makes it without any registry.
BUILD_IMAGE = """
mkdir -p root/bin root/tmp root/proc root/sys root/dev root/etc root/home
cp /bin/busybox root/bin/
for applet in sh cat hostname id ls; do ln -sf busybox root/bin/$applet; done
apptainer -q build -F busybox.sif root
"""

CONDOR_JOB = """
executable = job.sh
transfer_input_files = busybox.sif
should_transfer_files = YES
when_to_transfer_output = ON_EXIT
output = job.out
error = job.err
log = job.log
request_memory = 100M
request_disk = 10M
queue
"""


@pytest.fixture(scope="session")
def image(site: Site) -> str:
    site.run(["mkdir", "-p", "site-test"])
    site.run(["sh", "-c", BUILD_IMAGE], cwd="/home/alice/site-test")
    return "/home/alice/site-test/busybox.sif"


def test_exit_code_and_streams_pass_through(site: Site) -> None:
    done = site.run(["sh", "-c", "echo out; echo err >&2; exit 7"], check=False)

    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_failure_shows_what_the_command_said(site: Site) -> None:
    with pytest.raises(CommandFailed, match=r"exit code 2\n--- stdout\n\n--- stderr\nls: "):
        site.run(["ls", "/nowhere"])


def test_command_that_takes_too_long_is_killed_there(site: Site) -> None:
    with pytest.raises(CommandTimedOut, match="so far"):
        site.run(["sh", "-c", "echo so far; exec sleep 4321"], timeout=1)

    assert site.run(["pgrep", "-f", "[s]leep 4321"], check=False).returncode == 1


def test_launcher_passes_binary_input_and_output(site: Site) -> None:
    content = os.urandom(10_000_000)

    done = subprocess.run(
        [
            str(paths.HERE / "site"),
            "exec",
            "--user",
            "bob",
            "--",
            "sh",
            "-c",
            "cat; id -un >&2; exit 9",
        ],
        input=content,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 9
    assert done.stderr == b"bob\n"
    assert done.stdout == content
    assert site.run(["id", "-un"]).stdout == "alice\n"


def test_files_keep_their_bytes_and_modes(site: Site) -> None:
    content = bytes(range(256))

    site.write("site-test/deep er/file", content, mode=0o640, user="bob")

    assert site.read_bytes("site-test/deep er/file", user="bob") == content
    assert site.run(["stat", "-c", "%a %U", "site-test/deep er/file"], user="bob").stdout == (
        "640 bob\n"
    )


def test_slurm_nodes_share_homes_and_run_images(site: Site, image: str) -> None:
    inside = ["apptainer", "-q", "exec", "--containall", image, "hostname"]

    done = site.run(["srun", "-N2", *inside])

    assert sorted(done.stdout.split()) == ["node1", "node2"]


def test_instances_work_without_privileges(site: Site, image: str) -> None:
    script = f"""
    apptainer -q instance start {image} one &&
    apptainer -q exec instance://one id -u &&
    apptainer -q instance stop one
    """

    done = site.run(["srun", "sh", "-c", script])

    assert "20001" in done.stdout.split()


def test_slurm_accounting_keeps_comments(site: Site) -> None:
    submit = ["sbatch", "--wait", "--parsable", "--comment=tag 1", "--wrap=exit 3", "-o/dev/null"]

    job = site.run(submit, check=False).stdout.strip()
    listing = ["sacct", "-nPX", "-j", job, "-o", "state,exitcode,comment,account"]

    assert site.run(listing).stdout == "FAILED|3:0|tag 1|site\n"


@pytest.mark.usefixtures("image")
def test_condor_transfers_files_and_ssh_to_job_keeps_exit_codes(site: Site) -> None:
    where = "/home/alice/site-test"
    site.write(f"{where}/job.sub", CONDOR_JOB)
    site.write(
        f"{where}/job.sh",
        "#!/bin/sh\napptainer -q exec --containall busybox.sif hostname; ls ~; exec sleep 30\n",
        mode=0o755,
    )
    job = site.run(["condor_submit", "-terse", "job.sub"], cwd=where).stdout.split()[0]

    # The first connection waits for the job to start, and for its starter to be known.
    reach = ["condor_ssh_to_job", "-auto-retry", job, "hostname; ls; exit 4"]
    inside = site.run(reach, check=False, timeout=60)
    site.run(["condor_rm", job], timeout=30)

    assert inside.returncode == 4, inside.stderr
    assert inside.stdout.split()[0] in ("exec1", "exec2")
    assert "busybox.sif" in inside.stdout.split()


def test_condor_bindings_submit_and_find_in_history(site: Site) -> None:
    script = """
import time, htcondor2
schedd = htcondor2.Schedd()
description = {"executable": "/bin/false", "transfer_executable": "false",
               "request_memory": "64M", "request_disk": "1M", "+SiteTest": '"mine"'}
cluster = schedd.submit(htcondor2.Submit(description)).cluster()
for _ in range(300):
    found = list(schedd.history(f"ClusterId == {cluster}", ["ExitCode", "SiteTest"], match=1))
    if found:
        break
    time.sleep(0.1)
print(found[0]["ExitCode"], found[0]["SiteTest"])
"""

    done = site.run(["/opt/prominence/bin/python", "-c", script], timeout=60)

    assert done.stdout == "1 mine\n"


# What one user meets in the bucket: the error's code, or "ok".
S3_TRY = """
import sys, boto3, botocore.exceptions
endpoint = {"endpoint_url": "https://s3:7443", "region_name": "us-east-1"}
s3 = boto3.client("s3", **endpoint, verify="/etc/ssl/certs/ca-certificates.crt")
for line in sys.stdin:
    verb, what = line.split()
    key = {"Prefix": what} if verb == "list_objects_v2" else {"Key": what}
    try:
        getattr(s3, verb)(Bucket="prominence", **key)
        print("ok")
    except botocore.exceptions.ClientError as error:
        print(error.response["Error"]["Code"])
"""


def s3(site: Site, user: str, *tries: str) -> list[str]:
    argv = ["/opt/prominence/bin/python", "-c", S3_TRY]
    return site.run(argv, user=user, input="\n".join(tries)).stdout.split()


def test_users_uploads_are_theirs_alone(site: Site) -> None:
    denied = "AccessDenied"

    assert s3(site, "bob", "put_object uploads/bob/x", "put_object scratch/uid/x") == ["ok", "ok"]
    assert (
        s3(
            site,
            "alice",
            "get_object uploads/bob/x",
            "put_object uploads/bob/x",
            "list_objects_v2 uploads/bob/",
            "list_objects_v2 uploads/",
            "list_objects_v2 scratch/",
        )
        == [denied] * 5
    )
    assert (
        s3(
            site,
            "alice",
            "get_object scratch/uid/x",
            "list_objects_v2 scratch/uid/",
            "list_objects_v2 uploads/alice/",
        )
        == ["ok"] * 3
    )


def test_missing_key_is_not_found(site: Site) -> None:
    assert s3(site, "alice", "head_object uploads/alice/none", "get_object scratch/u/none") == [
        "404",
        "NoSuchKey",
    ]


@pytest.mark.parametrize("host", ["node1", "exec1"])
def test_compute_nodes_fetch_presigned_urls_over_verified_tls(site: Site, host: str) -> None:
    s3(site, "alice", "put_object uploads/alice/empty")
    script = """
import boto3, botocore.config
config = botocore.config.Config(signature_version="s3v4")
s3 = boto3.client("s3", endpoint_url="https://s3:7443", region_name="us-east-1", config=config)
key = {"Bucket": "prominence", "Key": "uploads/alice/empty"}
print(s3.generate_presigned_url("get_object", Params=key))
"""
    url = site.run(["/opt/prominence/bin/python", "-c", script]).stdout.strip()

    done = site.run(["curl", "-sS", "-w", "%{http_code}", url], host=host)

    assert done.stdout == "200"


@pytest.mark.parametrize("host", ["node1", "exec1"])
def test_ssh_knows_every_host(site: Site, host: str) -> None:
    done = site.run(["ssh", "-o", "BatchMode=yes", host, "hostname"])

    assert (done.stdout, done.stderr) == (f"{host}\n", "")
