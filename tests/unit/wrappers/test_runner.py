"""Whole jobs by the packed runner: phases, outcomes, what is left, under old and new Pythons."""

import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers.report import REPORT_VERSION, Report
from tests.unit.wrappers.archives import link, member, tar, zipped
from tests.unit.wrappers.pythons import PYTHONS
from tests.unit.wrappers.runs import Runs, artifact, ended, output, shell
from tests.unit.wrappers.servers import Handler, serving


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


@pytest.mark.parametrize("python", PYTHONS)
def test_a_job_from_beginning_to_end(python: str, tmp_path: Path) -> None:
    data = tar([member("data/in ü.txt", b"from the archive")])
    # The plainest locale there is: names must not depend on it.
    runs = Runs(tmp_path, python, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"})
    with serving(lambda request: serve(request, data)) as server:
        put = plans.Destination(method="put", url=server.url + "/put?sign=1")
        post = plans.Destination(method="post", url=server.url, fields={"key": "p/"})
        report = runs.run(
            shell("cat 'data/in ü.txt' given; pwd > out.txt; mkdir d; seq 9 > 'd/é'; ./given"),
            shell("echo second >> out.txt; cat out.txt"),
            inputs=(
                plans.InputFile(filename="given", content="IyEvYmluL3NoCg==", executable=True),
            ),
            artifacts=(artifact("data.tgz", source=server.url + "/data.tgz?sign=1"),),
            outputs=(
                output("out.txt"),
                output("d", kind="directory", object_name="d.tgz", destination=put),
                output("d/*", kind="pattern", object_name="", destination=post),
            ),
        )
    assert ended(report) == ("completed", ""), report["detail"] + runs.stderr
    assert runs.code == 0
    lines = runs.stdout.splitlines()
    assert lines[0] == "from the archive#!/bin/sh"
    assert lines[2] == "second"
    assert runs.result("out.txt").endswith(b"work\nsecond\n")
    assert [entry["exit_code"] for entry in report["tasks"]] == [0, 0]
    names = [[item["name"] for item in entry["objects"]] for entry in report["outputs"]]
    assert names == [["out.txt"], ["d.tgz"], ["d/é"]]
    assert report["version"] == REPORT_VERSION
    assert report["phase"] == "finished"
    assert report["host"] == socket.gethostname()
    assert report["provisioned"] == {"cpus": 2, "memory": 1, "disk": 10, "nodes": 1}
    assert runs.left_over() == []
    assert "sign=1" not in runs.log() + runs.stderr + (tmp_path / "job/report.json").read_text()
    assert runs.stderr == ""


def serve(request: Handler, data: bytes) -> None:
    request.reply(
        200 if request.command != "POST" else 204, data if request.command == "GET" else b""
    )


def test_a_failing_task_ends_the_rest(runs: Runs) -> None:
    report = runs.run(shell("exit 3"), shell("echo never"))
    assert ended(report) == ("completed", "")
    assert [entry["exit_code"] for entry in report["tasks"]] == [3]
    assert (runs.code, runs.stdout) == (0, "")


def test_failures_may_be_ignored(runs: Runs) -> None:
    report = runs.run(shell("exit 3"), shell("kill -11 $$"), ignore_task_failures=True)
    assert [entry["exit_code"] for entry in report["tasks"]] == [3, 139]


def test_a_failing_task_is_run_again(runs: Runs) -> None:
    again = shell("echo x >> tries; test $(wc -l < tries) = 3")
    report = runs.run(again, task_retries=5)
    assert [(entry["exit_code"], entry["retries"]) for entry in report["tasks"]] == [(0, 2)]
    report = runs.run(shell("exit 9"), task_retries=2)
    assert [(entry["exit_code"], entry["retries"]) for entry in report["tasks"]] == [(9, 2)]


def test_what_a_task_used_is_its_own(runs: Runs) -> None:
    hungry = "import time; x = bytearray(80_000_000)\nwhile time.process_time() < 0.3: pass"
    first = plans.Task(image=0, command=("python3", "-ISc", hungry))
    report = runs.run(first, shell("sleep 0.3"))
    heavy, light = report["tasks"]
    assert heavy["cpu_time"] >= 0.3
    assert heavy["max_resident_set_size_kb"] > 80_000
    assert light["cpu_time"] < 0.2
    assert light["wall_time"] >= 0.3
    assert light["max_resident_set_size_kb"] < 50_000
    assert report["max_memory_usage_kb"] == heavy["max_resident_set_size_kb"]


def test_missing_outputs_fail_the_job_and_the_others_are_stored(runs: Runs) -> None:
    absent = (output("a"), output("*.no", kind="pattern"), output("kept", kind="directory"))
    report = runs.run(shell("echo kept > kept"), outputs=(*absent, output("kept")))
    assert ended(report) == ("failed", "Stageout failed due to no such file or directory")
    assert report["detail"] == "Output a: no such file or directory (and 2 more)."
    errors = [entry["error"] for entry in report["outputs"]]
    assert errors[1:] == ["no file matches", "it is not a directory", None]
    assert runs.result("kept") == b"kept\n"
    assert runs.code == 10


def test_a_pattern_takes_the_files_that_there_are(runs: Runs) -> None:
    """A folder need not have one, and need not be a folder."""
    made = shell("mkdir a b c; echo 1 > a/out; echo 2 > c/out; echo 3 > d")
    wanted = output("*/out", kind="pattern", object_name="")
    report = runs.run(made, outputs=(wanted,))
    assert report["outcome"] == "completed", report["detail"]
    assert [item["name"] for item in report["outputs"][0]["objects"]] == ["a/out", "c/out"]
    assert runs.result("c/out") == b"2\n"


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../etc/passwd", ".."])
def test_outputs_do_not_lead_out(target: str, runs: Runs) -> None:
    linked = shell(f"ln -s {target} l; mkdir d; ln -s {target} d/l")
    report = runs.run(linked, outputs=(output("l"), output("d/*", kind="pattern", object_name="")))
    assert ended(report) == ("failed", "Stageout failed due to no such file or directory")
    assert report["outputs"][0]["error"] == "it is outside of the working directory"
    assert report["outputs"][1]["objects"] == []


def test_output_that_cannot_be_stored(runs: Runs) -> None:
    said = b"<Error><Code>NoSuchBucket</Code></Error>"
    with serving(lambda request: request.reply(404, said)) as server:
        put = plans.Destination(method="put", url=server.url + "/?sign=1")
        report = runs.run(shell("echo x > f"), outputs=(output("f", destination=put),))
    assert ended(report) == ("failed", "Unable to stageout output to object storage")
    assert report["detail"] == "Output f: the server answered 404 Not Found (NoSuchBucket)."


def test_standard_output_goes_where_it_should(runs: Runs) -> None:
    mounted = artifact("d.tar", mount=plans.Mount(directory="d", path="/data"))
    (runs.folder / "job/d.tar").write_bytes(tar([member("d/x", b"")]))
    report = runs.run(
        shell("echo one", stdout="logs/one"),
        shell("echo two", stdout="/data/two"),
        shell("echo three"),
        artifacts=(mounted,),
        outputs=(output("logs/one"), output("/data/two", object_name="two")),
    )
    assert ended(report) == ("completed", ""), report["detail"]
    assert (runs.result("logs/one"), runs.result("two")) == (b"one\n", b"two\n")
    assert runs.stdout == "three\n"
    report = runs.run(shell("echo x", stdout="/etc/x"))
    assert report["reason"] == "Task could not be started"
    assert "/etc/x: it is outside" in report["detail"]


def test_the_working_folder_of_a_task_is_made(runs: Runs) -> None:
    runs.run(shell("pwd", workdir="run-$PROMINENCE_JOB_ID/x"))
    assert runs.stdout.endswith("/work/run-7/x\n")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.tar", tar([member("ok", b""), link("up", "../../x")]), "member up is refused"),
        ("a.tgz", tar([member("/abs", b"")]), "member /abs is refused"),
        ("a.zip", zipped([("../x", b"", 0o100644)]), "member ../x is refused"),
        ("a.gz", b"not gzip", "not valid gzip data"),
        ("a.bz2", b"not bzip2", "not valid bzip2 data"),
        ("a.tar.xz", b"not tar", "not a tar archive"),
    ],
)
def test_archives_that_cannot_be_unpacked(
    name: str, content: bytes, words: str, runs: Runs
) -> None:
    (runs.folder / "job" / name).write_bytes(content)
    report = runs.run(shell("echo never"), artifacts=(artifact(name),))
    assert ended(report) == ("failed", "Artifact uncompress failed")
    assert report["detail"].startswith(f"Artifact {name}: {words}")
    assert (runs.code, runs.stdout) == (10, "")
    assert not (runs.folder / "x").exists()


