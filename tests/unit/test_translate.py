"""From description to plan and submission: nothing lost, nothing of the user's interpreted."""

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prominence_hpc.adapter.sources import Places, Source, uploaded_names
from prominence_hpc.adapter.spec.job import (
    Artifact,
    InputFile,
    Job,
    MountPoint,
    Notification,
    Policies,
    PullCredential,
    Resources,
    StorageMount,
    Task,
)
from prominence_hpc.adapter.translate import Identity, output_objects, translate
from prominence_hpc.backends.base import Moldable, Shape, Submission, Transfer
from prominence_hpc.backends.settings import MailWay, SiteSettings
from prominence_hpc.wrappers import plan as plans

IDENTITY = Identity(
    job_id=7,
    uid="0123456789abcdef0123456789abcdef",
    tag="fedcba9876543210fedcba9876543210",
    folder=Path("/state/jobs/0000/7"),
    runner=Path("/state/runner.pyz"),
)
SLURM = SiteSettings(name="slurm", backend="slurm")
HTCONDOR = SiteSettings(name="htcondor", backend="htcondor")


def job(**changes: object) -> Job:
    fields: dict[str, object] = {
        "tasks": (Task(image="image.sif", cmd="true"),),
        "resources": Resources(memory=1),
    }
    return Job(**(fields | changes))  # type: ignore[arg-type]  # the tests below give the right ones


def places(given_job: Job, *, folder: bool = False) -> Places:
    """What storage would answer: everything exists."""
    root = "/shared/" if folder else "https://s3.example/bucket/"
    return Places(
        sources={
            name: Source(location=f"{root}{name}", sha256="ab" * 32, size_bytes=5)
            for name in uploaded_names(given_job)
        },
        destinations={
            (item.kind, item.name): plans.Destination(method="folder", path="/shared/scratch/uid")
            if folder
            else plans.Destination(method="put", url=f"{root}scratch/{item.object_name}")
            for item in output_objects(given_job)
        },
    )


def translated(
    given_job: Job, site: SiteSettings = SLURM, *, folder: bool = False
) -> tuple[plans.Plan, Submission]:
    return translate(given_job, IDENTITY, places(given_job, folder=folder), site)


def test_the_tutorials_job(golden: Callable[[str, str], None]) -> None:
    plan, _ = translated(
        job(
            name="test",
            tasks=(Task(image="centos7.sif", cmd="/bin/bash -c 'du -a . > sizes'"),),
            artifacts=(Artifact(url="cadmesh-jet-v1.1.tgz"),),
            inputs=(InputFile(filename="data.txt", content="MCAxIDIgQQo="),),
            output_files=("sizes",),
            output_dirs=("output",),
        )
    )
    golden("tutorial-plan.json", plans.render(plan))


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_a_command_arrives_as_its_words(words: list[str]) -> None:
    plan, _ = translated(job(tasks=(Task(image="image.sif", cmd=shlex.join(words)),)))
    assert plan.tasks[0].command == tuple(words)


def test_shell_syntax_is_not_interpreted() -> None:
    plan, _ = translated(job(tasks=(Task(image="i.sif", cmd="echo $HOME `id` > f; ls *"),)))
    assert plan.tasks[0].command == ("echo", "$HOME", "`id`", ">", "f;", "ls", "*")


@pytest.mark.parametrize(
    ("name", "kind", "source"),
    [
        ("image.sif", "sif", "https://s3.example/bucket/image.sif"),
        ("old.simg", "sif", "https://s3.example/bucket/old.simg"),
        ("saved.tar", "docker-archive", "https://s3.example/bucket/saved.tar"),
        ("saved.tgz", "docker-archive", "https://s3.example/bucket/saved.tgz"),
        ("centos:7", "registry", "docker://centos:7"),
        ("quay.io/group/repo:tag", "registry", "docker://quay.io/group/repo:tag"),
        ("library://a/b/c:1", "registry", "library://a/b/c:1"),
        ("/cvmfs/images/x", "directory-or-file", "/cvmfs/images/x"),
        ("https://h/x.tar?sig=1", "docker-archive", "https://h/x.tar?sig=1"),
        ("http://h/x.sif", "sif", "http://h/x.sif"),
    ],
)
def test_how_images_are_named(name: str, kind: str, source: str) -> None:
    plan, _ = translated(job(tasks=(Task(image=name, cmd="true"),)))
    assert (plan.images[0].kind, plan.images[0].source) == (kind, source)


