"""One job of a sweep: its plan is what the adapter would have made of the job, had it been described alone."""

import dataclasses
import doctest
import json
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from prominence_hpc.adapter.sources import Places, Source, uploaded_names
from prominence_hpc.adapter.spec.decode import read_job
from prominence_hpc.adapter.spec.factories import points, sweep_parameter, value
from prominence_hpc.adapter.spec.place import Place
from prominence_hpc.adapter.spec.substitution import substituted
from prominence_hpc.adapter.spec.workflow import ParameterSweep
from prominence_hpc.adapter.translate import Identity, output_objects, translate
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers.runtime import exit_code, requeue
from prominence_hpc.wrappers.runtime import sweep as sweep_module
from prominence_hpc.wrappers.runtime.planfile import PlanError, PlanFile, write_copy
from prominence_hpc.wrappers.runtime.sweep import NoSuchCopy, copy_of
from tests.unit.wrappers.conftest import a_plan
from tests.unit.wrappers.runs import artifact, output, shell

SITE = SiteSettings(name="slurm", backend="slurm")
DESCRIPTION: dict[str, Any] = {
    "name": "j",
    "tasks": [
        {
            "image": "image.sif",
            "runtime": "singularity",
            "cmd": "run $a '${b} $c' $ab$c $HOME \"$a\"",
            "env": {"A": "1", "E": "$a-${c}-$"},
            "workdir": "w/$a",
            "stdout": "out.${a}",
        },
        {"image": "docker://i", "runtime": "singularity"},
    ],
    "resources": {"cpus": 1, "memory": 1, "nodes": 1, "disk": 10, "walltime": 60},
    "artifacts": [
        {"url": "in-$a.txt", "executable": True},
        {"url": "all.tgz", "mountpoint": "all:/all"},
        {"url": "https://h.test/$a/d-${b}.txt?x=$a"},
        {"url": "https://h.test/d.txt"},
    ],
    "outputFiles": ["o/$a/../${b}.txt", "/all/$b", "fixed/./o", "*.$a"],
    "outputDirs": ["d/$a", "fixed/"],
}
PART = st.text(string.ascii_letters + string.digits + "_-+%/.", min_size=1, max_size=6)
NAME = PART.filter(lambda text: text.strip("/.") == text)  # for a path
ANY = st.text(string.ascii_letters + " é$*#", max_size=6)


def translated(document: dict[str, Any], number: int, folder: bool) -> dict[str, Any]:
    """The plan of a job that is described alone."""
    place = Place()
    job = read_job(document, place)
    assume(not place.problems)  # the adapter refuses a sweep with such a copy
    destination = (
        plans.Destination(method="folder", path="/results/uid")
        if folder
        else plans.Destination(method="post", url="https://s3.test/b", fields={"key": "k/uid/"})
    )
    places = Places(
        sources={name: source(name) for name in uploaded_names(job)},
        destinations={(item.kind, item.name): destination for item in output_objects(job)},
    )
    identity = Identity(
        job_id=100 + number, uid="uid", tag="t", folder=Path("/f"), runner=Path("/r")
    )
    plan, _ = translate(job, identity, places, SITE)
    found: dict[str, Any] = json.loads(plans.render(plan))
    return found


def source(name: str) -> Source:
    return Source(
        location=f"https://s3.test/{name}?signed", sha256=name.encode().hex(), size_bytes=5
    )


def shared_plan(parameters: dict[str, list[str]], product: bool, folder: bool) -> dict[str, Any]:
    document = translated(DESCRIPTION, 0, folder)
    for task, described in zip(document["tasks"], DESCRIPTION["tasks"], strict=True):
        task.update(command=None, command_line=described.get("cmd"))
    names = [
        substituted({"tasks": [], "artifacts": [{"url": "in-$a.txt"}]}, {"a": value})
        for value in parameters["a"]
    ]
    objects = {}
    for item in names:
        name = item["artifacts"][0]["url"]
        found = source(name)
        objects[name] = plans.SweptObject(
            source=found.location, sha256=found.sha256, size_bytes=found.size_bytes
        )
    sweep = plans.Sweep(
        first_job_id=100,
        parameters=tuple(
            plans.SweepParameter(name=name, values=tuple(values))
            for name, values in parameters.items()
        ),
        product=product,
        objects=objects,
    )
    return document | {"sweep": dataclasses.asdict(sweep)}


