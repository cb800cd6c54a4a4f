"""The wrapper with a real Apptainer, object storage and network, started by hand on a host."""

import hashlib
import json
import os
import string
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from prominence_hpc.wrappers import plan as plans
from tests.engine.by_hand import ByHand, output
from tests.site.handle import Site

# Several test processes run side by side, each in folders and under keys of its own.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
SHARED = f"/home/alice/wrapper-tests-{WORKER}"
# Names that the runtime's start script keeps for itself are left out (see the wrapper's container.py).
NAMES = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=20).map(
    lambda name: "V_" + name
)
# What Linux can hold in a variable: anything but a zero byte; lone surrogates are no text, and two
# control characters are refused.
VALUES = st.text(
    st.characters(blacklist_characters="\0\x80\x81", blacklist_categories=["Cs"]), max_size=40
) | st.text(" \t\n'\"\\$`(){}[]*?!%&;|<>=,:~#", max_size=20)


@pytest.fixture(scope="module", params=["login", "exec1"])
def hand(site: Site, request: pytest.FixtureRequest) -> Iterator[ByHand]:
    """A login node, and a node that shares nothing with it."""
    by_hand = ByHand(site, request.param, f"{SHARED}/{request.param}")
    site.run(["rm", "-rf", by_hand.folder], host=request.param)
    by_hand.prepare()
    yield by_hand
    site.run(["rm", "-rf", by_hand.folder], host=request.param)


@pytest.fixture(scope="module")
def login(site: Site) -> Iterator[ByHand]:
    by_hand = ByHand(site, "login", f"{SHARED}/alone")
    site.run(["rm", "-rf", by_hand.folder])
    by_hand.prepare()
    yield by_hand
    site.run(["rm", "-rf", by_hand.folder])


def task(*words: str, **fields: object) -> plans.Task:
    return plans.Task(image=0, command=words, **fields)  # type: ignore[arg-type]


def shell(text: str, **fields: object) -> plans.Task:
    return task("sh", "-c", text, **fields)


def test_a_job_of_two_tasks(hand: ByHand) -> None:
    report = hand.run(
        hand.plan(
            shell("echo one; pwd; echo kept > file; echo $HOME $TMPDIR"),
            shell("cat file; ls /home; touch /tmp/t /var/tmp/v"),
            outputs=(output("file"),),
        )
    )
    assert report["outcome"] == "completed", report["detail"]
    assert [entry["exit_code"] for entry in report["tasks"]] == [0, 0]
    assert hand.read("stdout") == "one\n/home/user\n/home/user /tmp\nkept\nuser\n"
    assert hand.read("stderr") == ""
    assert hand.read("results/file") == "kept\n"
    assert report["runtime_version"].startswith("apptainer version ")
    assert report["tasks"][0]["max_resident_set_size_kb"] > 0
    assert hand.left_over() == []


def test_environment_of_section_3(hand: ByHand) -> None:
    own = {"BOTH": "task", "PATH": "/opt/bin:/bin"}
    report = hand.run(
        hand.plan(
            task("cat", "/proc/self/environ", stdout="environ", environment=own),
            parameters={"x": "1.5"},
            workflow_id=3,
            environment={"SITE": "s", "BOTH": "site"},
            outputs=(output("environ"),),
        ),
        before="export LEAKED=1 APPTAINERENV_LEAKED=2 CUDA_VISIBLE_DEVICES=3",
    )
    assert report["outcome"] == "completed", report["detail"]
    found = hand.environment("results/environ")
    expected = {
        "PROMINENCE_CPUS": "1",
        "PROMINENCE_MEMORY": "1.5",
        "PROMINENCE_NODES": "1",
        "PROMINENCE_NODE_NUM": "0",
        "PROMINENCE_TASK_NUM": "0",
        "PROMINENCE_CONTAINER_RUNTIME": "singularity",
        "PROMINENCE_JOB_ID": "7",
        "PROMINENCE_WORKFLOW_ID": "3",
        "PROMINENCE_PARAMETER_x": "1.5",
        "HOME": "/home/user",
        "TMP": "/tmp",
        "TEMP": "/tmp",
        "TMPDIR": "/tmp",
        "SITE": "s",
        "BOTH": "task",
        "PATH": "/opt/bin:/bin",
        "CUDA_VISIBLE_DEVICES": "3",
    }
    assert expected.items() <= found.items()
    assert "LEAKED" not in found


