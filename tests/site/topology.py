"""The hosts of the site as containers, and the folders on this machine that they share."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import docker
from docker.errors import NotFound
from docker.models.containers import Container
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from tests.site import handle, images, paths
from tests.site.errors import SiteError, tail

# One container is one host: no privileges but what mounting inside a container takes.
HOST_OPTIONS: Final[dict[str, Any]] = {
    "cap_add": ["SYS_ADMIN", "SYS_PTRACE", "SYS_NICE"],
    "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
    "devices": ["/dev/fuse:/dev/fuse:rwm"],
    "shm_size": "512m",
}
DOMAIN: Final = "site.test"
S3_PORT: Final = 7480
KEYS_SECONDS = 60


@dataclass(frozen=True)
class Host:
    """`role` is what its boot script is told; `mounts` are paths here, there, and ro or rw."""

    name: str
    image: str
    role: str
    mounts: tuple[tuple[str, str, str], ...]

    @property
    def container(self) -> str:
        return handle.container(self.name)


_SHARED = (str(paths.SHARED), "/site", "ro")
_HOME = (str(paths.HOME), "/home", "rw")
_SOURCE = (str(paths.CHECKOUT), "/opt/prominence-source", "ro")
_POOL = (str(paths.POOL), "/pool", "rw")

HOSTS: Final = (
    Host("s3", "ceph", "s3", (_SHARED, (str(paths.CEPH), "/srv/ceph", "rw"))),
    Host("login", "node", "login", (_SHARED, _HOME, _SOURCE)),
    Host("node1", "node", "compute", (_SHARED, _HOME)),
    Host("node2", "node", "compute", (_SHARED, _HOME)),
    Host("exec1", "node", "execute", (_SHARED, _POOL)),
    Host("exec2", "node", "execute", (_SHARED, _POOL)),
)


def recipe() -> str:
    """What the running containers must have been made from: a change makes them all anew."""
    parts = [repr(HOSTS), repr(HOST_OPTIONS), *(images.tag_of(image) for image in images.SUITES)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def containers(client: docker.DockerClient) -> dict[str, Container]:
    """The site's containers by name of host, whatever their state."""
    found = client.containers.list(all=True, filters={"label": f"{paths.LABEL}={paths.NAME}"})
    return {str(c.labels.get(f"{paths.LABEL}.host", c.name)): c for c in found}


def is_whole(client: docker.DockerClient) -> bool:
    """Whether all hosts run, made from what the checkout now says."""
    found = containers(client)
    return set(found) == {host.name for host in HOSTS} and all(
        container.status == "running" and is_current(container) for container in found.values()
    )


def is_current(container: Container) -> bool:
    return bool(container.labels.get(f"{paths.LABEL}.recipe") == recipe())


def start(client: docker.DockerClient) -> None:
    """Makes new homes and secrets and starts every host. The site must be down."""
    for folder in (paths.HOME, paths.PRIVATE, paths.WHEELS, paths.CEPH, paths.POOL):
        folder.mkdir(parents=True)
    paths.PRIVATE.chmod(0o700)
    _make_keys(client)
    network = _network()
    for host in HOSTS:
        _container(host, network).start()


def remove(client: docker.DockerClient, *, of_all_sites: bool = False) -> None:
    """Leaves no container and no network of this site."""
    label = paths.LABEL if of_all_sites else f"{paths.LABEL}={paths.NAME}"
    for container in client.containers.list(all=True, filters={"label": label}):
        try:
            container.remove(force=True, v=True)
        except NotFound:
            continue
    for network in client.networks.list(filters={"label": label}):
        network.remove()


def _make_keys(client: docker.DockerClient) -> None:
    hosts = [host.name for host in HOSTS if host.image == "node"]
    keys = client.containers.run(
        images.tag_of("node"),
        ["/site", *hosts],
        entrypoint=["/opt/site/keys"],
        volumes={str(paths.PRIVATE): {"bind": "/site", "mode": "rw"}},
        labels={paths.LABEL: paths.NAME},
        network_mode="none",
        detach=True,
    )
    try:
        if keys.wait(timeout=KEYS_SECONDS)["StatusCode"] != 0:
            message = "the site's keys could not be made"
            raise SiteError(message, tail(keys.logs().decode()))
    finally:
        keys.remove(force=True)


def _network() -> Network:
    """A new network; the ports that its containers publish are for this machine alone."""
    network = Network(
        docker_network_kw={
            "labels": {paths.LABEL: paths.NAME},
            "options": {"com.docker.network.bridge.host_binding_ipv4": "127.0.0.1"},
        }
    )
    network.name = paths.NAME
    return network.create()


def _container(host: Host, network: Network) -> DockerContainer:
    labels = {
        paths.LABEL: paths.NAME,
        f"{paths.LABEL}.host": host.name,
        f"{paths.LABEL}.recipe": recipe(),
    }
    options = HOST_OPTIONS if host.image == "node" else {}
    container = (
        DockerContainer(images.tag_of(host.image), command=host.role, name=host.container)
        .with_network(network)
        .with_network_aliases(host.name, f"{host.name}.{DOMAIN}")
        .with_kwargs(hostname=host.name, domainname=DOMAIN, labels=labels, **options)
    )
    for here, there, mode in host.mounts:
        container.with_volume_mapping(here, there, mode)
    if host.name == "s3":
        container.with_exposed_ports(S3_PORT)
    return container