@given(st.lists(st.tuples(NAME, NAME, ANY), min_size=1, max_size=4), st.booleans())
def test_a_jobs_plan_is_that_of_the_job_described_alone(
    rows: list[tuple[str, str, str]], folder: bool
) -> None:
    parameters = {name: [row[place] for row in rows] for place, name in enumerate("abc")}
    shared = json.loads(json.dumps(shared_plan(parameters, product=False, folder=folder)))
    for number, row in enumerate(rows):
        values = dict(zip("abc", row, strict=True))
        alone = translated(substituted(DESCRIPTION, values), number, folder)
        found = copy_of(shared, number)
        assert found.pop("copy_of") == {"plan": "../plan.json", "number": number}
        for item in alone["outputs"]:
            place = item["destination"]
            if folder:
                place["path"] += f"/{number}"
            else:
                place["fields"]["key"] += f"{number}/"
        for item in alone["tasks"]:
            del item["command_line"]
        assert found == alone | {
            "job_uid": f"uid/{number}",
            "name": f"j/{number}",
            "parameters": values,
        }


def with_sweep(sweep: plans.Sweep, **fields: Any) -> dict[str, Any]:
    plan = a_plan(**{"tasks": (shell("true"),), "name": "w/j", "sweep": sweep, **fields})
    document: dict[str, Any] = json.loads(plans.render(plan))
    return document


def values_of(document: dict[str, Any], number: int) -> dict[str, str]:
    return dict(copy_of(document, number)["parameters"])


def test_of_several_parameters_the_last_changes_fastest() -> None:
    given_parameters = (
        sweep_parameter("z", 1, 3, step=1),
        sweep_parameter("a", 0, 1, number=2),
        sweep_parameter("m", 0.5, 2, step=0.5),
    )
    factory = ParameterSweep(name="f", jobs=("j",), parameters=given_parameters)
    parameters = tuple(
        plans.SweepParameter(
            name=item.name, values=tuple(value(item, place) for place in range(item.count))
        )
        for item in given_parameters
    )
    document = with_sweep(plans.Sweep(first_job_id=7, parameters=parameters, product=True))
    found = [values_of(document, number) for number in range(24)]
    assert found == list(points(factory))
    assert found[:2] == [{"z": "1", "a": "0", "m": "0.5"}, {"z": "1", "a": "0", "m": "1.0"}]
    assert list(found[0]) == ["z", "a", "m"]
    with pytest.raises(NoSuchCopy, match="no job 24"):
        values_of(document, 24)


X = plans.SweepParameter(name="x", values=("a", "b", "c"))


def test_some_of_the_jobs_alone() -> None:
    """Those of a rerun: they keep their indices, and are numbered anew."""
    sweep = plans.Sweep(first_job_id=50, parameters=(X,), indices=(2, 0))
    first, second = (copy_of(with_sweep(sweep), number) for number in range(2))
    assert [first["name"], first["job_id"], first["parameters"]] == ["w/j/2", 50, {"x": "c"}]
    assert [second["name"], second["job_id"], second["parameters"]] == ["w/j/0", 51, {"x": "a"}]
    assert (first["job_uid"], second["job_uid"]) == ("uid/0", "uid/1")
    with pytest.raises(NoSuchCopy):
        copy_of(with_sweep(sweep), 2)


def test_jobs_that_differ_in_nothing() -> None:
    assert values_of(with_sweep(plans.Sweep(first_job_id=7)), 5) == {}


@pytest.mark.parametrize("product", [True, False])
def test_what_is_no_job_of_the_sweep(product: bool) -> None:
    document = with_sweep(plans.Sweep(first_job_id=7, parameters=(X,), product=product))
    for number in (-1, 3):
        with pytest.raises(NoSuchCopy, match=f"no job {number}"):
            values_of(document, number)


def test_a_command_that_is_none_with_its_values() -> None:
    sweep = plans.Sweep(
        first_job_id=7, parameters=(plans.SweepParameter(name="x", values=("it's",)),)
    )
    document = with_sweep(sweep, tasks=(plans.Task(image=0, command_line="echo $x"),))
    with pytest.raises(NoSuchCopy, match="the command echo it's: No closing quotation"):
        copy_of(document, 0)