@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    environment=st.dictionaries(NAMES, VALUES, max_size=30),
    words=st.lists(VALUES.filter(bool), max_size=10),
)
def test_values_and_words_arrive_unchanged(
    login: ByHand, environment: dict[str, str], words: list[str]
) -> None:
    command = ("sh", "-c", 'cat /proc/self/environ > e; printf "%s\\0" "$@" > w', "-", *words)
    plan = login.plan(task(*command, environment=environment), outputs=(output("e"), output("w")))
    report = login.run(plan)
    assert report["outcome"] == "completed", report["detail"]
    assert environment.items() <= login.environment("results/e").items()
    raw = login.site.read_bytes(f"{login.folder}/results/w").decode()
    assert raw.split("\0")[:-1] == (words or [""])


def test_no_command_runs_the_images_own(hand: ByHand) -> None:
    report = hand.run(hand.plan(plans.Task(image=0)))
    assert report["tasks"][0]["exit_code"] == 0
    assert hand.read("stdout") == "run script\n"


def test_exit_codes_are_kept(login: ByHand) -> None:
    report = login.run(
        login.plan(
            shell("exit 3"),
            shell("kill -9 $$"),
            task("no-such-command"),
            ignore_task_failures=True,
        )
    )
    assert report["outcome"] == "completed"
    assert [entry["exit_code"] for entry in report["tasks"]] == [3, 137, 255]


def test_walltime_ends_the_job_and_outputs_are_kept(hand: ByHand) -> None:
    report = hand.run(
        hand.plan(
            shell("echo before > file; sleep 1000 & sleep 1000"),
            walltime_seconds=2,
            outputs=(output("file"), output("never")),
        )
    )
    assert (report["outcome"], report["reason"]) == ("killed", "Walltime limit exceeded")
    assert hand.read("results/file") == "before\n"
    assert hand.left_over() == []
    processes = hand.site.run(["ps", "-eo", "args"], host=hand.host).stdout
    assert "sleep 1000" not in processes


def test_docker_archive_is_converted_once_and_cached(login: ByHand) -> None:
    login.site.run(["bash", "-ec", MAKE_ARCHIVE], cwd=login.folder)
    sha256 = login.site.run(["sha256sum", "image.tgz"], cwd=login.folder).stdout.split()[0]
    image = plans.Image(
        name="image.tgz", kind="docker-archive", source=f"{login.folder}/image.tgz", sha256=sha256
    )
    plan = login.plan(
        shell("echo from the archive"),
        shell("true"),
        images=(image,),
        image_cache=f"{login.folder}/cache/images",
        image_cache_bytes=1 << 30,
    )
    first, again = login.run(plan), login.run(plan)
    assert first["outcome"] == "completed", first["detail"]
    statuses = [entry["image_pull_status"] for entry in first["tasks"] + again["tasks"]]
    assert statuses == ["completed", "cached", "cached", "cached"]
    assert first["tasks"][0]["image_pull_time"] > 0
    assert again["tasks"][0]["image_pull_time"] == -1
    assert first["tasks"][0]["image_sha256"] == sha256
    assert login.read("stdout") == "from the archive\n"


def test_image_that_is_none(login: ByHand) -> None:
    login.site.write(f"{login.folder}/broken.tar", b"\x1f\x8bnot really")
    image = plans.Image(
        name="broken.tar", kind="docker-archive", source=f"{login.folder}/broken.tar"
    )
    report = login.run(login.plan(shell("true"), images=(image,)))
    assert (report["outcome"], report["reason"]) == ("failed", "Container image pull failed")
    assert "broken.tar" in report["detail"]
    assert report["tasks"][0]["image_pull_status"] == "failed"


# A layout of `docker save` by hand: one layer, a configuration, a manifest.
MAKE_ARCHIVE = """
rm -rf saved && mkdir -p saved && tar -C root -cf saved/layer.tar .
layer=$(sha256sum saved/layer.tar | cut -d' ' -f1)
cat > saved/config.json <<END
{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin"]},
 "rootfs":{"type":"layers","diff_ids":["sha256:$layer"]},"history":[{"created_by":"hand"}]}
END
echo '[{"Config":"config.json","RepoTags":["hand:1"],"Layers":["layer.tar"]}]' > saved/manifest.json
tar -C saved -czf image.tgz manifest.json config.json layer.tar
"""

