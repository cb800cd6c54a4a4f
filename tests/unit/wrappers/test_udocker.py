"""How udocker is called, and what its archives look like; nothing of it is run here."""

import doctest
import io
import json
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers.runtime import docker_archive, udocker
from prominence_hpc.wrappers.runtime.errors import Corrupt, JobFailed
from prominence_hpc.wrappers.runtime.scratch import MOUNT
from tests.unit.wrappers.conftest import MakePlan

if TYPE_CHECKING:
    from prominence_hpc.wrappers.runtime.scratch import Folders

FOLDERS = cast(
    "Folders", SimpleNamespace(path=b"/s", work=b"/s/work", tmp=b"/s/tmp", build=b"/s/b")
)
MOUNTED = b"/s/" + b"/".join(MOUNT)
HOST = {b"PATH": b"/usr/bin", b"UDOCKER_DIR": b"/home/me/.udocker"}


def called(
    make_plan: MakePlan, variables: dict[str, str], command: list[bytes] | None, **fields: Any
) -> tuple[list[bytes], dict[bytes, bytes]]:
    plan = make_plan(tasks=(plans.Task(image=0, workdir="w"),), **fields).document
    where = (plan, 0, b"/s/images/udocker-0", FOLDERS)
    return udocker.command_line(b"/bin/udocker", HOST, where, variables, command)


def test_names_of_images() -> None:
    assert doctest.testmod(udocker).failed == 0


def test_the_whole_command_line(make_plan: MakePlan) -> None:
    mount = plans.Mount(directory="d", path="/data")
    words, env = called(
        make_plan,
        {"TOKEN": " secret\n", "LDAP_PASSWORD": "x", "PATH": "/opt/bin", "PYTHONPATH": "/p"},
        [b"-x", b"a b"],
        artifacts=(plans.Artifact(name="d", filename="d", source="s", mount=mount),),
        storage=plans.Storage(url="u", username="n", password="p", mountpoint="/mnt/cloud"),
        binds=("/cvmfs", "/a:/b:ro"),
    )
    assert words == [
        *(b"/bin/udocker", b"--quiet", b"run", b"--nobanner"),
        *(b"--volume=/s/work:/home/user", b"--volume=/s/tmp:/tmp", b"--volume=/s/tmp:/var/tmp"),
        *(b"--volume=/s/work/d:/data", b"--volume=" + MOUNTED + b":/mnt/cloud"),
        *(b"--volume=/cvmfs:/cvmfs", b"--volume=/a:/b"),
        *(b"--workdir=/home/user/w", b"--env=HOME=/home/user"),
        *(b"--env=LDAP_PASSWORD", b"--env=PATH=/opt/bin", b"--env=PYTHONPATH=/p", b"--env=TOKEN"),
        *(b"--entrypoint=", b"task", b"-x", b"a b"),
    ]
    assert env[b"TOKEN"] == b" secret\n"
    assert env[b"PATH"] == b"/usr/bin"
    assert b"PYTHONPATH" not in env


def test_its_files_are_the_jobs_own(make_plan: MakePlan) -> None:
    _, env = called(make_plan, {}, None)
    assert env[b"UDOCKER_DIR"] == b"/s/images/udocker-0"
    assert env[b"UDOCKER_KEYSTORE"] == b"/s/images/udocker-0/keystore"
    assert env[b"UDOCKER_TMP"] == env[b"PROOT_TMP_DIR"] == b"/s/b"


def test_its_tools_are_the_users_where_there_are_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udocker, "SITE_SETTINGS", str(tmp_path / "absent"))
    host = {b"HOME": bytes(tmp_path)}
    assert b"UDOCKER_LIB" not in udocker.own_environment(host, b"/f", b"/b")
    (tmp_path / ".udocker/lib").mkdir(parents=True)
    (tmp_path / ".udocker/lib/VERSION").write_text("1.2.11")
    env = udocker.own_environment(host, b"/f", b"/b")
    assert env[b"UDOCKER_LIB"] == bytes(tmp_path / ".udocker/lib")
    assert env[b"UDOCKER_BIN"] == bytes(tmp_path / ".udocker/bin")
    own = udocker.own_environment({**host, b"UDOCKER_LIB": b"/site"}, b"/f", b"/b")
    assert own[b"UDOCKER_LIB"] == b"/site"


def test_no_command_is_the_images_own(make_plan: MakePlan) -> None:
    words, _ = called(make_plan, {}, None)
    assert words[-1] == b"task"
    assert b"--entrypoint=" not in words


@pytest.mark.parametrize("name", ["A B", "A=B", "1A", ""])
def test_names_that_are_none(make_plan: MakePlan, name: str) -> None:
    with pytest.raises(JobFailed):
        called(make_plan, {name: "x"}, None)


def archive(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    with tarfile.open(path, "w") as written:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            written.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            written.addfile(member)
    return bytes(path)


def test_an_archive_in_udockers_layout(tmp_path: Path) -> None:
    """From one as containers/image (podman, skopeo) writes it: layers as files, links beside."""
    layers = ["./first.tar", "l/layer.tar", "./first.tar"]
    manifest = json.dumps([{"Config": "c.json", "RepoTags": None, "Layers": layers}]).encode()
    files = {"./first.tar": b"one", "second.tar": b"other", "c.json": b"{}"}
    source = archive(
        tmp_path / "a.tar", {**files, "manifest.json": manifest}, {"l/layer.tar": "../second.tar"}
    )
    docker_archive.rewrite(source, bytes(tmp_path / "b.tar"))
    with tarfile.open(tmp_path / "b.tar") as written:

        def read(name: str) -> bytes:
            content = written.extractfile(name)
            assert content is not None
            return content.read()

        (image,) = json.loads(read("manifest.json"))
        assert image["RepoTags"] == ["image:latest"]
        assert read(image["Config"]) == b"{}"
        assert [read(name) for name in image["Layers"]] == [b"one", b"other", b"one"]
        folders = [name.removesuffix("/layer.tar") for name in image["Layers"]]
        assert len(set(folders)) == 3
        about = [json.loads(read(f"{folder}/json")) for folder in folders]
        assert [entry.get("parent") for entry in about] == [None, *folders[:2]]
        assert {read(f"{folder}/VERSION") for folder in folders} == {b"1.0"}
        assert json.loads(read("repositories")) == {"image": {"latest": folders[2]}}


@pytest.mark.parametrize(
    "files",
    [
        {"file": b"x"},
        {"manifest.json": b"not JSON"},
        {"manifest.json": b"[]"},
        {"manifest.json": b'[{"Config": "c", "Layers": []}]'},
        {"manifest.json": b'[{"Config": "c", "Layers": ["gone"]}]', "c": b"{}"},
    ],
)
def test_what_is_no_docker_archive(files: dict[str, bytes], tmp_path: Path) -> None:
    source = archive(tmp_path / "a.tar", files)
    with pytest.raises(Corrupt, match="Docker archive"):
        docker_archive.rewrite(source, bytes(tmp_path / "b.tar"))
