"""How the image's own MPI is started: command lines, variables and files for it. Nothing is run here.

``mpirun`` of the image starts its daemons on the other nodes as it would by ssh; in ssh's place
stands :data:`AGENT`, see :mod:`.agents`. All of it is said by what every version understands: options,
host files, and variables, of which each version takes those that it knows.
"""

import os

from .given import provisioned
from .text import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

FOLDER = ".prominence"  # in the task's /tmp, which is the node's own
AGENT = "/tmp/%s/agent" % FOLDER
HOSTS = "/tmp/%s/hosts" % FOLDER
TYPES = ("openmpi", "mpich", "intelmpi")
HERE = "localhost"
# Hydra passes node 0's environment on to all processes, node 0's number with it. (With its -genvnone MPICH 4.2
# does not end the others when one process fails.)
NODE = "/tmp/%s/node" % FOLDER
WITH_NODE = ("/bin/sh", "-c", '. %s; exec "$@"' % NODE, "sh")
# Intel MPI that finds this variable has "singularity exec IMAGE" start its daemons; they are in the image.
WITHOUT_CONTAINER = ("/bin/sh", "-c", 'unset SINGULARITY_CONTAINER; exec "$@"', "sh")


def is_mpi(task: "dict[str, Any]") -> bool:
    return task["type"] in TYPES


def processes_per_node(task: "dict[str, Any]", cpus: int) -> int:
    """The task's wish, else the CPUs of a node."""
    return int(task["processes_per_node"] or cpus)


def prepared(
    plan: "dict[str, Any]", nodes: int, node: int, environ: "Mapping[str, str]"
) -> "dict[str, Any]":
    """The plan with ``mpirun`` in front of what MPI tasks run, as node ``node`` of so many has to do it.

    ``environ`` is the wrapper's own, which tells what the scheduler has given.
    """
    cpus = given_cpus(plan, environ)
    tasks = []
    for task in plan["tasks"]:
        if is_mpi(task):
            count = processes_per_node(task, cpus)
            binds = cpus_are_ours(cpus) and _fills(task, cpus, count)
            task = dict(
                task,
                command=[*mpirun(task["type"], nodes * count, binds), *task["command"]],
                environment=dict(variables(task["type"], binds), **task["environment"]),
            )
        tasks.append(task)
    return dict(plan, tasks=tasks, nodes=nodes, node_num=node)


def given_cpus(plan: "dict[str, Any]", environ: "Mapping[str, str]") -> int:
    return int(provisioned(plan, environ)["cpus"])


def _fills(task: "dict[str, Any]", cpus: int, count: int) -> bool:
    """Whether there is a process for each CPU; else threads need those that are left."""
    return count >= cpus and task["environment"].get("OMP_NUM_THREADS", "1") == "1"


def cpus_are_ours(cpus: int) -> bool:
    """Whether we are confined to about as many CPUs as were given, each perhaps of two threads."""
    return len(os.sched_getaffinity(0)) <= 2 * cpus


def mpirun(kind: str, processes: int, binds: bool) -> "list[str]":
    """The words before the user's own.

    Without ``binds`` no process is bound: two jobs on a node would be bound to the same CPUs.

    >>> mpirun("mpich", 8, False)[:5]
    ['mpirun', '-n', '8', '-machinefile', '/tmp/.prominence/hosts']
    """
    if kind == "openmpi":
        unbound = [] if binds else ["--map-by", "slot", "--bind-to", "none"]
        return ["mpirun", "-n", str(processes), "--hostfile", HOSTS, *unbound]
    words = ["mpirun", "-n", str(processes), "-machinefile", HOSTS, *WITH_NODE]
    return words if kind == "mpich" else [*WITHOUT_CONTAINER, *words]


def variables(kind: str, binds: bool) -> "dict[str, str]":
    """What has an MPI start its daemons by the agent, all from node 0, and keep them in its sight."""
    if kind == "openmpi":
        found = {
            # PRRTE is the part of Open MPI 5 that starts processes.
            "OMPI_MCA_plm_rsh_agent": AGENT,
            "PRTE_MCA_plm_ssh_agent": AGENT,
            "OMPI_MCA_plm_rsh_no_tree_spawn": "1",
            "PRTE_MCA_plm_ssh_no_tree_spawn": "1",
            # A daemon that leaves its container's first process would lose the container.
            "OMPI_MCA_orte_leave_session_attached": "1",
            "PRTE_MCA_prte_leave_session_attached": "1",
        }
        for name in ("OMPI_ALLOW_RUN_AS_ROOT", "PRTE_ALLOW_RUN_AS_ROOT"):
            found[name] = found[name + "_CONFIRM"] = "1"
        return found
    if kind == "mpich":
        return {"HYDRA_LAUNCHER": "ssh", "HYDRA_LAUNCHER_EXEC": AGENT}
    found = {"I_MPI_HYDRA_BOOTSTRAP": "ssh", "I_MPI_HYDRA_BOOTSTRAP_EXEC": AGENT}
    if not binds:
        found["I_MPI_PIN"] = "off"
    return found


def host_file(kind: str, names: "Sequence[str]", count: int) -> str:
    """Every node with its number of processes.

    >>> host_file("openmpi", ["a", "b"], 4)
    'a slots=4\\nb slots=4\\n'
    >>> host_file("intelmpi", ["a"], 4)
    'a:4\\n'
    """
    form = "%s slots=%d\n" if kind == "openmpi" else "%s:%d\n"
    return "".join(form % (name, count) for name in names)


def own_name(kind: str, nodes: int, name: str, address: str) -> str:
    """What node 0 is called in the host file.

    Open MPI knows itself by its host's name. Hydra gives the name to the other nodes for calling back,
    and there an address is good in any case.
    """
    if nodes == 1:
        return HERE
    return name if kind == "openmpi" else address


def lay_out(folder: bytes, node: int, hosts: str, agent: str) -> None:
    """Write the files that the command lines name; the task itself may have removed older ones."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    number = "export PROMINENCE_NODE_NUM=%d\n" % node
    files = ((b"hosts", hosts, 0o600), (b"node", number, 0o600), (b"agent", agent, 0o700))
    for name, text, mode in files:
        path = os.path.join(folder, name)
        with open(path + b".part", "wb") as stream:
            stream.write(encode(text))
        os.chmod(path + b".part", mode)
        os.rename(path + b".part", path)