def test_artifacts_that_do_not_come(runs: Runs) -> None:
    (runs.folder / "job/a.tar").write_bytes(tar([member("x", b"")]))
    wrong = artifact("a.tar", sha256="0" * 64)
    for item, words in ((wrong, "its SHA-256 is"), (artifact("no.tar"), "No such file")):
        report = runs.run(shell("echo never"), artifacts=(item,))
        assert ended(report) == ("failed", "Artifact download failed")
        assert words in report["detail"]


def test_several_artifacts(runs: Runs) -> None:
    import gzip

    for number in range(9):
        data = tar([member(f"dir/{number}", b"x")])
        (runs.folder / f"job/{number}.tar").write_bytes(data)
    (runs.folder / "job/text.txt.gz").write_bytes(gzip.compress(b"plain"))
    (runs.folder / "job/tool").write_bytes(b"#!/bin/sh\necho tool\n")
    items = [artifact(f"{number}.tar") for number in range(9)]
    items += [artifact("text.txt.gz"), artifact("tool", executable=True)]
    runs.run(shell("ls dir | wc -l; cat text.txt; ./tool"), artifacts=tuple(items))
    assert runs.stdout.split() == ["9", "plaintool"]


def image(name: str, kind: Any = "docker-archive", **fields: Any) -> plans.Image:
    return plans.Image(**{"name": name, "kind": kind, "source": name, **fields})


