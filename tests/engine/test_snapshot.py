"""``prominence snapshot``: files of a running job, by object storage and over the connection alone."""

import json
from collections.abc import Iterator

import pytest

from tests.engine.inside import WAYS, RunningJob, running_job
from tests.site.handle import Site

ROUTES = ("storage", "direct")
# Names that a shell, a tar or a careless program would trip over; the last one is no UTF-8.
MAKE_ODD = r"""
mkdir -p 'odd dir/deep' && cd 'odd dir'
echo 1 > '-rf'; echo 2 > 'two
lines'; echo 3 > "quo'te\"s"; echo 4 > '$(touch x) `y` *'; echo 5 > "$(printf 'caf\351')"
echo 6 > deep/file; ln -s deep/file link; ln deep/file hard; mkdir empty
busybox mkfifo pipe; echo secret > closed; busybox chmod 000 closed
"""
KEY_EXISTS = """
import os, sys
from prominence_hpc.adapter.workspace import open_workspace
from prominence_hpc.adapter.remote.snapshot import snapshot_key
workspace = open_workspace(os.environ)
key = snapshot_key(workspace.store.get(int(sys.argv[1])).uid)
print(key in workspace.storage.head_many([key]))
if sys.argv[2:] == ["remove"]:
    workspace.storage.delete(key)
"""


@pytest.fixture(scope="module", params=WAYS)
def job(site: Site, image: str, request: pytest.FixtureRequest) -> Iterator[RunningJob]:
    with running_job(site, image, request.param) as found:
        found.exec("--", "sh", "-c", MAKE_ODD)
        yield found


@pytest.fixture(params=ROUTES)
def route(request: pytest.FixtureRequest) -> list[str]:
    return ["--direct"] if request.param == "direct" else []


@pytest.fixture(autouse=True)
def clean(job: RunningJob) -> None:
    job.prominence.shell("rm -rf snapshot.tgz got; mkdir got")


def stored(job: RunningJob, *words: str) -> str:
    """Whether the snapshot's object is in storage."""
    prominence = job.prominence
    environment = {"PROMINENCE_HOME": f"{prominence.folder}/.prominence", **prominence.environment}
    done = prominence.site.run(
        ["/opt/prominence/bin/python", "-c", KEY_EXISTS, str(job.id), *words],
        env={**environment, "PROMINENCE_SITE": prominence.backend},
        cwd=prominence.folder,
    )
    return done.stdout.strip()


def test_a_file_becomes_snapshot_tgz_here(job: RunningJob, route: list[str]) -> None:
    done = job.prominence("snapshot", *route, str(job.id), "below/file")
    assert (done.stdout, done.stderr) == ("snapshot.tgz\n", "")
    assert job.prominence.shell("tar xzf snapshot.tgz -C got; cat got/below/file") == "shared\n"
    assert stored(job) == "False"


def test_a_folder_of_odd_names(job: RunningJob, route: list[str]) -> None:
    """Every file with its name, links as links; what cannot be packed is said, and left as it is."""
    done = job.prominence("snapshot", *route, "-o", "odd.tgz", str(job.id), "below/odd dir")
    assert done.stdout == "odd.tgz\n"
    assert "below/odd dir/pipe is a pipe" in done.stderr
    assert "below/odd dir/closed is left out: Permission denied" in done.stderr
    script = (
        "tar xzf odd.tgz -C got; cd 'got/below/odd dir';"
        r"""cat ./-rf 'two
lines' "quo'te\"s" '$(touch x) `y` *' "$(printf 'caf\351')" link hard;"""
        "test -L link; test -d empty; test ! -e closed; test ! -e pipe; test hard -ef deep/file"
    )
    assert job.prominence.shell(script) == "1\n2\n3\n4\n5\n6\n6\n"
    assert job.exec("busybox", "stat", "-c", "%a", "odd dir/closed") == "0\n"


