"""What every row has at hand on the login node: folders, sizes, addresses, the one result maker."""

import os
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from time import time
from typing import Final

from prominence_hpc.adapter.storage.base import StorageSettings
from prominence_hpc.adapter.storage.credentials import find_credentials
from prominence_hpc.adapter.storage.sigv4 import Request, presign, quote_key
from tests.benchmarks.budgets import Budget, Result
from tests.benchmarks.measure import Sample, interleaved, timed

WORK: Final = Path("/var/tmp/prominence-bench")
# On the home that login and compute nodes share: Slurm jobs read their folders there.
HOME: Final = Path.home() / "benchmarks"
SOURCE: Final = Path(__file__).parents[2]
SITE_CONFIG: Final = Path("/etc/prominence/config.toml")
# Nothing that is submitted may start: it would run beside what is being timed.
CONFIG: Final = """\
[sites.held-slurm]
backend = "slurm"
directives = ["--hold"]

[sites.held-htcondor]
backend = "htcondor"
directives = ["requirements = false"]
"""
URL_SECONDS: Final = 3600
MIB: Final = 1 << 20


@dataclass(frozen=True)
class Workbench:
    """`size` is that of one large object in bytes; `objects` how many small ones there are."""

    size: int
    runs: int  # of rows that move much data
    short_runs: int  # of rows of milliseconds
    objects: int
    results: Callable[[Result], None] = field(repr=False)

    @cached_property
    def storage(self) -> StorageSettings:
        with SITE_CONFIG.open("rb") as file:
            return StorageSettings(**tomllib.load(file)["storage"])

    @cached_property
    def environment(self) -> dict[str, str]:
        """For `prominence`: a state and a configuration of its own."""
        configuration = HOME / "config"
        (configuration / "prominence").mkdir(parents=True, exist_ok=True)
        (configuration / "prominence" / "config.toml").write_text(CONFIG)
        own = {"XDG_CONFIG_HOME": str(configuration), "PROMINENCE_HOME": str(HOME / "state")}
        return {**os.environ, **own}

    def url(self, method: str, key: str) -> str:
        """A presigned URL, made as the program makes them."""
        assert self.storage.endpoint
        path = f"/{self.storage.bucket}/{quote_key(key)}"
        host = self.storage.endpoint.partition("://")[2]
        signed = presign(
            Request(method=method, host=host, path=path),
            find_credentials(self.storage),
            self.storage.region,
            seconds=URL_SECONDS,
            now=time(),
        )
        return self.storage.endpoint + signed

    def s5cmd(self, *words: str) -> list[str]:
        assert self.storage.endpoint
        program = shutil.which("s5cmd", path=f"{WORK}:{os.environ['PATH']}")
        return [
            program or "s5cmd",
            "--endpoint-url",
            self.storage.endpoint,
            *words,
        ]

    def object(self, key: str) -> str:
        """As s5cmd names it."""
        return f"s3://{self.storage.bucket}/{key}"

    def put(self, source: Path, key: str) -> None:
        timed(self.s5cmd("cp", str(source), self.object(key)))

    @contextmanager
    def objects_below(self, prefix: str) -> Iterator[str]:
        """`prefix`, below which nothing is left afterwards."""
        try:
            yield prefix
        finally:
            self.delete(self.keys_below(prefix))

    def keys_below(self, prefix: str) -> list[str]:
        argv = self.s5cmd("ls", "--show-fullpath", self.object(f"{prefix}*"))
        # its exit code is 1 where it finds nothing
        listing = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        start = len(self.object(""))
        return [line[start:] for line in listing.stdout.splitlines()]

    def delete(self, keys: list[str]) -> None:
        """One by one: S3's request for many at once wants rights that users need not have."""
        lines = "".join(f'url = "{self.url("DELETE", key)}"\n' for key in keys)
        argv = ["curl", "-sSf", "--parallel", "-X", "DELETE", "--config", "-"]
        if lines:
            subprocess.run(argv, input=lines.encode(), timeout=120, check=True)

    def compare(
        self,
        row: str,
        budget: Budget,
        ours: Callable[[int], Sample],
        bare: Callable[[int], Sample] | None = None,
        *,
        beside: str = "",
        runs: int | None = None,
        size_bytes: int | None = None,
    ) -> None:
        """Takes the samples of a row and hands its result on."""
        runs = runs or self.runs
        pair = interleaved(runs, ours, bare)
        own, other = pair.median()
        self.results(
            Result(
                row=row,
                ours=own,
                bare=other,
                beside=beside,
                runs=runs,
                size_bytes=size_bytes,
                resident_mib=round(pair.resident_mib(), 1),
                budget=budget,
            )
        )