PRESIGN = """
import json, sys
import boto3
from botocore.config import Config
client = boto3.client("s3", endpoint_url="https://s3:7443", region_name="us-east-1",
                      verify="/etc/ssl/certs/ca-certificates.crt",
                      config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))
bucket, prefix = "prominence", sys.argv[1]
where = lambda name: {"Bucket": bucket, "Key": prefix + name}
client.upload_file(sys.argv[2], bucket, prefix + "in.tar.gz")
print(json.dumps({
    "get": client.generate_presigned_url("get_object", where("in.tar.gz")),
    "absent": client.generate_presigned_url("get_object", where("absent")),
    "put": client.generate_presigned_url("put_object", where("big.tgz")),
    "expired": client.generate_presigned_url("put_object", where("expired"), ExpiresIn=1),
    "post": client.generate_presigned_post(bucket, prefix + "${filename}",
        Fields={"key": prefix}, Conditions=[["starts-with", "$key", prefix]]),
}))
"""

CHECK = """
import hashlib, json, sys
import boto3
client = boto3.client("s3", endpoint_url="https://s3:7443", region_name="us-east-1",
                      verify="/etc/ssl/certs/ca-certificates.crt")
found = {}
for item in client.list_objects_v2(Bucket="prominence", Prefix=sys.argv[1]).get("Contents", []):
    body = client.get_object(Bucket="prominence", Key=item["Key"])["Body"].read()
    found[item["Key"][len(sys.argv[1]):]] = [len(body), hashlib.sha256(body).hexdigest()]
    client.delete_object(Bucket="prominence", Key=item["Key"])
print(json.dumps(found))
"""
PYTHON = "/opt/prominence/bin/python"


def test_object_storage_in_and_out(login: ByHand) -> None:
    prefix = f"scratch/wrapper-tests-{hashlib.sha256(login.folder.encode()).hexdigest()[:8]}/"
    login.site.run(
        ["bash", "-ec", "mkdir -p d && seq 100000 > d/n && tar czf in.tar.gz d"], cwd=login.folder
    )
    said = login.site.run([PYTHON, "-c", PRESIGN, prefix, "in.tar.gz"], cwd=login.folder).stdout
    urls = json.loads(said)
    post = plans.Destination(
        method="post", url=urls["post"]["url"], fields={**urls["post"]["fields"], "key": prefix}
    )
    report = login.run(
        login.plan(
            shell(
                "wc -l < /data/n; mkdir -p r out; head -c 40000000 /dev/urandom > r/x;"
                "echo a > out/a.txt; echo b > 'out/b ü.txt'"
            ),
            artifacts=(
                plans.Artifact(
                    name="in.tar.gz",
                    filename="in.tar.gz",
                    source=urls["get"],
                    mount=plans.Mount(directory="d", path="/data"),
                ),
            ),
            outputs=(
                output(
                    "r",
                    kind="directory",
                    object_name="big.tgz",
                    destination=plans.Destination(method="put", url=urls["put"]),
                ),
                output("out/*.txt", kind="pattern", object_name="", destination=post),
            ),
        )
    )
    stored = json.loads(login.site.run([PYTHON, "-c", CHECK, prefix]).stdout)
    assert report["outcome"] == "completed", report["detail"]
    assert login.read("stdout") == "100000\n"
    objects = {
        entry["name"]: [entry["size_bytes"], entry["sha256"]]
        for item in report["outputs"]
        for entry in item["objects"]
    }
    assert set(objects) == {"big.tgz", "out/a.txt", "out/b ü.txt"}
    assert objects.items() <= stored.items()


def test_artifact_that_is_absent(login: ByHand) -> None:
    prefix = f"scratch/wrapper-tests-{WORKER}/"
    said = login.site.run([PYTHON, "-c", PRESIGN, prefix, "/dev/null"]).stdout
    login.site.run([PYTHON, "-c", CHECK, f"{prefix}in.tar.gz"])
    source = json.loads(said)["absent"]
    artifact = plans.Artifact(name="absent.tar", filename="absent.tar", source=source)
    report = login.run(login.plan(shell("true"), artifacts=(artifact,)))
    assert (report["outcome"], report["reason"]) == ("failed", "Artifact download failed")
    assert "absent.tar: the server answered 404" in report["detail"]
    text = login.read("report.json") + login.read("wrapper.log") + login.read("stderr")
    assert "X-Amz-Signature" not in text