def test_paths(job: RunningJob, route: list[str]) -> None:
    """Relative, absolute, below a mountpoint, with a leading dash, a pattern."""
    cases = {
        "/home/user/below/file": "below/file",
        "/mnt/data/inner": "mnt/data/inner",
        "data/inn*": "data/inner",
        "be*/odd dir/-rf": "below/odd dir/-rf",
        "/mnt/data/../data": "mnt/data/inner",
    }
    for path, name in cases.items():
        job.prominence("snapshot", *route, str(job.id), "--", path)
        listed = job.prominence.shell("tar tzf snapshot.tgz").splitlines()
        assert name in listed, path
    job.exec("--", "sh", "-c", "echo dash > ../-o")
    job.prominence("snapshot", *route, str(job.id), "--", "-o")
    assert job.prominence.shell("tar xzOf snapshot.tgz") == "dash\n"


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("no-such", 4, "has no no-such now"),
        ("no*such", 4, "Nothing in job"),
        ("/etc/passwd", 2, "outside of the job"),
        ("../../../etc/passwd", 2, "outside of the job"),
        ("below/leads-out", 2, "outside of the job"),
    ],
)
def test_what_cannot_be_taken(
    job: RunningJob, route: list[str], path: str, code: int, message: str
) -> None:
    job.exec("--", "sh", "-c", "ln -sf /etc/passwd leads-out")
    done = job.prominence("snapshot", *route, str(job.id), path, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert job.prominence.shell("ls; ls -A got").find("snapshot.tgz") == -1
    assert stored(job) == "False"


def test_a_file_that_grows(job: RunningJob, route: list[str]) -> None:
    """What is in the archive is the file as it was at some moment, whole lines but for the last."""
    writer = job.prominence.site.popen(
        ["prominence", "exec", str(job.id), "sh", "-c", GROW],
        cwd=job.prominence.folder,
        env={
            "PROMINENCE_HOME": f"{job.prominence.folder}/.prominence",
            "PROMINENCE_SITE": job.prominence.backend,
            **job.prominence.environment,
        },
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"begun\n"
        done = job.prominence("snapshot", *route, str(job.id), "below/growing")
        assert "below/growing changed while it was read" in done.stderr
        numbers = (
            "tar xzOf snapshot.tgz | head -n -1 | awk '$2 != NR {exit 1} END {print (NR > 100)}'"
        )
        assert job.prominence.shell(numbers) == "1\n"
        job.prominence.shell("gzip -t snapshot.tgz")
    finally:
        job.exec("--", "sh", "-c", "touch stop")
        writer.communicate(timeout=60)
        job.exec("--", "sh", "-c", "rm -f stop growing")


GROW = """
i=0; rm -f stop
busybox yes | busybox awk '{print "line", NR; if (NR % 1000 == 0) fflush()}' > growing &
busybox sleep 1; echo begun
while [ ! -e stop ]; do busybox sleep 0.2; done
"""


def test_a_large_one_in_many_parts(job: RunningJob, route: list[str]) -> None:
    """More than any one part, and incompressible."""
    job.exec(
        "--", "sh", "-c", "head -c 70000000 /dev/urandom > large; busybox sha256sum < large > sum"
    )
    job.prominence("snapshot", *route, str(job.id), "below/large")
    mine = job.prominence.shell("tar xzOf snapshot.tgz | sha256sum")
    assert mine == job.exec("cat", "sum")
    assert stored(job) == "False"
    job.exec("rm", "large")


def test_keep_leaves_it_in_storage(job: RunningJob) -> None:
    done = job.prominence("snapshot", "--keep", "--json", str(job.id), "below/file")
    shown = json.loads(done.stdout)
    assert shown["file"] == "snapshot.tgz"
    assert shown["warnings"] == []
    assert stored(job, "remove") == "True"
    assert stored(job) == "False"


def test_it_is_private(job: RunningJob) -> None:
    """Neither who has no keys nor another user finds it; the job's UID is what would lead there."""
    job.prominence("snapshot", "--keep", str(job.id), "below/file")
    try:
        environment = {"PROMINENCE_HOME": f"{job.prominence.folder}/.prominence"}
        key = job.prominence.site.run(
            ["/opt/prominence/bin/python", "-c", KEY, str(job.id)], env=environment
        ).stdout.strip()
        code = f"curl -s -o /dev/null -w '%{{http_code}}' https://s3:7443/prominence/{key}"
        assert job.prominence.shell(code) == "403"
        listing = [
            "/opt/prominence/bin/python", "-c", LIST_SNAPSHOTS,
        ]  # fmt: skip
        done = job.prominence.site.run(listing, user="bob", check=False)
        assert "may not do that" in done.stdout, done.stdout
    finally:
        stored(job, "remove")


KEY = """
import os, sys
from prominence_hpc.adapter.workspace import open_workspace
from prominence_hpc.adapter.remote.snapshot import snapshot_key
print(snapshot_key(open_workspace(os.environ).store.get(int(sys.argv[1])).uid))
"""
LIST_SNAPSHOTS = """
import os
from prominence_hpc.adapter.workspace import open_workspace
from prominence_hpc.errors import StorageError
try:
    print(list(open_workspace(os.environ).storage.list_objects("snapshots/")))
except StorageError as error:
    print(error)
"""


def test_disk_full_here(job: RunningJob, route: list[str]) -> None:
    """A sentence, no half file, nothing in storage."""
    site, folder = job.prominence.site, f"{job.prominence.folder}/small"
    job.exec("--", "sh", "-c", "head -c 5000000 /dev/urandom > five-mb")
    mount = 'mkdir -p "$1"; mount -t tmpfs -o size=1m,mode=777 none "$1"'
    site.run(["sh", "-ec", mount, "sh", folder], user="root")
    try:
        done = job.prominence(
            "snapshot", *route, "-o", "small/s.tgz", str(job.id), "below/five-mb", check=False
        )
        assert (done.returncode, done.stdout) == (5, "")
        assert "small/s.tgz" in done.stderr
        assert job.prominence.shell("ls -A small") == ""
    finally:
        site.run(["umount", folder], user="root")
    assert stored(job) == "False"
    assert job.prominence.describe(job.id)["status"] == "running"


def test_targets_that_cannot_be(job: RunningJob) -> None:
    for target, code, words in (("got", 8, "is a directory"), ("no/such/f.tgz", 4, "no folder")):
        done = job.prominence("snapshot", "-o", target, str(job.id), "below/file", check=False)
        assert done.returncode == code
        assert words in done.stderr


def test_a_killed_snapshot_leaves_nothing_on_the_node(job: RunningJob) -> None:
    job.exec("--", "sh", "-c", "head -c 300000000 /dev/zero > zeros")
    environment = (
        f"PROMINENCE_HOME=$PWD/.prominence PROMINENCE_SITE={job.prominence.backend} "
        f"PROMINENCE_CONFIG={job.prominence.environment['PROMINENCE_CONFIG']} "
    )
    for route in ("", "--direct"):
        line = f"{environment} timeout -s KILL 2.5 prominence snapshot {route} {job.id} below/zeros"
        job.prominence.shell(f"{line} || true; rm -f snapshot.tgz*")
    job.exec("rm", "zeros")
    job.prominence("snapshot", str(job.id), "below/file")  # no lock is left either
