"""The image cache of a node with a real Apptainer: what is kept, what is not run, what is left behind."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers.report import Report
from tests.engine.by_hand import ByHand
from tests.engine.shelf import OPEN, PASSWORD, Shelf
from tests.site.handle import Site

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
HERE = f"/home/alice/image-cache-tests-{WORKER}"
# What has this word in its command line, in the whole time that a job takes; and which programs
# ran meanwhile, for otherwise the watch saw nothing at all.
WATCH = """
import os, sys
sys.stdout.write("ready\\n"); sys.stdout.flush()
word, seen, programs = sys.argv[1].encode(), set(), set()
me = str(os.getpid())
while not os.path.exists(sys.argv[2]):
    for pid in os.listdir("/proc"):
        if pid.isdigit() and pid != me:
            try:
                line = open("/proc/%s/cmdline" % pid, "rb").read()
            except OSError:
                continue
            programs.update(w for w in (b"pull", b"login", b"run") if w in line.split(b"\\0"))
            if word in line and b"image-watch" not in line:
                seen.add(line)
print(sorted(programs), sorted(seen))
"""


@pytest.fixture
def hand(site: Site) -> Iterator[ByHand]:
    site.run(["rm", "-rf", HERE])
    by_hand = ByHand(
        site,
        "login",
        HERE,
        {"image_cache": f"{HERE}/cache", "image_cache_bytes": 10**9},
    )
    by_hand.prepare()
    yield by_hand
    site.run(["rm", "-rf", HERE])


@pytest.fixture
def shelf(site: Site) -> Shelf:
    return Shelf.of(site)


def of_registry(name: str, **fields: Any) -> plans.Image:
    source = name if "://" in name else f"docker://{name}"
    return plans.Image(name=name, kind="registry", source=source, **fields)


def run(hand: ByHand, image: plans.Image, **fields: Any) -> Report:
    """A job that prints which image it runs in."""
    task = plans.Task(image=0, command=("cat", "/mark"), runtime=image.runtime)
    before = fields.pop("before", "")
    return hand.run(hand.plan(task, images=(image,), **fields), before=before)


def status(report: Report) -> str:
    assert report["outcome"] == "completed", report["detail"]
    return report["tasks"][0]["image_pull_status"]


def entries(hand: ByHand) -> list[str]:
    listed = hand.site.run(["sh", "-c", f"cd {HERE}/cache && ls -A"]).stdout.split()
    return [name for name in listed if name.endswith(".sif")]


def test_a_damaged_image_is_not_run(hand: ByHand, shelf: Shelf) -> None:
    """Neither one of which bytes were changed, nor one that was put in its place."""
    shelf.push(OPEN, "right")
    shelf.build(f"{HERE}/wrong.sif", "wrong")
    image = of_registry(shelf.docker(OPEN, "right"))
    assert status(run(hand, image)) == "completed"
    assert status(run(hand, image)) == "cached"
    (entry,) = entries(hand)
    for damage in (f"cp {HERE}/wrong.sif X", "printf x | dd of=X bs=1 seek=50000 conv=notrunc"):
        line = f"cd {HERE}/cache && chmod u+w {entry} && {damage.replace('X', entry)}"
        hand.site.run(["sh", "-c", line])
        assert status(run(hand, image)) == "completed"
        assert hand.read("stdout") == "right\n"
        assert "is damaged" in hand.read("wrapper.log")
    assert status(run(hand, image)) == "cached"


def test_the_least_recently_used_images_leave(hand: ByHand, shelf: Shelf) -> None:
    images = []
    for mark in ("first", "second", "third"):
        shelf.push(OPEN, mark)
        images.append(of_registry(shelf.docker(OPEN, mark)))
    for image in (images[0], images[1], images[0]):
        run(hand, image)
    size = int(hand.site.run(["sh", "-c", f"cat {HERE}/cache/*.sif | wc -c"]).stdout)
    run(hand, images[2], image_cache_bytes=size)  # there is room for two
    assert len(entries(hand)) == 2
    assert status(run(hand, images[0])) == "cached"
    assert status(run(hand, images[2])) == "cached"
    assert status(run(hand, images[1])) == "completed"


@pytest.mark.parametrize("runtime", ["singularity", "udocker"])
def test_logins_are_nobodys_to_see(hand: ByHand, shelf: Shelf, runtime: Any) -> None:
    """In no command line while the image is pulled, in no file of the home afterwards."""
    shelf.push(PASSWORD, "secret")
    token = shelf.password()
    image = of_registry(
        shelf.docker(PASSWORD, "secret"), username="alice", token=token, runtime=runtime
    )
    watch = hand.site.popen(
        ["python3", "-c", "# image-watch\n" + WATCH, token, f"{HERE}/stop"], host="login"
    )
    assert watch.stdout is not None
    assert watch.stdout.readline() == b"ready\n"
    try:
        # A home of its own, to see what is left in it.
        report = run(hand, image, before=f"mkdir {HERE}/home; export HOME={HERE}/home")
    finally:
        hand.site.run(["touch", f"{HERE}/stop"])
    said, errors = watch.communicate(timeout=30)
    assert status(report) == "completed"
    programs, _, seen = said.decode().partition("] ")
    assert "pull" in programs, errors
    assert seen == "[]\n"
    found = hand.site.run(
        ["sh", "-c", f"cd {HERE} && grep -rlF -- {token} . ; ls -A home"], check=False
    )
    assert found.stdout == "./plan.json\n"


@pytest.mark.parametrize("scheme", ["library", "shub"])
def test_libraries_that_do_not_answer(hand: ByHand, scheme: str) -> None:
    """All that can be shown without them: they are asked, and the job says what came of it."""
    name = f"{scheme}://nobody/nothing/image:1"
    report = run(hand, of_registry(name))
    assert (report["outcome"], report["reason"]) == ("failed", "Container image pull failed")
    assert report["detail"].startswith(f"Image {name}: pull ended with exit code 255: FATAL: ")
    assert {"library": "library client", "shub": "singularity hub"}[scheme] in report["detail"]


def test_an_image_that_is_not_there(hand: ByHand, shelf: Shelf) -> None:
    for name in (shelf.docker(OPEN, "never"), f"oras://{shelf.docker(OPEN, 'never')}"):
        report = run(hand, of_registry(name))
        assert report["reason"] == "Container image pull failed"
        assert report["detail"] == f"Image {name}: there is no such image in the registry {OPEN}."


def test_an_image_that_wants_a_login(hand: ByHand, shelf: Shelf) -> None:
    shelf.push(PASSWORD, "locked")
    report = run(hand, of_registry(shelf.docker(PASSWORD, "locked")))
    assert report["reason"] == "Container image pull failed"
    assert report["detail"].endswith("; a private registry needs imagePullCredential.")


def test_a_login_that_apptainer_has(hand: ByHand, shelf: Shelf) -> None:
    """The user's own settings are read where there are some; the registry tells us no digest then."""
    shelf.push(PASSWORD, "own")
    login = f"apptainer -q registry login -u alice --password-stdin docker://{PASSWORD}"
    home = f"mkdir -p {HERE}/home; export HOME={HERE}/home"
    before = f"{home}; {login} < /home/alice/.registry-password"
    image = of_registry(shelf.docker(PASSWORD, "own"))
    assert [status(run(hand, image, before=before)) for _ in range(2)] == ["completed"] * 2
    assert f"not cached: the registry {PASSWORD} wants a login" in hand.read("wrapper.log")


def test_an_archive_on_the_node_is_converted_once(hand: ByHand, shelf: Shelf) -> None:
    path = f"{HERE}/x.tar"
    shelf.save(path, "one")
    image = plans.Image(name=path, kind="directory-or-file", source=path)
    assert [status(run(hand, image)) for _ in range(2)] == ["completed", "cached"]
    shelf.save(path, "other")
    assert status(run(hand, image)) == "completed"
    assert hand.read("stdout") == "other\n"


def test_what_udocker_cannot_run(hand: ByHand, shelf: Shelf) -> None:
    shelf.build(f"{HERE}/x.sif", "sif")
    image = plans.Image(
        name="x", kind="directory-or-file", source=f"{HERE}/x.sif", runtime="udocker"
    )
    report = run(hand, image)
    assert report["detail"] == (
        "Image x: udocker runs Docker archives and registry images, and this is neither."
    )