def test_an_image_of_several_tasks_is_fetched_once() -> None:
    tasks = (Task(image="a.sif"), Task(image="b.sif"), Task(image="a.sif"))
    plan, _ = translated(job(tasks=tasks))
    assert [image.name for image in plan.images] == ["a.sif", "b.sif"]
    assert [task.image for task in plan.tasks] == [0, 1, 0]
    assert plan.tasks[0].command is None


def test_output_names() -> None:
    outputs = output_objects(
        job(
            artifacts=(Artifact(url="a.tgz", mountpoint=MountPoint(directory="d", path="/data")),),
            output_files=("x.nc", "./sub/y.nc", "*.log", "/data/z"),
            output_dirs=("results/run1/",),
        )
    )
    assert [(item.kind, item.object_name) for item in outputs] == [
        ("file", "x.nc"),
        ("file", "sub/y.nc"),
        ("pattern", ""),
        ("file", "d/z"),
        ("directory", "run1.tgz"),
    ]


def test_what_the_scheduler_must_know() -> None:
    _, submission = translated(
        job(
            name="a name",
            labels={"k": "v"},
            resources=Resources(cpus=4, memory=None, memory_per_cpu=1.5, disk=2, walltime=30),
            policies=Policies(priority=5),
        )
    )
    assert (submission.cpus, submission.memory_mib, submission.disk_mib) == (4, 6000, 2000)
    assert submission.limit_seconds == 30 * 60 + 10 * 60
    assert (submission.name, submission.labels) == ("a name", {"k": "v"})
    assert (submission.priority, submission.tag) == (5, IDENTITY.tag)


def test_time_for_stage_out_is_inside_the_limit() -> None:
    plan, submission = translated(job(resources=Resources(memory=1, walltime=60)))
    assert plan.limit_seconds == submission.limit_seconds
    assert plan.walltime_seconds == 3600
    assert 0 < plan.reserve_seconds < plan.limit_seconds - plan.walltime_seconds


def test_files_travel_with_the_job_where_nodes_share_nothing() -> None:
    given_job = job(
        artifacts=(Artifact(url="data.tgz"),), output_files=("a", "b"), output_dirs=("d",)
    )
    plan, submission = translated(given_job, HTCONDOR, folder=True)
    assert dict(submission.transfer.inputs) == {
        Path("/shared/image.sif"): plan.images[0].source,
        Path("/shared/data.tgz"): plan.artifacts[0].source,
    }
    assert {output.destination.path for output in plan.outputs} == {
        name for name, _ in submission.transfer.outputs
    }
    assert [path for _, path in submission.transfer.outputs] == [Path("/shared/scratch/uid")]
    assert not any(source.startswith("/") for source in (plan.images[0].source,))


def test_a_shared_file_system_needs_no_transfer() -> None:
    plan, submission = translated(job(output_files=("a",)), folder=True)
    assert submission.transfer == Transfer()
    assert plan.images[0].source == "/shared/image.sif"
    assert plan.outputs[0].destination.path == "/shared/scratch/uid"


def test_no_url_reaches_the_scheduler() -> None:
    """Presigned URLs are bearer tokens: they are in the plan, a private file, and nowhere else."""
    _, submission = translated(job(output_files=("a",)))
    assert "https://" not in repr(submission)


def test_what_the_site_forwards_is_in_the_plan_and_nothing_else() -> None:
    forward = ("http_proxy", "ABSENT", "TOKEN")
    site = SiteSettings(name="slurm", backend="slurm", forward_environment=forward)
    login = {"http_proxy": "http://proxy:3128", "TOKEN": "s3cret", "AWS_SECRET_ACCESS_KEY": "x"}
    plan, submission = translate(job(), IDENTITY, places(job()), site, login)
    assert plan.forwarded_environment == {"http_proxy": "http://proxy:3128", "TOKEN": "s3cret"}
    assert "s3cret" not in repr(plan) + repr(submission)


def test_remote_storage_is_in_the_plan_alone() -> None:
    given = {"app-username": "name", "app-password": "word"}
    mount = StorageMount(type="b2drop", mountpoint="/data", credentials=given)
    plan, submission = translated(job(storage=mount), replace(SLURM, b2drop_url="https://b2/x"))
    assert plan.storage == plans.Storage(
        url="https://b2/x", username="name", password="word", mountpoint="/data"
    )
    assert "word" not in repr(submission)
    given = {"url": "https://dav/x", "username": "n", "password": "w"}
    mount = StorageMount(type="webdav", mountpoint="/d", credentials=given)
    plan, _ = translated(job(storage=mount))
    assert plan.storage is not None
    assert (plan.storage.url, plan.storage.mountpoint) == ("https://dav/x", "/d")


