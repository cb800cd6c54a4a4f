"""Every line of PROMINENCE's tutorial on jobs with data and private images, as it is typed.

The names that the tutorial lost in conversion are restored (test.py, output.nc and so on). The
image is LAMMPS's of our own tutorial under the name centos7.sif: what matters here is that it has bash
and the usual commands.
"""

import fcntl
import json
from collections.abc import Iterator

import pytest

from tests.engine.prominence import SCHEDULERS, Prominence, backend_and_transport
from tests.site import paths
from tests.site.handle import Site
from tests.site.tutorial_image import cache, sif

UPLOADS = (
    "prominence upload --filename centos.sif --name centos7.sif",
    "prominence upload --filename cadmesh-jet-v1.1.tgz --name cadmesh-jet-v1.1.tgz",
)


@pytest.fixture(scope="module")
def alone() -> Iterator[None]:
    """The tutorials' names are theirs: two test processes would replace each other's uploads."""
    with (paths.WORK / "tutorials.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module")
def centos(site: Site, alone: None) -> Iterator[str]:
    """A folder with what the tutorial takes as given, uploaded by the tutorial's own lines."""
    assert alone is None
    folder = "/home/alice/engine-tests-seed"
    site.run(["mkdir", "-p", f"{folder}/mesh"])
    sif.copy(cache.ensure(site).sif, site, f"{folder}/centos.sif")
    pack = "echo vertices > mesh/jet.txt && tar czf cadmesh-jet-v1.1.tgz mesh"
    site.run(["sh", "-c", pack], cwd=folder)
    prominence = Prominence(site, folder)
    for line in UPLOADS:
        assert prominence.line(line).stdout == "Success\n"
    yield folder
    site.run(["rm", "-rf", folder])


@pytest.fixture(params=SCHEDULERS)
def typist(site: Site, folder: str, centos: str, request: pytest.FixtureRequest) -> Prominence:
    assert centos
    backend, transport = backend_and_transport(request.param)
    return Prominence(site, folder, backend=backend, transport=transport)


def finished(typist: Prominence, line: str) -> int:
    """The id of the job that a line creates, after its tasks have ended with 0."""
    job_id = typist.created(typist.line(line))
    described = typist.ended(job_id)
    assert described["status"] == "completed", typist.told(job_id, described)
    assert described["execution"]["tasks"][0]["exitCode"] == 0, typist.told(job_id, described)
    return job_id


def test_submitting_the_job(typist: Prominence) -> None:
    job_id = finished(
        typist,
        'prominence create --name test --artifact cadmesh-jet-v1.1.tgz centos7.sif "du -a ."',
    )
    listed = [line.split("\t")[1] for line in typist.stdout(job_id).splitlines()]
    assert sorted(listed) == [".", "./mesh", "./mesh/jet.txt"]


def test_small_input_files(typist: Prominence) -> None:
    typist.write("data.txt", "0 1 2 A\n3 4 5 B\n")
    typist.write(
        "test.py", "with open('data.txt', 'r') as input_file:\n    print(input_file.read())"
    )
    line = 'prominence create --input data.txt --input test.py python:3 "python3 test.py"'
    job_id = typist.created(typist.line(line))
    # No registry is in reach of the site: the name is understood, and what failed is said.
    described = typist.ended(job_id)
    assert (described["status"], described["statusReason"]) == (
        "failed",
        "Container image pull failed",
    )
    assert "docker://python:3" in described["execution"]["detail"]
    job_id = finished(typist, line.replace("python:3", "centos7.sif"))
    assert typist.stdout(job_id) == "0 1 2 A\n3 4 5 B\n\n"


def test_a_single_output_file(typist: Prominence) -> None:
    job_id = finished(
        typist,
        "prominence create --name test --artifact cadmesh-jet-v1.1.tgz --output output.nc "
        'centos7.sif "touch output.nc"',
    )
    typist.line(f"prominence download {job_id}")
    assert typist.read("output.nc") == ""


def test_multiple_output_files(typist: Prominence) -> None:
    job_id = finished(
        typist,
        "prominence create --name test --artifact cadmesh-jet-v1.1.tgz --output output1.nc "
        "--output output2.nc "
        'centos7.sif "/bin/bash -c \\"touch output1.nc ; touch output2.nc\\""',
    )
    typist.line(f"prominence download {job_id}")
    assert typist.shell("ls output1.nc output2.nc") == "output1.nc\noutput2.nc\n"


def test_an_output_directory(typist: Prominence) -> None:
    job_id = finished(
        typist,
        "prominence create --name test --artifact cadmesh-jet-v1.1.tgz --outputdir output "
        'centos7.sif "/bin/bash -c \\"mkdir output ; touch output/file1.txt ; '
        'touch output/file2.txt\\""',
    )
    typist.line(f"prominence download {job_id}")
    members = typist.shell("tar tzf output.tgz | grep -v '/$' | sort").split()
    assert members == ["output/file1.txt", "output/file2.txt"]


def test_monitoring(typist: Prominence) -> None:
    job_id = typist.created(typist.line('prominence create --name watched centos7.sif "sleep 5"'))
    listed = typist.line("prominence list").stdout.splitlines()
    assert listed[0].split() == ["ID", "NAME", "CREATED", "STATUS", "ELAPSED", "IMAGE", "CMD"]
    row = listed[1].split()
    assert (row[0], row[1], row[4] in ("idle", "running")) == (str(job_id), "watched", True)
    (described,) = json.loads(typist.line(f"prominence describe {job_id}").stdout)
    assert described["id"] == job_id
    assert described["status"] in ("idle", "running")
    typist.ended(job_id)


@pytest.mark.parametrize("image", ["lammps.sif", "lammps.tar"])
def test_our_own_tutorial(site: Site, typist: Prominence, image: str) -> None:
    """LAMMPS's benchmark in a private image, as a SIF and as `docker save` writes it."""
    files = cache.ensure(site)
    source = files.sif if image.endswith(".sif") else files.archive
    sif.copy(source, site, f"{typist.folder}/{image}")
    from tests.demo.on_site import FILES  # the same inputs as the demo's

    typist.write("lj/in.lj", (FILES / "lj" / "in.lj").read_text())
    typist.write("summarise.py", (FILES / "summarise.py").read_text())
    typist.shell("tar czf lj-benchmark.tgz lj")
    typist.line(f"prominence upload --name {image} --filename {image}")
    typist.line("prominence upload --name lj-benchmark.tgz --filename lj-benchmark.tgz")
    job_id = finished(
        typist,
        "prominence create --artifact lj-benchmark.tgz --input summarise.py --output log.lammps "
        f"--outputdir dumps {image} \"sh -c 'lmp -in lj/in.lj > /dev/null && python3 summarise.py'\"",
    )
    typist.line(f"prominence download {job_id}")
    summary = typist.shell("python3 summarise.py log.lammps")
    assert typist.stdout(job_id) == summary
    # LAMMPS's published logs of this benchmark end at temperature 0.7574531.
    assert "Final temperature: 0.757" in summary
    assert len(typist.shell("tar tzf dumps.tgz | grep melt").splitlines()) == 5
