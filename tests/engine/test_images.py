"""Every kind of image, on every engine: what runs, how often it is fetched, what is told of it."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.inside import until
from tests.engine.prominence import CommandFailed, Prominence
from tests.engine.shelf import OPEN, PASSWORD, TOKENS, Shelf, hosts_of, pulls, with_cache
from tests.site.handle import Site

# What happens on a node is the same however Slurm was spoken to.
on_each_engine = pytest.mark.parametrize(
    "prominence", ["slurm", "htcondor", "local"], indirect=True
)
RESOURCES = {"cpus": 1, "memory": 1, "disk": 1, "walltime": 5}


@pytest.fixture
def shelf(site: Site) -> Shelf:
    return Shelf.of(site)


@pytest.fixture(autouse=True)
def no_remains(prominence: Prominence) -> Iterator[None]:
    yield
    for host in hosts_of(prominence.backend):
        prominence.site.run(["rm", "-rf", prominence.folder], host=host)


def submit(prominence: Prominence, *tasks: dict[str, Any], **more: Any) -> int:
    prominence.write("job.json", json.dumps({"tasks": tasks, "resources": RESOURCES, **more}))
    return prominence.created(prominence("run", "job.json"))


def run(prominence: Prominence, *tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A job whose tasks all end with 0."""
    described = prominence.ended(submit(prominence, *tasks, **more))
    told = prominence.told(described["id"], described)
    assert described["status"] == "completed", told
    assert {task["exitCode"] for task in described["execution"]["tasks"]} == {0}, told
    return described


def mark(image: str, **more: Any) -> dict[str, Any]:
    """A task that prints which image it is in."""
    return {"image": image, "cmd": "cat /mark", **more}


@pytest.mark.honours(
    "tasks.image uploaded .sif", "tasks.image uploaded .simg", "tasks.image uploaded .tar",
    "tasks.image uploaded .tgz", "tasks.image http(s)", "tasks.image absolute path",
    "tasks.imageSha256", "tasks.runtime singularity", "tasks.cmd absent",
)  # fmt: skip
def test_images_that_are_files(prominence: Prominence, shelf: Shelf) -> None:
    """Uploaded, at an address, on the node; archives are converted; each is checked and kept."""
    site, folder = prominence.site, prominence.folder
    with_cache(prominence)
    sums = {}
    for ending in ("sif", "tar", "tgz"):
        path, name = f"{folder}/x.{ending}", f"{shelf.name}.{ending}"
        make = shelf.build if ending == "sif" else shelf.save
        sums[name] = make(path, ending)
        prominence("upload", "--name", name, "--filename", path)
    simg = f"{shelf.name}.simg"
    sums[simg] = shelf.build(f"{folder}/x.simg", "simg")
    prominence("upload", "--name", simg, "--filename", f"{folder}/x.simg")
    web_sum = shelf.save(f"{folder}/web.tar", "web")
    path_sum = shelf.build(f"{folder}/path.sif", "path")
    site.run(["touch", "-d", "1 hour ago", f"{folder}/web.tar"])  # its version is then certain
    for host in hosts_of(prominence.backend):
        content = site.read_bytes(f"{folder}/path.sif")
        site.write(f"{folder}/path.sif", content, host=host)
    with shelf.web(folder) as url:
        tasks = [
            *(mark(name) for name in sums),
            mark(f"{url}/web.tar"),
            mark(f"{folder}/path.sif"),
            mark(f"{folder}/path.sif", imageSha256=path_sum),
            {"image": f"{shelf.name}.tgz"},
        ]
        first = run(prominence, *tasks)
        again = run(prominence, *tasks)
    for described in (first, again):
        said = prominence.stdout(described["id"])
        assert said == "sif\ntar\ntgz\nsimg\nweb\npath\npath\nentry tgz\n"
    known = [*sums.values(), web_sum]
    expected = [("completed", found) for found in known]
    there = [("cached", None), ("cached", path_sum), ("cached", sums[f"{shelf.name}.tgz"])]
    assert pulls(first) == expected + there
    assert pulls(again) == [("cached", found) for found in known] + there
    assert prominence.read("web.log").count('"GET /web.tar') == 1
    for name in sums:
        prominence("rm", name)


