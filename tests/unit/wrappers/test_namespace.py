"""Paths of the containers found again on the node, and none that leads elsewhere."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prominence_hpc.wrappers.runtime.errors import UnsafeName
from prominence_hpc.wrappers.runtime.namespace import Namespace


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    (folder / "data/deep").mkdir(parents=True)
    (folder / "data/file").write_text("x")
    (tmp_path / "secret").write_text("s")
    return folder


def resolve(work: Path, name: str) -> str:
    found = Namespace(bytes(work), [(b"data", b"/mnt/data")]).resolve(os.fsencode(name))
    return os.path.relpath(os.fsdecode(found), work)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("data/file", "data/file"),
        ("./data//deep/../file", "data/file"),
        ("/home/user/data/file", "data/file"),
        ("/mnt/data/file", "data/file"),
        ("/mnt/data", "data"),
        ("not/there", "not/there"),
        ("", "."),
        (".", "."),
        ("../user/data", "data"),
    ],
)
def test_inside(name: str, path: str, work: Path) -> None:
    assert resolve(work, name) == path


@pytest.mark.parametrize(
    "name", ["..", "../secret", "/etc/passwd", "/", "data/../../x", "/mnt/database", "/mnt"]
)
def test_outside(name: str, work: Path) -> None:
    with pytest.raises(UnsafeName, match="outside of the working directory"):
        resolve(work, name)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("file", "data/file"),
        ("/home/user/data/file", "data/file"),
        ("/mnt/data/deep", "data/deep"),
        ("../data/./file", "data/file"),
    ],
)
def test_links_mean_what_they_mean_in_the_container(target: str, path: str, work: Path) -> None:
    (work / "data/link").symlink_to(target)
    assert resolve(work, "data/link") == path
    assert resolve(work, "/mnt/data/link") == path


@pytest.mark.parametrize("target", ["/etc", "../../secret", "/home/other", "../..", "/tmp/x"])
def test_links_that_lead_out(target: str, work: Path) -> None:
    (work / "data/link").symlink_to(target)
    for name in ("data/link", "data/link/below"):
        with pytest.raises(UnsafeName):
            resolve(work, name)


def test_links_in_a_circle(work: Path) -> None:
    (work / "a").symlink_to("b")
    (work / "b").symlink_to("a")
    with pytest.raises(UnsafeName, match="too many links"):
        resolve(work, "a")


@given(steps=st.lists(st.sampled_from(["..", ".", "", "data", "deep", "up", "x"]), max_size=8))
def test_whatever_is_found_lies_inside(
    steps: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    work = tmp_path_factory.mktemp("n") / "work"
    (work / "data/deep").mkdir(parents=True)
    (work / "data/up").symlink_to("../..")
    (work / "up").symlink_to("data/deep/../..")
    try:
        found = resolve(work, "/".join(steps))
    except UnsafeName:
        return
    assert not found.startswith("..")
    assert (work / found).resolve().is_relative_to(work)
