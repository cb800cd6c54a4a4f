"""How the services are: what each host's own `health` and `versions` scripts say."""

import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tests.site.errors import SiteError, tail
from tests.site.handle import Site
from tests.site.steps import side_by_side
from tests.site.topology import HOSTS, Host

READY_SECONDS: Final = 90
# The scripts bound each question; this bounds all of them.
ASK_SECONDS: Final = 30


@dataclass(frozen=True)
class Service:
    host: str
    name: str
    ok: bool
    detail: str
    log: str


def ask(site: Site, hosts: Iterable[Host] = HOSTS) -> list[Service]:
    """One entry for each service, all hosts asked at once, in the order of the hosts."""
    found: dict[str, list[Service]] = {}

    def ask_one(host: Host) -> None:
        found[host.name] = _services(site, host)

    hosts = list(hosts)
    side_by_side(*[lambda host=host: ask_one(host) for host in hosts])
    return [service for host in hosts for service in found[host.name]]


def versions(site: Site) -> dict[str, str]:
    """Version by name of program, of the login node and of the S3 server."""
    lines: list[str] = []
    for host in ("login", "s3"):
        said = site.run(["/opt/site/versions"], user="root", host=host, timeout=30)
        lines += said.stdout.splitlines()
    return dict(line.split("\t", 1) for line in lines)


def wait(site: Site, seconds: float = READY_SECONDS) -> None:
    """Returns when every service is well; else a SiteError with the tail of the right log."""
    deadline = time.monotonic() + seconds
    waiting = list(HOSTS)
    while True:
        bad = [service for service in ask(site, waiting) if not service.ok]
        if not bad:
            return
        if time.monotonic() > deadline:
            raise _failure(site, bad[0], seconds)
        waiting = [host for host in waiting if any(s.host == host.name for s in bad)]
        time.sleep(0.5)


def _services(site: Site, host: Host) -> list[Service]:
    argv = ["/opt/site/health", host.role]
    try:
        said = site.run(argv, user="root", host=host.name, timeout=ASK_SECONDS, check=False)
    except (AssertionError, subprocess.TimeoutExpired):
        return [Service(host.name, "container", False, "does not answer", "-")]
    if said.returncode != 0:
        return [Service(host.name, "container", False, said.stderr.strip()[:80], "-")]
    fields = [line.split("\t") for line in said.stdout.splitlines()]
    return [Service(host.name, name, ok == "ok", what, log) for name, ok, what, log in fields]


def _failure(site: Site, service: Service, seconds: float) -> SiteError:
    where = f"{service.name} on {service.host}"
    message = f"{where} is not well after {seconds:.0f} s: {service.detail}"
    log = site.run(
        ["tail", "-n", "25", service.log], user="root", host=service.host, check=False, timeout=20
    )
    return SiteError(message, tail(log.stdout))