def test_a_docker_archive_is_converted_once_for_all_jobs(runs: Runs) -> None:
    import gzip
    import hashlib

    saved = gzip.compress(tar([member("manifest.json", b"[]")]))
    digest = hashlib.sha256(saved).hexdigest()
    cache = {"image_cache": str(runs.folder / "cache/images"), "image_cache_bytes": 10**9}
    tasks = (shell("cat $IMAGE"), shell("true"))
    with serving(lambda request: request.reply(200, saved)) as server:
        images = (image("i.tgz", source=server.url + "/?sign=1", sha256=digest),)
        first = runs.run(*tasks, images=images, **cache)
        assert runs.stdout == "built from docker-archive"
        again = runs.run(*tasks, images=images, **cache)
    assert len(server.seen) == 1
    statuses = [entry["image_pull_status"] for entry in first["tasks"] + again["tasks"]]
    assert statuses == ["completed", "cached", "cached", "cached"]
    times = [entry["image_pull_time"] for entry in first["tasks"] + again["tasks"]]
    assert times[0] > 0
    assert times[1:] == [-1, -1, -1]
    assert runs.stdout == "built from docker-archive"


def test_images_that_cannot_be_had(runs: Runs) -> None:
    (runs.folder / "job/bad.tar").write_bytes(tar([member("x", b"")]))
    (runs.folder / "job/empty.sif").write_bytes(b"")
    (runs.folder / "bin/fail").write_text("")
    cases = {
        image("bad.tar"): "build ended with exit code 255: FATAL: no",
        image("empty.sif", "sif"): "empty.sif is empty",
        image("absent.sif", "sif"): "No such file or directory",
    }
    for item, words in cases.items():
        report = runs.run(shell("echo never"), images=(item,))
        assert ended(report) == ("failed", "Container image pull failed")
        assert report["detail"] == f"Image {item.name}: {words}."
        assert [entry["image_pull_status"] for entry in report["tasks"]] == ["failed"]
        assert report["tasks"][0]["image_pull_time"] >= 0
        assert report["tasks"][0]["exit_code"] is None


def test_an_image_from_a_registry(runs: Runs) -> None:
    private = image("localhost:1/x:1", "registry", username="me", token="geheim")
    report = runs.run(shell("cat $IMAGE"), images=(private,))
    assert ended(report) == ("completed", "")
    assert "docker://localhost:1/x:1 me\n" in runs.stdout
    assert "not cached: connection failed" in runs.log()
    assert report["tasks"][0]["image_sha256"] is None
    assert "geheim" not in runs.log()


SECRET = re.compile("SECRETSIG|geheim")


