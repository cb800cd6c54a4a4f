"""Small images of one test's own: as files, in the site's registries, and at a web address."""

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.engine.prominence import Prominence
from tests.site.handle import Site
from tests.site.topology import HOSTS

__all__ = ["OPEN", "PASSWORD", "TOKENS", "Shelf", "hosts_of", "pulls", "with_cache"]

# Registries on the login node: a password for all, none, tokens of another server.
PASSWORD, OPEN, TOKENS = "login:5000", "login:5001", "login:5002"
NAMES = {PASSWORD: "private", OPEN: "public", TOKENS: "token"}
SCRIPT = "/tmp/image_script.py"
PORT_FILE = "port"
SERVE = """
import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(("", 0), handler)
open(sys.argv[1] + "/port", "w").write(str(server.server_address[1]))
server.serve_forever()
"""


@dataclass
class Shelf:
    """``name`` is in every image's name, so that no other test has the same ones."""

    site: Site
    name: str

    @classmethod
    def of(cls, site: Site) -> "Shelf":
        script = (Path(__file__).parent / "image_script.py").read_text()
        site.write(SCRIPT, script, user="root")
        return cls(site, secrets.token_hex(4))

    def password(self, user: str = "alice") -> str:
        return self.site.read(f"/home/{user}/.registry-password", user=user).strip()

    def credential(self, user: str = "alice") -> dict[str, str]:
        return {"username": user, "token": self.password(user)}

    def push(self, registry: str, mark: str, repository: str = "images") -> str:
        """Docker image ``REGISTRY/REPOSITORY/NAME-MARK:1``; returns its digest."""
        login = ["alice", "~/.registry-password"] if registry != OPEN else []
        reference = self.docker(registry, mark, repository)
        done = self.site.run(["python3", SCRIPT, "push", reference, mark, *login])
        return done.stdout.strip()

    def docker(self, registry: str, mark: str, repository: str = "images") -> str:
        return f"{registry}/{repository}/{self.name}-{mark}:1"

    def push_sif(self, sif: str, registry: str, mark: str) -> str:
        """The file ``sif`` as ``oras://REGISTRY/sif/NAME-MARK:1``, which is returned."""
        reference = f"oras://{registry}/sif/{self.name}-{mark}:1"
        login = {
            "APPTAINER_DOCKER_USERNAME": "alice",
            "APPTAINER_DOCKER_PASSWORD": self.password(),
        }
        self.site.run(["apptainer", "-q", "push", sif, reference], env=login)
        return reference

    def save(self, path: str, mark: str) -> str:
        """A docker archive at a path on the login node; returns its SHA-256."""
        done = self.site.run(["python3", SCRIPT, "save", path, mark])
        return done.stdout.strip().removeprefix("sha256:")

    def build(self, path: str, mark: str) -> str:
        """A SIF file at a path on the login node; returns its SHA-256."""
        self.save(f"{path}.tar", mark)
        self.site.run(["apptainer", "-q", "build", "-F", path, f"docker-archive:{path}.tar"])
        self.site.run(["rm", f"{path}.tar"])
        return hashlib.sha256(self.site.read_bytes(path)).hexdigest()

    def requests(self, registry: str, mark: str, words: str = "/blobs/") -> int:
        """How many layers (or other things) of an image runtimes have asked this registry for."""
        log = self.site.read(f"/var/log/registry/{NAMES[registry]}.log", user="root")
        pattern = rf'"GET /v2/\S*{self.name}-{mark}{words}\S* HTTP/[0-9.]+" 200'
        return len(re.findall(pattern, log))

    @contextmanager
    def web(self, folder: str) -> Iterator[str]:
        """The address of a web server over a folder of the login node; its log is ``web.log`` there."""
        run = ["bash", "-c", f'exec python3 -c "$1" {folder} 2> {folder}/web.log', "bash", SERVE]
        server = self.site.popen(run)
        try:
            wait = f"for i in $(seq 100); do [ -s {folder}/port ] && break; sleep 0.1; done"
            port = self.site.run(["sh", "-c", f"{wait}; cat {folder}/port"]).stdout
            yield f"http://login:{port}"
        finally:
            self.site.run(["pkill", "-f", f"SimpleHTTPRequestHandler.*{folder}"], check=False)
            server.communicate(timeout=30)


def hosts_of(backend: str) -> list[str]:
    """Where jobs of a backend run."""
    roles = {"slurm": "compute", "htcondor": "execute", "local": "login"}
    return [host.name for host in HOSTS if host.role == roles[backend]]


def with_cache(prominence: Prominence, *lines: str) -> str:
    """A configuration with an image cache of this test's own, whose folder is returned.

    It is in the home: that of Slurm's nodes is one folder for all of them.
    """
    cache = f"{prominence.folder}/cache"
    path = f"{prominence.folder}/config.toml"
    settings = [f"[sites.{prominence.backend}]", f'image_cache = "{cache}"', *lines]
    prominence.write("config.toml", "\n".join(settings) + "\n")
    prominence.environment["PROMINENCE_CONFIG"] = path
    return cache


def pulls(described: dict[str, Any]) -> list[tuple[str, str | None]]:
    """What became of each task's image: its status and its checksum."""
    return [
        (task["imagePullStatus"], task.get("imageSha256"))
        for task in described["execution"]["tasks"]
    ]
