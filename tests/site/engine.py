"""The Docker engine: the one that answers, else our own, installed by apt and started here."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.site import commands, paths
from tests.site.errors import SiteError, UnsupportedMachine, tail_of

SOCKET = paths.ENGINE / "docker.sock"
PIDFILE = paths.ENGINE / "dockerd.pid"
LOG = paths.LOGS / "dockerd.log"
PACKAGES = ("docker.io", "iptables", "mmdebstrap")
START_SECONDS = 30
# A container that ignores SIGTERM delays the engine's end by ten seconds.
STOP_SECONDS = 40


def find() -> str | None:
    """The address of the engine that holds or would hold the site; None where none answers.

    $DOCKER_HOST, then the one that an earlier run started, then the machine's own.
    """
    given = os.environ.get("DOCKER_HOST")
    candidates = [given] if given else [f"unix://{SOCKET}", "unix:///var/run/docker.sock"]
    return next((host for host in candidates if answers(host)), None)


def answers(host: str, path: str = "/_ping") -> bool:
    """Whether the engine at `host` has something at `path` of its API. Takes a millisecond."""
    if not host.startswith("unix://"):
        return True  # somebody's own engine elsewhere: the first real call will tell
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(host.removeprefix("unix://"))
            connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            return b" 200 " in connection.recv(64)
    except OSError:
        return False


def ensure() -> str:
    """The address of an engine that answers, installed and started if there was none."""
    host = find()
    if host:
        return host
    _install()
    host = find()  # where systemd runs, installing has started it
    return host or _start()


def _install() -> None:
    missing = [p for p in ("dockerd", "docker", "iptables") if not shutil.which(p, path=_path())]
    if not missing:
        return
    require_root_and_apt("a container engine")
    install_packages(*PACKAGES)
    if not shutil.which("docker", path=_path()):  # a package of its own from Debian 13 on
        install_packages("docker-cli")


def require_root_and_apt(purpose: str) -> None:
    if os.geteuid() != 0:
        message = f"The test site needs root to make {purpose}; run it as root."
        raise UnsupportedMachine(message)
    if not shutil.which("apt-get"):
        message = f"The test site needs apt-get (Debian) to make {purpose}; there is none here."
        raise UnsupportedMachine(message)


def update_package_lists() -> None:
    commands.run(["apt-get", "update", "-q"], timeout=180)


def install_packages(*packages: str) -> None:
    update_package_lists()
    argv = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    commands.run(argv, timeout=300, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def _start() -> str:
    require_root_and_apt("a container engine")
    paths.ENGINE.mkdir(parents=True, exist_ok=True)
    paths.LOGS.mkdir(parents=True, exist_ok=True)
    # Before the engine starts: it would otherwise set this itself and FORWARD to DROP.
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")
    host = f"unix://{SOCKET}"
    argv = ["dockerd", "--data-root", f"{paths.ENGINE}/data", "--exec-root", f"{paths.ENGINE}/run"]
    argv += ["--pidfile", f"{PIDFILE}", "-H", host]
    with LOG.open("w") as log:
        daemon = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PATH": _path()},
        )
    deadline = time.monotonic() + START_SECONDS
    while daemon.poll() is None and time.monotonic() < deadline:
        if answers(host):
            return host
        time.sleep(0.1)
    ended = f"ended with exit code {daemon.returncode}"
    message = f"dockerd {ended if daemon.returncode is not None else 'does not answer'}"
    raise SiteError(message, tail_of(LOG))


def stop() -> None:
    """Ends the engine if an earlier run of ours started it, and deletes all that it kept."""
    pid = _own_pid()
    if pid:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while _own_pid() and time.monotonic() < deadline:
            time.sleep(0.1)
        if _own_pid():
            message = f"dockerd (process {pid}) did not end within {STOP_SECONDS} s"
            raise SiteError(message, tail_of(LOG))
    if paths.ENGINE.exists():
        _unmount_below(paths.ENGINE)
        shutil.rmtree(paths.ENGINE)


def _unmount_below(folder: Path) -> None:
    """dockerd mounts its data folder on itself, and leaves it so when it fails to start."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    mounted = [Path(line.split()[4]) for line in lines]
    for path in sorted((p for p in mounted if p.is_relative_to(folder)), reverse=True):
        commands.run(["umount", str(path)], timeout=30)


def _own_pid() -> int | None:
    """The process of our engine; the pidfile may be left from before a restart of the machine."""
    try:
        pid = int(PIDFILE.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if str(SOCKET).encode() in command else None
