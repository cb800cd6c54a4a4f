"""Several nodes of one job on this machine, each a runner of its own, as HTCondor would start them.

Beside the stand-in for Apptainer stands one for an image's mpirun: it starts a shell line for each line of
the host file, on other nodes by what it finds in ssh's place.
"""

import os
import subprocess
from pathlib import Path
from typing import Any

from prominence_hpc.wrappers import plan as plans
from tests.unit.wrappers.runs import APPTAINER, Runs

# The container's /tmp is where the runner binds something to it; its environment, what tests look at.
WITH_TMP = APPTAINER.replace(
    'exec "$@"',
    "export PROMINENCE_NODE_NUM=$APPTAINERENV_PROMINENCE_NODE_NUM\n"
    'export PROMINENCE_NODES=$APPTAINERENV_PROMINENCE_NODES\nexec "$@"',
).replace(
    "    --bind | --mount",
    '    --bind) case "$2" in *:/tmp) export CONTAINER_TMP="${2%:/tmp}" ;; esac; shift 2 ;;\n    --mount',
)
MPIRUN = r"""#!/bin/sh
while [ "$1" != -- ] && [ $# -gt 0 ]; do shift; done
shift
export PROMINENCE_NODE_NUM
folder=$CONTAINER_TMP/.prominence
first=yes
while IFS=: read -r host count; do
    if [ $first ]; then sh -c "$*" & else "$folder/agent" -x -o "A b" "$host" "$@" & fi
    first=
    started="$started $!"
done < "$folder/hosts"
trap 'kill $started' TERM
worst=0
for one in $started; do wait "$one" || { code=$?; [ $worst != 0 ] || worst=$code; }; done
exit $worst
"""


class Nodes(Runs):
    """The first node's folder is ``job``, as that of a job of one; others have ``node-1``, ``node-2``…"""

    def __init__(self, folder: Path, count: int = 2) -> None:
        super().__init__(folder)
        (folder / "bin/apptainer").write_text(WITH_TMP)
        (folder / "bin/mpirun").write_text(MPIRUN)
        (folder / "bin/mpirun").chmod(0o755)
        self.count = count
        self.others: list[subprocess.Popen[str]] = []
        self.lacking: tuple[int, ...] = ()  # nodes without the image

    def start(self, *tasks: plans.Task, **fields: Any) -> "subprocess.Popen[str]":
        shared = {"nodes": self.count, "shared_scratch": str(self.folder / "shared")}
        self.environment |= {"_CONDOR_NPROCS": str(self.count), "_CONDOR_PROCNO": "0"}
        leader = super().start(*tasks, **{**shared, **fields})
        self.others = [self.follower(number) for number in range(1, self.count)]
        return leader

    def follower(self, number: int) -> "subprocess.Popen[str]":
        folder = self.folder / f"node-{number}"
        folder.mkdir()
        for name in ("plan.json", "image.sif"):
            if name == "plan.json" or number not in self.lacking:
                (folder / name).write_bytes((self.folder / "job" / name).read_bytes())
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return subprocess.Popen(
            self.argv(folder),
            env={
                **os.environ,
                "PATH": path,
                **self.environment,
                "_CONDOR_PROCNO": str(number),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process: "subprocess.Popen[str]") -> None:
        super().finish(process)
        self.outputs = [other.communicate(timeout=60) for other in self.others]
        self.codes = [other.returncode for other in self.others]

    def log_of(self, number: int) -> str:
        below = "" if self.number is None else f"{self.number}/"
        return (self.folder / f"node-{number}/{below}wrapper.log").read_text()

    def nothing_is_left(self) -> bool:
        places = [self.folder / name for name in ("scratch", "shared")]
        return [path for place in places for path in place.iterdir()] == []


def by_mpi(text: str, **fields: Any) -> plans.Task:
    return plans.Task(image=0, command=("--", text), type="mpich", processes_per_node=1, **fields)
