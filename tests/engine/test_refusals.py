"""What cannot be: one clear message, a non-zero exit, nothing submitted, nothing left half done."""

import json

import pytest

from tests.engine.prominence import SCHEDULERS, Prominence, backend_and_transport
from tests.site.handle import Site


@pytest.fixture
def prominence(site: Site, folder: str) -> Prominence:
    return Prominence(site, folder)


@pytest.fixture(params=SCHEDULERS)
def on_scheduler(site: Site, folder: str, request: pytest.FixtureRequest) -> Prominence:
    backend, transport = backend_and_transport(request.param)
    return Prominence(site, folder, backend=backend, transport=transport)


def refused(prominence: Prominence, code: int, *arguments: str) -> str:
    """The message of a command that must fail with ``code`` and leave no job behind."""
    done = prominence(*arguments, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert json.loads(prominence("list", "--all", "--json").stdout) == []
    return done.stderr


def test_missing_image_and_artifact_are_named_together(prominence: Prominence) -> None:
    message = refused(
        prominence, 4, "create", "--artifact", "no-such-data.tgz", "no-such-image.sif", "true"
    )
    assert "no-such-image.sif" in message
    assert "no-such-data.tgz" in message
    assert "prominence upload --name" in message


def test_wrong_credentials(prominence: Prominence) -> None:
    prominence.environment = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "s3cr3t-word"}
    done = prominence("ls", check=False)
    assert done.returncode == 5
    assert "access key" in done.stderr
    assert "s3cr3t-word" not in done.stderr
    refused_create = prominence("create", "some.sif", "true", check=False)
    assert refused_create.returncode == 5
    assert "access key" in refused_create.stderr


def test_absent_bucket(prominence: Prominence) -> None:
    prominence.environment = {"PROMINENCE_STORAGE_BUCKET": "there-is-no-such-bucket"}
    done = prominence("ls", check=False)
    assert done.returncode == 5
    assert "there-is-no-such-bucket" in done.stderr


def test_storage_not_reachable(prominence: Prominence) -> None:
    prominence.environment = {"PROMINENCE_STORAGE_ENDPOINT": "https://s3:9"}
    done = prominence("ls", check=False)
    assert done.returncode == 5
    assert "s3:9" in done.stderr


def test_unreadable_file_and_wrong_checksum_store_nothing(prominence: Prominence) -> None:
    name = "refused-upload"
    prominence.write("secret", "x", mode=0)
    prominence.write("file", "content")
    unreadable = prominence("upload", "--name", name, "--filename", "secret", check=False)
    assert (unreadable.returncode, "secret" in unreadable.stderr) == (4, True)
    absent = prominence("upload", "--name", name, "--filename", "absent", check=False)
    assert (absent.returncode, "absent" in absent.stderr) == (4, True)
    wrong = prominence(
        "upload", "--name", name, "--filename", "file", "--checksum", "0" * 64, check=False
    )
    assert wrong.returncode == 5
    assert "0" * 64 in wrong.stderr
    assert prominence("ls", name, check=False).returncode == 4


def test_unknown_ids(prominence: Prominence) -> None:
    for command in ("describe", "stdout", "stderr", "delete", "remove", "download", "wait"):
        done = prominence(command, "999999", check=False)
        assert (done.returncode, done.stdout) == (4, "")
        assert "999999" in done.stderr


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"tasks": [', "line 1"),
        ("tasks: [a, b\nresources: {", "line"),
        ('{"tasks": [{"image": "i.sif", "cmdd": "x"}], "resources": {"memory": 1}}', "cmdd"),
        ('{"tasks": [{"image": 7}], "resources": {"memory": 1}}', "tasks[0].image"),
        ('{"tasks": [{"image": "i.sif"}], "resources": {"memory": -1}}', "resources.memory"),
        ("just words", "job"),
    ],
)
def test_bad_job_files(prominence: Prominence, content: str, expected: str) -> None:
    prominence.write("job", content)
    assert expected in refused(prominence, 2, "run", "job")


def test_every_problem_at_once(prominence: Prominence) -> None:
    prominence.write("job", '{"tasks": [{"imagee": "x"}], "resources": {"cpus": 0}, "colour": 1}')
    message = refused(prominence, 2, "run", "job")
    for part in ("imagee", "resources.cpus", "colour", "tasks[0].image"):
        assert part in message


def test_scheduler_refuses(on_scheduler: Prominence, image: str) -> None:
    """Far more memory than any node has: Slurm refuses; HTCondor would wait for ever, and says so."""
    if on_scheduler.backend == "slurm":
        message = refused(on_scheduler, 6, "create", "--memory", "900000", image, "true")
        assert "memory" in message.lower()
    else:
        job_id = on_scheduler.create("--memory", "900000", image, "true")
        assert on_scheduler.describe(job_id)["status"] == "idle"
        on_scheduler("delete", str(job_id))


def test_bad_partition(prominence: Prominence, image: str) -> None:
    config = 'default_site = "slurm"\n[sites.slurm]\nbackend = "slurm"\npartition = "no-such-one"\n'
    prominence.write("config.toml", config)
    prominence.environment = {"PROMINENCE_CONFIG": f"{prominence.folder}/config.toml"}
    message = refused(prominence, 6, "create", image, "true")
    assert "no-such-one" in message


def test_no_scheduler(on_scheduler: Prominence, image: str) -> None:
    """No such program, or no daemon at the configured address."""
    if on_scheduler.transport == "pyslurm":
        edit = r"s/^SlurmctldHost=.*/SlurmctldHost=login(127.0.0.1)\nSlurmctldPort=9\nMessageTimeout=2/"
        on_scheduler.shell(f"sed '{edit}' /etc/slurm/slurm.conf > slurm.conf")
        on_scheduler.environment = {"SLURM_CONF": f"{on_scheduler.folder}/slurm.conf"}
    elif on_scheduler.backend == "slurm":
        # PATH as it is where Slurm is not installed: the usual programs, and no sbatch.
        on_scheduler.shell("mkdir bin && ln -s /usr/bin/timeout /usr/local/bin/prominence bin/")
        on_scheduler.environment = {"PATH": f"{on_scheduler.folder}/bin"}
    else:
        on_scheduler.environment = {"_CONDOR_SCHEDD_HOST": "127.0.0.1:9"}
    done = on_scheduler("create", image, "true", check=False)
    assert done.returncode == 6, done.stderr
    assert "Traceback" not in done.stderr
    on_scheduler.environment = {}
    assert json.loads(on_scheduler("list", "--all", "--json").stdout) == []


def test_wrong_usage(prominence: Prominence) -> None:
    assert prominence("create", check=False).returncode == 2
    assert prominence("nonsense", check=False).returncode == 2
    assert prominence("create", "--cpus", "many", "i.sif", check=False).returncode == 2
    unknown_site = prominence("create", "--site", "mars", "i.sif", "true", check=False)
    assert unknown_site.returncode == 3
    assert "mars" in unknown_site.stderr


def test_existing_target_is_kept(prominence: Prominence, image: str) -> None:
    described = prominence.completed("--output", "kept", image, "sh -c 'echo new > kept'")
    job_id = str(described["id"])
    prominence.write("kept", "old\n")
    done = prominence("download", job_id, check=False)
    assert done.returncode == 8
    assert "--force" in done.stderr
    assert prominence.read("kept") == "old\n"
    prominence("download", "--force", job_id)
    assert prominence.read("kept") == "new\n"
    prominence("download", "--dir", job_id)
    assert prominence.read(f"{job_id}/kept") == "new\n"
