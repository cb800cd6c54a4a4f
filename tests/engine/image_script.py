"""Run by Python on a host of the site: makes small images, as files and in registries.

`save FILE MARK`: as `docker save` writes it. `push REGISTRY/NAME:TAG MARK [USER PASSWORD-FILE]`: to a registry by its API (https://distribution.github.io/distribution/spec/api/).
Both print the digest of the manifest or file. An image is busybox with the file /mark, which
holds MARK, and the entry point `echo entry` with `MARK` for its words.
"""

import base64
import hashlib
import http.client
import io
import json
import platform
import re
import ssl
import subprocess
import sys
import tarfile
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
TOKEN = "Authorization"


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def layer(files: dict[str, tuple[bytes, int]], links: dict[str, str], folders: list[str]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name in folders:
            member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(member)
        for name, (content, mode) in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
        for name, target in links.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return written.getvalue()


def base() -> bytes:
    listed = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True)
    links = {f"bin/{name}": "busybox" for name in listed.stdout.split() if name != "busybox"}
    folders = ["bin", "etc", "tmp", "home", "root", "proc", "sys", "dev", "var", "var/tmp", "usr"]
    busybox = Path("/bin/busybox").read_bytes()
    files = {"bin/busybox": (busybox, 0o755), "mark": (b"of the layer below\n", 0o644)}
    return layer(files, links, folders)


def image(mark: str) -> tuple[bytes, list[bytes]]:
    """The configuration and the layers."""
    layers = [base(), layer({"mark": (f"{mark}\n".encode(), 0o644)}, {}, [])]
    configuration = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "config": {
            "Env": ["PATH=/bin", "FROM_IMAGE=yes"],
            "Entrypoint": ["/bin/echo", "entry"],
            "Cmd": [mark],
        },
        "rootfs": {"type": "layers", "diff_ids": [sha256(content) for content in layers]},
        "history": [{"created": "2026-01-01T00:00:00Z"}] * 2,
    }
    return json.dumps(configuration).encode(), layers


def save(path: str, mark: str) -> str:
    """Compressed where the name ends in .tgz."""
    configuration, layers = image(mark)
    names = [f"{sha256(content)[7:]}/layer.tar" for content in layers]
    manifest = [{"Config": "config.json", "RepoTags": [f"saved:{mark}"], "Layers": names}]
    files = {"config.json": configuration, "manifest.json": json.dumps(manifest).encode()}
    files.update(zip(names, layers, strict=True))
    with tarfile.open(path, "w:gz" if path.endswith(".tgz") else "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return sha256(Path(path).read_bytes())


class Registry:
    def __init__(self, host: str, login: "tuple[str, str] | None") -> None:
        self.host = host
        pair = base64.b64encode(":".join(login or ()).encode()).decode()
        self.login = {"Authorization": f"Basic {pair}"} if login else {}
        self.headers = self.login

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> dict[str, str]:
        connection = http.client.HTTPSConnection(
            self.host, context=ssl.create_default_context(), timeout=30
        )
        connection.request(method, path, body, {**self.headers, **headers})
        response = connection.getresponse()
        said = response.read().decode()
        connection.close()
        challenge = response.getheader("WWW-Authenticate") or ""
        if response.status == 401 and challenge.startswith("Bearer") and not headers.get(TOKEN):
            return self.ask(method, path, body, **{**headers, TOKEN: self.fetch_token(challenge)})
        if response.status >= 400 and not (method == "HEAD" and response.status == 404):
            message = f"{method} {path}: {response.status} {said[:300]}"
            raise SystemExit(message)
        return {"status": str(response.status), "body": said, **dict(response.getheaders())}

    def fetch_token(self, challenge: str) -> str:
        values = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        host, _, path = values["realm"].removeprefix("https://").partition("/")
        server = Registry(host, None)
        server.headers = self.login
        said = server.ask("GET", f"/{path}?service={values['service']}&scope={values['scope']}")
        return f"Bearer {json.loads(said['body'])['token']}"

    def put_blob(self, name: str, content: bytes) -> str:
        digest = sha256(content)
        if self.ask("HEAD", f"/v2/{name}/blobs/{digest}")["status"] == "200":
            return digest
        where = self.ask("POST", f"/v2/{name}/blobs/uploads/")["Location"]
        target = where[where.index("/v2/") :]
        stream = {"Content-Type": "application/octet-stream"}
        self.ask("PUT", f"{target}&digest={digest}", content, **stream)
        return digest

    def push(self, name: str, tag: str, mark: str) -> str:
        configuration, layers = image(mark)
        manifest = {
            "schemaVersion": 2,
            "mediaType": DOCKER,
            "config": self.described(name, DOCKER_CONFIG, configuration),
            "layers": [self.described(name, DOCKER_LAYER, content) for content in layers],
        }
        text = json.dumps(manifest).encode()
        self.ask("PUT", f"/v2/{name}/manifests/{tag}", text, **{"Content-Type": DOCKER})
        return sha256(text)

    def described(self, name: str, kind: str, content: bytes) -> dict[str, object]:
        return {"mediaType": kind, "size": len(content), "digest": self.put_blob(name, content)}


def push(reference: str, mark: str, *login: str) -> str:
    host, _, rest = reference.partition("/")
    name, _, tag = rest.rpartition(":")
    user = (login[0], Path(login[1]).expanduser().read_text().strip()) if login else None
    return Registry(host, user).push(name, tag, mark)


if __name__ == "__main__":
    command, *words = sys.argv[1:]
    print(save(*words) if command == "save" else push(*words))