@pytest.mark.honours(
    "tasks.image docker://", "tasks.image registry name", "tasks.image oras://",
    "tasks.imagePullCredential", "tasks.imageSha256", "tasks.cmd absent",
)  # fmt: skip
def test_images_of_registries(prominence: Prominence, shelf: Shelf) -> None:
    """By name and by digest, with and without a login, by password and by token."""
    with_cache(prominence)
    alice, bob = shelf.credential("alice"), shelf.credential("bob")
    secret = {
        "docker": shelf.push(PASSWORD, "docker"),
        "closed": shelf.push(TOKENS, "closed"),
        "open": shelf.push(TOKENS, "open", repository="open"),
        "public": shelf.push(OPEN, "public"),
    }
    sif_sum = shelf.build(f"{prominence.folder}/x.sif", "sif")
    oras = shelf.push_sif(f"{prominence.folder}/x.sif", PASSWORD, "sif")
    docker = f"docker://{shelf.docker(PASSWORD, 'docker')}"
    pinned = f"{shelf.docker(OPEN, 'public').removesuffix(':1')}@{secret['public']}"
    tasks = [
        mark(docker, imagePullCredential=alice),
        mark(docker, imagePullCredential=bob),
        mark(shelf.docker(TOKENS, "closed"), imagePullCredential=alice),
        mark(shelf.docker(TOKENS, "open", "open")),
        mark(shelf.docker(OPEN, "public")),
        mark(pinned, imageSha256=secret["public"].removeprefix("sha256:")),
        mark(oras, imagePullCredential=alice),
        {"image": docker, "imagePullCredential": alice},
    ]
    first = run(prominence, *tasks)
    again = run(prominence, *tasks)
    for described in (first, again):
        said = prominence.stdout(described["id"])
        assert said == "docker\ndocker\nclosed\nopen\npublic\npublic\nsif\nentry docker\n"
    digests = {name: digest.removeprefix("sha256:") for name, digest in secret.items()}
    names = ("docker", "docker", "closed", "open", "public", "public")
    sums = [*(digests[name] for name in names), sif_sum, digests["docker"]]
    assert [found for _, found in pulls(first)] == sums
    # One of two names of the same image fetches it, whichever comes first.
    statuses = [status for status, _ in pulls(first)]
    assert sorted(statuses[:2]) == sorted(statuses[4:6]) == ["cached", "completed"]
    assert statuses[2:4] + statuses[6:] == ["completed", "completed", "completed", "cached"]
    assert pulls(again) == [("cached", found) for found in sums]
    for registry, name in ((PASSWORD, "docker"), (TOKENS, "closed"), (OPEN, "public")):
        assert shelf.requests(registry, name) == 3  # the configuration and two layers, once
    assert shelf.requests(PASSWORD, "sif") == 2
    is_nowhere(prominence, first["id"], [alice["token"], bob["token"]])


def is_nowhere(prominence: Prominence, job_id: int, tokens: list[str]) -> None:
    """In nothing that is printed, logged, or given to the scheduler."""
    texts = [
        prominence("describe", str(job_id)).stdout,
        prominence("describe", "-i", str(job_id)).stdout,
        prominence.stdout(job_id),
        prominence("stderr", str(job_id)).stdout,
    ]
    files = "report.json wrapper.log job.sh submission.json"
    texts.append(prominence.shell(f"cd .prominence/jobs/*/{job_id}; cat {files}; cat *.sub || :"))
    handle = prominence.describe(job_id)["execution"]["backendId"]
    record = {
        "slurm": f"scontrol show job {handle}; scontrol write batch_script {handle} -",
        "htcondor": f"condor_history -l {handle}",
        "local": "true",
    }
    texts.append(prominence.shell(record[prominence.backend]))
    for text in texts:
        for token in tokens:
            assert token not in text
    folders = prominence.shell(
        f"grep -rlF -- {tokens[0]} .prominence | sort; stat -c %a .prominence"
    )
    assert {line.rpartition("/")[2] for line in folders.split()} == {"job.json", "plan.json", "700"}


