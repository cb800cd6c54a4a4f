"""Artifacts on every engine: archives of each kind, files by odd addresses, mounts, checksums, owners."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.prominence import Prominence
from tests.site.handle import Site

RESOURCES = {"cpus": 1, "memory": 0.5, "disk": 1}
PYTHON = "/opt/prominence/bin/python"
SERVER = Path(__file__).with_name("web_server.py")
# One file in each: d/KIND for archives, KIND for what is compressed alone.
PACK = """
mkdir d; echo in zip > d/zip; python3 -m zipfile -c zip.zip d
for kind in tar tar.gz tgz tar.bz2; do echo in $kind > d/$kind; tar caf $kind.$kind d/$kind; done
echo in gz > gz; gzip gz; echo in bz2 > bz2; bzip2 bz2
printf '#!/bin/sh\\necho run "$@"\\n' > tool
"""
ARCHIVES = ("tar.tar", "tar.gz.tar.gz", "tgz.tgz", "tar.bz2.tar.bz2", "zip.zip", "gz.gz", "bz2.bz2")


@pytest.fixture(scope="module")
def web(site: Site) -> Iterator[str]:
    """The address of a server on the login node, and its folder's files."""
    folder = f"/home/alice/engine-tests/web-{secrets.token_hex(4)}"
    site.write(f"{folder}.py", SERVER.read_bytes())
    site.run(["mkdir", "-p", f"{folder}/private"])
    site.write(f"{folder}/sp ace ü%20.txt", "odd name\n")
    site.write(f"{folder}/private/ü.txt", "let in\n")
    site.write(f"{folder}/tool", "#!/bin/sh\necho fetched tool\n")
    start = f"echo $$; exec python3 {folder}.py {folder}"
    with site.popen(["sh", "-c", start]) as process:
        assert process.stdout is not None
        pid, port = (int(process.stdout.readline()) for _ in range(2))
        yield f"http://login:{port}"
        site.run(["kill", str(pid)])
    site.run(["rm", "-rf", folder, f"{folder}.py"])


@pytest.fixture
def shared_storage(prominence: Prominence, image: str) -> Iterator[str]:
    """Storage is a folder that the site's users share, and alice's image is in it."""
    root = f"/home/storage-{secrets.token_hex(4)}"
    site = prominence.site
    site.run(["mkdir", "-m", "1777", root], user="root")
    backend = f'[sites.{prominence.backend}]\nbackend = "{prominence.backend}"\n'
    text = f'[storage]\ntype = "folder"\npath = "{root}"\n{backend}'
    site.write(f"{root}/config.toml", text, user="root")
    prominence.environment["PROMINENCE_CONFIG"] = f"{root}/config.toml"
    prominence("upload", "--name", image, "--filename", f"/home/alice/engine-tests/{image}")
    yield root
    site.run(["rm", "-rf", root], user="root")


def run(prominence: Prominence, *artifacts: dict[str, Any], **task: Any) -> dict[str, Any]:
    job = {"resources": RESOURCES, "tasks": [task], "artifacts": artifacts}
    prominence.write("job.json", json.dumps(job))
    return prominence.ended(prominence.created(prominence("run", "job.json")))


@pytest.mark.honours(
    "artifacts.url uploaded", "artifacts.url http(s)", "artifacts.executable", "artifacts.mountpoint"
)  # fmt: skip
def test_archives_and_files_of_every_kind(prominence: Prominence, image: str, web: str) -> None:
    """Unpacked and removed; named as their addresses say, whatever redirects and headers do."""
    prominence.shell(PACK)
    prefix = f"artifacts-{prominence.engine}"
    for name in (*ARCHIVES, "tool"):
        prominence("upload", "--name", f"{prefix}/{name}", "--filename", name)
    signed = web.replace("//", "//me:secret@")
    described = run(
        prominence,
        *({"url": f"{prefix}/{name}"} for name in ARCHIVES[:-1]),
        {"url": f"{prefix}/{ARCHIVES[-1]}", "mountpoint": "d:/opt/the data"},
        {"url": f"alice/{prefix}/tool", "executable": True},
        {"url": f"{web}/sp%20ace%20%C3%BC%2520.txt?download=1#top"},
        {"url": f"{web}/moved/kept"},
        {"url": f"{signed}/private/ü.txt", "mountpoint": "empty:/mnt/empty"},
        image=image,
        cmd='sh -c \'ls; for i in d/* gz bz2 sp* kept ü.txt; do cat "$i"; done;'
        ' ./tool one; cat "/opt/the data/tar"; ls -d /mnt/empty /opt/* && ls /mnt/empty\'',
    )
    for name in (*ARCHIVES, "tool"):
        prominence("rm", f"{prefix}/{name}")
    assert described["status"] == "completed", prominence.told(described["id"], described)
    said = prominence.stdout(described["id"]).splitlines()
    names = ["bz2", "d", "empty", "gz", "kept", "sp ace ü%20.txt", "tool", "ü.txt"]
    assert sorted(said[:8]) == sorted(names)
    inside = ["tar", "tar.bz2", "tar.gz", "tgz", "zip", "gz", "bz2"]
    assert said[8:] == [
        *(f"in {kind}" for kind in inside),
        "odd name",
        "odd name",
        "let in",
        "run one",
        "in tar",
        "/mnt/empty",
        "/opt/the data",
    ]