def test_sizes_to_choose_from() -> None:
    resources = Resources(cpus=None, cpus_range=(2, 8), memory_per_cpu=0.3)
    plan, submission = translated(job(resources=resources))
    assert (plan.cpus, plan.memory_gb, plan.memory_gb_per_cpu) == (2, 0.6, 0.3)
    assert (submission.cpus, submission.memory_mib) == (2, 600)
    assert submission.moldable == Moldable(most_cpus=8, between=True)
    assert submission.sized(4).memory_mib == 1200
    options = Resources(cpus=None, cpus_options=(8, 2), memory=1)
    _, submission = translated(job(resources=options))
    assert (submission.cpus, submission.memory_mib) == (2, 1000)
    assert submission.moldable == Moldable(most_cpus=8, between=False)
    same = Resources(cpus=None, cpus_options=(4, 4), memory=1)
    _, submission = translated(job(resources=same))
    assert (submission.cpus, submission.moldable) == (4, None)


def test_gpus() -> None:
    plan, submission = translated(job(resources=Resources(memory=1, gpus=2, gpu_type="a100")))
    assert plan.gpus == 2
    assert (submission.gpus, submission.gpu_type) == (2, "a100")


def mailed(way: MailWay, *, email: str | None = None) -> tuple[plans.Plan, Submission]:
    notified = job(notifications=(Notification(event="jobFinished", type="email"),))
    site = SiteSettings(name="s", backend="slurm", mail=way, mail_command=("mail", "-t"))
    return translate(notified, replace(IDENTITY, email=email), places(notified), site)


def test_notifications_are_the_scheduler_s_or_the_wrapper_s() -> None:
    plan, submission = mailed("scheduler", email="a@b")
    assert (submission.mails, submission.mail_address) == (True, "a@b")
    assert (plan.mail_command, plan.mail_address) == ((), None)
    plan, submission = mailed("command", email="a@b")
    assert (submission.mails, submission.mail_address) == (False, None)
    assert (plan.mail_command, plan.mail_address) == (("mail", "-t"), "a@b")
    assert mailed("command")[0].mail_address is None


def test_each_image_once_for_each_login_checksum_and_runtime() -> None:
    alice, bob = (PullCredential(username=name, token="t") for name in ("alice", "bob"))
    tasks = (
        Task(image="host.org/x", image_pull_credential=alice),
        Task(image="host.org/x", image_pull_credential=bob),
        Task(image="host.org/x", image_pull_credential=alice, cmd="true"),
        Task(image="host.org/x", image_sha256="1f" * 32),
        Task(image="host.org/x", runtime="udocker"),
        Task(image="/i.sif", image_sha256="2e" * 32),
    )
    given_job = job(tasks=tasks)
    plan, submission = translate(given_job, IDENTITY, places(given_job), SLURM)
    assert [task.image for task in plan.tasks] == [0, 1, 0, 2, 3, 4]
    assert [image.username for image in plan.images] == ["alice", "bob", None, None, None]
    assert [image.sha256 for image in plan.images] == [None, None, "1f" * 32, None, "2e" * 32]
    assert [image.runtime for image in plan.images] == [
        *["singularity"] * 3,
        "udocker",
        "singularity",
    ]
    assert {image.source for image in plan.images} == {"docker://host.org/x", "/i.sif"}
    assert "token='t'" not in repr(plan) + repr(submission)


def test_cpus_in_all() -> None:
    """Over several nodes where they share a folder; elsewhere a range of one node's."""
    resources = Resources(cpus=1, nodes=None, total_cpus_range=(2, 4), memory_per_cpu=0.5)
    plan, submission = translated(job(resources=resources))
    assert plan.shared_scratch is not None
    assert submission.shapes == (
        Shape(cpus=4, nodes=1, most_nodes=1),
        Shape(cpus=2, nodes=1, most_nodes=2),
        Shape(cpus=1, nodes=2, most_nodes=4),
    )
    assert submission.moldable is None
    plan, submission = translated(job(resources=resources), HTCONDOR)
    assert plan.shared_scratch is None
    assert submission.shapes == ()
    assert (submission.cpus, submission.memory_mib, submission.nodes) == (2, 1000, 1)
    assert submission.moldable == Moldable(most_cpus=4, between=True)