@pytest.mark.honours("tasks.imagePullCredential", "tasks.imageSha256")
@on_each_engine
def test_images_that_are_refused(prominence: Prominence, shelf: Shelf) -> None:
    """A wrong password, and a checksum that is not the image's: nothing runs, and it is said why."""
    with_cache(prominence)
    shelf.push(PASSWORD, "locked")
    digest = shelf.push(OPEN, "other").removeprefix("sha256:")
    found = shelf.build(f"{prominence.folder}/x.sif", "uploaded")
    uploaded = f"{shelf.name}.sif"
    prominence("upload", "--name", uploaded, "--filename", "x.sif")
    wrong = hashlib.sha256().hexdigest()
    with pytest.raises(CommandFailed, match=f"the uploaded {uploaded} has the SHA-256 {found}"):
        submit(prominence, mark(uploaded, imageSha256=wrong))
    prominence("rm", uploaded)
    locked, other = shelf.docker(PASSWORD, "locked"), shelf.docker(OPEN, "other")
    with shelf.web(prominence.folder) as address:
        url = f"{address}/x.sif"
        login = {"username": "alice", "token": "wr0ng"}
        details = {
            submit(prominence, mark(locked, imagePullCredential=login)):
                f"Image {locked}: the registry {PASSWORD} refused the login of alice.",
            submit(prominence, mark(other, imageSha256=wrong)):
                f"Image {other}: its SHA-256 in the registry is {digest} and should be {wrong}.",
            submit(prominence, mark(url, imageSha256=wrong)):
                f"Image {url}: its SHA-256 is {found} and should be {wrong}.",
        }  # fmt: skip
        ended = {job_id: prominence.ended(job_id) for job_id in details}
    for job_id, described in ended.items():
        assert described["status"] == "failed"
        assert described["statusReason"] == "Container image pull failed"
        assert described["execution"]["detail"] == details[job_id]
        assert [status for status, _ in pulls(described)] == ["failed"]
        assert prominence("stdout", str(job_id), check=False).stdout == ""


@pytest.mark.honours("tasks.image registry name")
@on_each_engine
def test_jobs_at_once_fetch_an_image_once(prominence: Prominence, shelf: Shelf) -> None:
    """Four jobs; on Slurm on two nodes, which have one folder in common."""
    hosts = hosts_of(prominence.backend)
    digest = shelf.push(OPEN, "once").removeprefix("sha256:")
    jobs = []
    for number in range(4):
        where = [f'directives = ["--nodelist={hosts[number % len(hosts)]}"]']
        with_cache(prominence, *(where if prominence.backend == "slurm" else []))
        jobs.append(submit(prominence, mark(shelf.docker(OPEN, "once"))))
    described = [prominence.ended(job_id) for job_id in jobs]
    assert [prominence.stdout(job_id) for job_id in jobs] == ["once\n"] * 4
    found = sorted(pulls(one)[0] for one in described)
    nodes = {one["execution"]["host"] for one in described}
    assert nodes == set(hosts) or prominence.backend != "slurm"
    caches = 1 if prominence.backend != "htcondor" else len(nodes)
    assert found == [("cached", digest)] * (4 - caches) + [("completed", digest)] * caches
    assert shelf.requests(OPEN, "once") == 3 * caches