# Somebody who has the keys and another program replaces what alice uploaded, and its checksum stays.
REPLACE = """
import sys, boto3
s3 = boto3.client("s3", endpoint_url="https://s3:7443", region_name="us-east-1",
                  verify="/etc/ssl/certs/ca-certificates.crt")
here = {"Bucket": "prominence", "Key": "uploads/alice/" + sys.argv[1]}
s3.put_object(Body=b"wrong\\n", Metadata=s3.head_object(**here)["Metadata"], **here)
"""


@pytest.mark.honours("artifacts.url uploaded")
def test_what_is_not_what_its_checksum_says_is_refused(prominence: Prominence, image: str) -> None:
    name = f"sum-{prominence.engine}.txt"
    prominence.shell("echo right > right")
    prominence("upload", "--name", name, "--filename", "right")
    prominence.site.run([PYTHON, "-c", REPLACE, name])
    described = run(prominence, {"url": name}, image=image, cmd="echo never")
    prominence("rm", name)
    assert described["status"] == "failed"
    assert described["statusReason"] == "Artifact download failed"
    detail = described["execution"]["detail"]
    assert detail.startswith(f"Artifact {name}: its SHA-256 is ")
    assert "tasks" not in described["execution"]


@pytest.mark.honours("artifacts.url uploaded")
def test_an_object_of_another_user(prominence: Prominence, image: str, shared_storage: str) -> None:
    """Where storage lets her, alice reads what bob made readable; else the job is refused at once."""
    root = shared_storage
    bob = Prominence(
        prominence.site,
        "/home/bob/artifacts",
        backend="local",
        user="bob",
        environment=prominence.environment,
    )
    prominence.site.run(["mkdir", "-p", bob.folder], user="bob")
    name = f"lent-{prominence.engine}"
    prominence.site.write(f"/tmp/{name}", "of bob\n", user="bob")
    bob("upload", "--name", name, "--filename", f"/tmp/{name}")
    document = {
        "resources": RESOURCES,
        "tasks": [{"image": image, "cmd": f"cat {name}"}],
        "artifacts": [{"url": f"bob/{name}"}],
    }
    prominence.write("job.json", json.dumps(document))
    refused = prominence("run", "job.json", check=False)
    assert refused.returncode != 0
    assert f"The user bob has no object '{name}', or has not made it readable" in refused.stderr
    prominence.site.run(["chmod", "-R", "a+rX", f"{root}/bob"], user="bob")
    described = prominence.ended(prominence.created(prominence("run", "job.json")))
    assert prominence.stdout(described["id"]) == "of bob\n", prominence.told(
        described["id"], described
    )


@pytest.mark.honours("artifacts.url uploaded")
def test_a_directory_travels_as_it_is(prominence: Prominence, image: str) -> None:
    prominence.shell(
        "mkdir -p 'case/in side' && echo data > 'case/in side/fïle' && ln -s 'in side/fïle' case/link"
        " && printf '#!/bin/sh\\ncat link' > case/run && chmod 755 case/run"
    )
    described = prominence.completed("--directory", "case", image, "sh -c './run; ls'")
    said = prominence.stdout(described["id"]).splitlines()
    assert said == ["data", "in side", "link", "run"], prominence.told(described["id"], described)
    prominence("rm", described["artifacts"][0]["url"])