def without_secrets(runs: Runs, report: Report) -> None:
    text = runs.log() + runs.stdout + runs.stderr
    text += (runs.folder / "job/report.json").read_text()
    assert SECRET.search(text) is None, text
    assert "/i mage.tar" in report["detail"] + runs.log()


@pytest.mark.parametrize("status", [404, 503])
def test_secrets_of_addresses_are_not_repeated(status: int, runs: Runs) -> None:
    """Not by us, not where the server's words or the runtime's repeat them."""

    def answer(request: Handler) -> None:
        again = f"no http://me:geheim@{request.headers['Host']}{request.path} here"
        request.reply(status, f"<Message>{again}</Message>".encode())

    with serving(answer) as server:
        url = server.url.replace("//", "//me:geheim@") + "/i mage.tar?X-Amz-Signature=SECRETSIG"
        source = url.replace(" ", "%20")
        limit = {"limit_seconds": 22, "reserve_seconds": 20} if status == 503 else {}
        item = artifact(url, filename="a.tar", source=source)
        without_secrets(runs, runs.run(shell("true"), artifacts=(item,), **limit))
        if status == 503:
            assert "next try in" in runs.log()
            assert "no http://127.0.0.1" in runs.log()
        one = image(url, source=source)
        without_secrets(runs, runs.run(shell("true"), images=(one,), **limit))


def test_secrets_that_the_runtime_repeats(runs: Runs) -> None:
    (runs.folder / "bin/fail").write_text("")
    url = "oras://me:geheim@host.example/i mage.tar?X-Amz-Signature=SECRETSIG"
    one = image(url, "registry", source=url.replace(" ", "%20"))
    report = runs.run(shell("true"), images=(one,))
    without_secrets(runs, report)
    assert 'FATAL: While pulling "oras://host.example/i%20mage.tar": no' in report["detail"]


def test_no_container_runtime(runs: Runs) -> None:
    (runs.folder / "bin/apptainer").unlink()
    (runs.folder / "bin/sh").symlink_to("/bin/sh")
    runs.environment["PATH"] = str(runs.folder / "bin")
    report = runs.run(shell("true"))
    assert ended(report) == ("failed", "Container runtime not found")


def test_no_udocker(runs: Runs) -> None:
    report = runs.run(plans.Task(image=0, runtime="udocker"))
    assert ended(report) == ("failed", "Container runtime not found")
    assert report["detail"] == "udocker is not on PATH of this node."


def test_a_wrapper_that_crashes_says_so(runs: Runs) -> None:
    report = runs.run(shell("true"), cpus="not a number", outputs=({"name": 5},))
    assert ended(report) == ("failed", "Wrapper failed")
    assert "Traceback" in runs.stderr
    assert runs.code == 1


def test_attempts_and_provisions_as_the_scheduler_says(runs: Runs) -> None:
    runs.environment |= {
        "SLURM_RESTART_COUNT": "2",
        "SLURM_CPUS_ON_NODE": "8",
        "SLURM_MEM_PER_NODE": "3000",
        "SLURM_JOB_NUM_NODES": "1",
    }
    report = runs.run(shell("true"))
    assert report["attempt"] == 2
    assert report["provisioned"] == {"cpus": 8, "memory": 3, "disk": 10, "nodes": 1}
    runs.environment.clear()
    (runs.folder / "ad").write_text('NumJobStarts = 1\nOwner = "x"\n')
    (runs.folder / "machine").write_text("Cpus = 4\nMemory = 2000\nDisk = 1024000\n")
    runs.environment |= {
        "_CONDOR_JOB_AD": str(runs.folder / "ad"),
        "_CONDOR_MACHINE_AD": str(runs.folder / "machine"),
    }
    report = runs.run(shell("true"))
    assert report["attempt"] == 1
    assert report["provisioned"] == {"cpus": 4, "memory": 2, "disk": 1, "nodes": 1}


def test_output_of_a_task_is_not_copied(runs: Runs) -> None:
    """The task writes to the very pipe or file that the scheduler gave to the wrapper."""
    with runs.start(shell("readlink /proc/self/fd/1; echo problem >&2")) as process:
        assert process.stdout is not None
        inode = os.fstat(process.stdout.fileno()).st_ino
        runs.finish(process)
    assert runs.stdout == f"pipe:[{inode}]\n"
    assert runs.stderr == "problem\n"