def test_paths_count_from_a_folder_further_down() -> None:
    """HTCondor's node has all that travels beside the plan of the sweep."""
    sweep = plans.Sweep(
        first_job_id=7,
        parameters=(X,),
        objects={"in-b": plans.SweptObject(source="object-2", sha256="ab", size_bytes=3)},
    )
    document = with_sweep(
        sweep,
        images=(
            plans.Image(name="i", kind="sif", source="object-0"),
            plans.Image(name="i", kind="docker-archive", source="/abs/i.tar"),
            plans.Image(name="i", kind="sif", source="https://h/i.sif"),
            plans.Image(name="i", kind="registry", source="docker://i"),
            plans.Image(name="i", kind="directory-or-file", source="/cvmfs/i"),
        ),
        artifacts=(
            artifact("all", source="object-1"),
            artifact("in-$x", source=""),
            artifact("f", source="file:///f"),
        ),
        outputs=(
            output("o", destination=plans.Destination(method="folder", path="outputs-0")),
            output("o", destination=plans.Destination(method="folder", path="/abs")),
        ),
    )
    found = copy_of(document, 1)
    assert [image["source"] for image in found["images"]] == [
        "../object-0",
        "/abs/i.tar",
        "https://h/i.sif",
        "docker://i",
        "/cvmfs/i",
    ]
    sources = [item["source"] for item in found["artifacts"]]
    assert sources == ["../object-1", "../object-2", "file:///f"]
    swept = found["artifacts"][1]
    assert (swept["name"], swept["filename"], swept["sha256"]) == ("in-b", "in-b", "ab")
    paths = [item["destination"]["path"] for item in found["outputs"]]
    assert paths == ["../outputs-0/1", "/abs/1"]


def write(folder: Path, document: dict[str, Any]) -> bytes:
    (folder / "plan.json").write_text(json.dumps(document))
    return bytes(folder / "plan.json")


def test_a_jobs_plan_is_its_owners_and_goes_with_the_job(tmp_path: Path) -> None:
    shared = write(tmp_path, with_sweep(plans.Sweep(first_job_id=7, parameters=(X,))))
    path = Path(write_copy(shared, 1).decode())
    assert path == tmp_path / "1/plan.json"
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    assert [item.name for item in path.parent.iterdir()] == ["plan.json"]
    write_copy(shared, 1)  # another start
    plan = PlanFile(bytes(path))
    assert (plan.document["name"], plan.folder) == ("w/j/1", bytes(path.parent))
    plan.remove()
    plan.remove()
    assert list(path.parent.iterdir()) == []


def test_an_ordinary_plan_stays(tmp_path: Path) -> None:
    plan = PlanFile(write(tmp_path, json.loads(plans.render(a_plan()))))
    plan.remove()
    assert (tmp_path / "plan.json").exists()


def test_renewed_addresses_come_from_the_sweeps_plan(tmp_path: Path) -> None:
    sweep = plans.Sweep(
        first_job_id=7, parameters=(X,), objects={"in-c": plans.SweptObject(source="https://h/old")}
    )
    document = with_sweep(sweep, artifacts=(artifact("in-$x", source=""),))
    shared = write(tmp_path, document)
    plan = PlanFile(write_copy(shared, 2))
    assert plan.document["artifacts"][0]["source"] == "https://h/old"
    document["sweep"]["objects"]["in-c"]["source"] = "https://h/new"
    write(tmp_path, document)
    plan.reload()
    assert plan.document["artifacts"][0]["source"] == "https://h/new"
    assert plan.document["job_uid"] == "uid/2"
    write(tmp_path, document | {"job_uid": "another"})
    plan.reload()
    (tmp_path / "plan.json").write_text("{")
    plan.reload()
    (tmp_path / "plan.json").unlink()
    plan.reload()
    assert plan.document["artifacts"][0]["source"] == "https://h/new"


def test_a_plan_and_a_number_that_do_not_go_together(tmp_path: Path) -> None:
    shared = write(tmp_path, with_sweep(plans.Sweep(first_job_id=7, parameters=(X,))))
    with pytest.raises(PlanError, match="the number of one of its jobs must follow"):
        PlanFile(shared)
    with pytest.raises(PlanError, match="the sweep has no job 3"):
        write_copy(shared, 3)
    assert [item.name for item in tmp_path.iterdir()] == ["plan.json"]
    shared = write(tmp_path, json.loads(plans.render(a_plan())))
    with pytest.raises(PlanError, match="that of one job"):
        write_copy(shared, 0)


def test_documented_examples() -> None:
    for module in (sweep_module, exit_code, requeue):
        assert doctest.testmod(module).failed == 0


def test_a_command_without_words_is_the_images_own() -> None:
    sweep = plans.Sweep(
        first_job_id=1, parameters=(plans.SweepParameter(name="x", values=("", "run it")),)
    )
    document = with_sweep(sweep, tasks=(plans.Task(image=0, command_line="$x"),))
    assert copy_of(document, 0)["tasks"][0]["command"] is None
    assert copy_of(document, 1)["tasks"][0]["command"] == ["run", "it"]
