"""The runner on a host of the site, started by hand as the documentation says: RUNNER PLAN."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers import report
from prominence_hpc.wrappers.bundle import bundle
from prominence_hpc.wrappers.report import Report
from tests.site.handle import Site

RUNNER = "python3 -IS runner.pyz plan.json >stdout 2>stderr"
MAKE_IMAGE = """
mkdir -p "$1/root" && cd "$1" && cd root
mkdir -p bin tmp var/tmp home proc root sys dev etc usr .singularity.d
cp /bin/busybox bin/
for name in $(busybox --list); do [ "$name" = busybox ] || ln -s busybox "bin/$name"; done
printf '#!/bin/sh\\necho run script\\n' > .singularity.d/runscript
chmod +x .singularity.d/runscript
cd .. && apptainer -q build image.sif root
"""


@dataclass(frozen=True)
class ByHand:
    """A folder on a host of the site, with a runner, an image of busybox, and one plan at a time."""

    site: Site
    host: str
    folder: str
    defaults: dict[str, Any] = field(default_factory=dict)

    def prepare(self) -> None:
        self.site.run(["bash", "-ec", MAKE_IMAGE, "sh", self.folder], host=self.host)
        self.site.write(f"{self.folder}/runner.pyz", bundle(), host=self.host)

    def plan(self, *tasks: plans.Task, **fields: Any) -> plans.Plan:
        """A plan with sensible limits whose image is the busybox one."""
        plan = plans.Plan(
            job_id=7,
            job_uid="by-hand",
            name="by hand",
            cpus=1,
            memory_gb=1.5,
            disk_gb=10,
            walltime_seconds=60,
            limit_seconds=120,
            reserve_seconds=30,
            images=(plans.Image(name="image.sif", kind="sif", source=f"{self.folder}/image.sif"),),
            tasks=tasks,
            scratch=f"{self.folder}/scratch",
        )
        return dataclasses.replace(plan, **{**self.defaults, **fields})

    def run(self, plan: plans.Plan, *, before: str = "") -> Report:
        """Run one plan and read the report; ``before`` is shell text in the plan's folder."""
        self.site.run(["rm", "-f", f"{self.folder}/report.json"], host=self.host)
        self.site.write(f"{self.folder}/plan.json", plans.render(plan), mode=0o600, host=self.host)
        self.site.run(
            ["bash", "-c", f"{before}\n{RUNNER}"], host=self.host, cwd=self.folder, check=False
        )
        return self.report()

    def report(self) -> Report:
        found = report.parse(self.read("report.json"))
        assert found is not None
        return found

    def read(self, name: str) -> str:
        return self.site.read(f"{self.folder}/{name}", host=self.host)

    def environment(self, name: str) -> dict[str, str]:
        """The variables in a file that a task wrote by ``cat /proc/self/environ``."""
        raw = self.site.read_bytes(f"{self.folder}/{name}", host=self.host).decode()
        return dict(entry.split("=", 1) for entry in raw.split("\0") if entry)

    def left_over(self) -> list[str]:
        """What is in the scratch folder after a job: nothing should be."""
        listing = ["sh", "-c", f"ls -A {self.folder}/scratch 2>/dev/null || true"]
        return self.site.run(listing, host=self.host).stdout.split()


def output(name: str, **fields: Any) -> plans.Output:
    """An output that goes to the folder ``results`` beside the plan."""
    values = {"kind": "file", "object_name": name}
    destination = plans.Destination(method="folder", path="results")
    return plans.Output(**{"name": name, "destination": destination, **values, **fields})
