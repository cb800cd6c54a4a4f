"""What `site status` prints."""

import os

import docker
from docker.models.containers import Container

from tests.site import engine, health, topology
from tests.site.handle import Site

ENTER = "enter: tests/site/site exec [--user USER] [--host HOST] [-- COMMAND…]"


def status() -> tuple[str, bool]:
    """Hosts, services and the versions met; and whether all is well."""
    address = engine.find()
    if address is None:
        return "down: no container engine answers", False
    os.environ["DOCKER_HOST"] = address
    client = docker.from_env(timeout=60)
    found = topology.containers(client)
    if not found:
        return f"down (engine {address})", False
    running = [h for h in topology.HOSTS if h.name in found and found[h.name].status == "running"]
    services = health.ask(Site(), running)
    well = topology.is_whole(client) and all(service.ok for service in services)
    parts = [_hosts(found), _services(services)]
    if well:
        parts.append(_versions(Site()))
    parts.append(f"engine {address}\nS3 from this machine: {_s3_address(found)}\n{ENTER}")
    parts.append("well" if well else "NOT WELL: `site up` mends it")
    return "\n\n".join(parts), well


def _hosts(found: dict[str, Container]) -> str:
    rows: list[tuple[str, ...]] = [("HOST", "CONTAINER", "STATE", "MADE FROM")]
    for host in topology.HOSTS:
        container = found.get(host.name)
        if container is None:
            rows.append((host.name, "-", "missing", "-"))
        else:
            made = "this checkout" if topology.is_current(container) else "other sources"
            rows.append((host.name, str(container.name), container.status, made))
    return _table(rows)


def _services(services: list[health.Service]) -> str:
    rows: list[tuple[str, ...]] = [("HOST", "SERVICE", "", "")]
    rows += [(s.host, s.name, "ok" if s.ok else "BAD", s.detail) for s in services]
    return _table(rows)


def _versions(site: Site) -> str:
    return _table([("PROGRAM", "VERSION"), *health.versions(site).items()])


def _s3_address(found: dict[str, Container]) -> str:
    ports = found["s3"].ports.get(f"{topology.S3_PORT}/tcp") if "s3" in found else None
    return f"http://127.0.0.1:{ports[0]['HostPort']}" if ports else "-"


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)