@pytest.mark.honours(
    "tasks.runtime udocker", "tasks.imagePullCredential", "tasks.image registry name",
    "tasks.image uploaded .tar", "tasks.cmd absent", "tasks.env", "tasks.workdir",
)  # fmt: skip
def test_images_for_udocker(prominence: Prominence, shelf: Shelf) -> None:
    with_cache(prominence, 'runtimes = ["udocker"]')
    shelf.push(PASSWORD, "private")
    shelf.save(f"{prominence.folder}/x.tar", "saved")
    archive, data = f"{shelf.name}.tar", f"{shelf.name}-data.tar"
    prominence("upload", "--name", archive, "--filename", "x.tar")
    prominence.shell("mkdir data && echo inside > data/file && tar cf data.tar data")
    prominence("upload", "--name", data, "--filename", "data.tar")
    alice = shelf.credential()
    private: dict[str, Any] = {
        "image": shelf.docker(PASSWORD, "private"),
        "imagePullCredential": alice,
    }
    odd = " spaces \"and' lines\n$HOME "
    script = 'echo "$ODD$PROMINENCE_CONTAINER_RUNTIME"; pwd; echo $HOME $TMPDIR; echo out > /tmp/x'
    tasks: list[dict[str, Any]] = [
        {**private, "cmd": "cat /mark /mnt/data/file"},
        {"image": archive, "cmd": f"sh -c '{script}'", "env": {"ODD": odd, "PATH": "/bin:/x"}, "workdir": "w"},
        {"image": archive, "cmd": "sh -c 'cp /tmp/x result; echo $PATH $FROM_IMAGE; cat /mark'"},
        {"image": archive},
        private,
    ]  # fmt: skip
    tasks = [{**task, "runtime": "udocker"} for task in tasks]
    more = {
        "artifacts": [{"url": data, "mountpoint": "data:/mnt/data"}],
        "outputFiles": ["result"],
    }
    first, again = (run(prominence, *tasks, **more) for _ in range(2))
    said = prominence.stdout(again["id"])
    assert said == (
        f"private\ninside\n{odd}udocker\n/home/user/w\n/home/user /tmp\n"
        "/bin yes\nsaved\nentry saved\nentry private\n"
    )
    assert [status for status, _ in pulls(first)] == ["completed"] * 2 + ["cached"] * 3
    assert [status for status, _ in pulls(again)] == ["cached"] * 5
    assert first["execution"]["runtimeVersion"].startswith("udocker version 1.")
    assert shelf.requests(PASSWORD, "private") == 3
    prominence("download", str(first["id"]))
    assert prominence.read("result") == "out\n"
    is_nowhere(prominence, first["id"], [alice["token"]])
    for name in (archive, data):
        prominence("rm", name)


@on_each_engine
def test_a_command_in_a_task_of_udocker(prominence: Prominence, shelf: Shelf) -> None:
    """In the task's own container: with what the task has written into it."""
    with_cache(prominence)
    shelf.save(f"{prominence.folder}/x.tar", "inside")
    archive = f"{shelf.name}.tar"
    prominence("upload", "--name", archive, "--filename", "x.tar")
    task = "sh -c 'echo made > /made; echo file > file; while [ ! -e stop ]; do sleep 0.2; done'"
    job_id = prominence.create("--runtime", "udocker", "--env", "MINE=yes", archive, task)
    until(lambda: prominence.describe(job_id)["status"] == "running")
    command = ["sh", "-c", "cat /mark /made file && echo $MINE $PWD; exit 7"]

    def is_there() -> bool:
        done = prominence("exec", str(job_id), *command, check=False)
        assert done.returncode in (1, 7, 8), done.stderr
        return done.stdout == "inside\nmade\nfile\nyes /home/user\n" and done.returncode == 7

    until(is_there)
    prominence("exec", str(job_id), "touch", "stop")
    described = prominence.ended(job_id)
    assert described["status"] == "completed"
    assert described["execution"]["tasks"][0]["exitCode"] == 0
    prominence("rm", archive)


@pytest.mark.refuses("tasks.runtime udocker")
@on_each_engine
def test_a_site_without_udocker(prominence: Prominence, shelf: Shelf) -> None:
    """Told at submission where the site says so, else by the node; where nobody asked, it is not used."""
    path = f"{prominence.folder}/x.tar"
    shelf.save(path, "saved")
    with_cache(prominence, 'runtimes = ["singularity"]')
    refused = prominence("create", "--runtime", "udocker", path, "true", check=False)
    assert refused.returncode != 0
    assert "the nodes of this site have no udocker, but singularity" in refused.stderr
    with_cache(prominence, 'prologue = ["PATH=/usr/bin:/bin"]')
    asked = prominence.create("--runtime", "udocker", "busybox", "true")
    with shelf.web(prominence.folder) as url:
        dry = json.loads(prominence("create", "--dry-run", f"{url}/x.tar", "true").stdout)
        assert dry["tasks"][0]["runtime"] == "udocker"
        done = prominence("create", f"{url}/x.tar", "cat /mark")
        assert "the image is run by singularity" in done.stderr
        described = prominence.ended(prominence.created(done))
    assert described["tasks"][0]["runtime"] == "singularity"
    assert prominence.stdout(described["id"]) == "saved\n"
    described = prominence.ended(asked)
    assert described["statusReason"] == "Container runtime not found"
    assert described["execution"]["detail"] == "udocker is not on PATH of this node."
