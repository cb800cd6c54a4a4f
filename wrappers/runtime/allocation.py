"""How many nodes the scheduler gave to this job, and which of them this one is."""

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

LEADER = 0


class Allocation:
    """``nodes`` in all; ``number`` of this one; ``by_step``: the leader has to start the others itself."""

    def __init__(self, nodes: int, number: int, by_step: bool) -> None:
        self.nodes = nodes
        self.number = number
        self.by_step = by_step


def of_environment(plan: "dict[str, Any]", environ: "Mapping[str, str]") -> Allocation:
    """What sbatch(1) and HTCondor's parallel universe tell a job; one node where the plan is for one.

    >>> plan = {"shared_scratch": "/pool"}
    >>> vars(of_environment(plan, {"_CONDOR_NPROCS": "3", "_CONDOR_PROCNO": "2"}))
    {'nodes': 3, 'number': 2, 'by_step': False}
    """
    if not plan.get("shared_scratch"):
        return Allocation(1, LEADER, by_step=False)
    if "_CONDOR_PROCNO" in environ:
        nodes = _count(environ.get("_CONDOR_NPROCS"))
        return Allocation(nodes, int(environ["_CONDOR_PROCNO"]), by_step=False)
    nodes = _count(environ.get("SLURM_JOB_NUM_NODES"))
    return Allocation(nodes, LEADER, by_step=nodes > 1)


def of_step(environ: "Mapping[str, str]") -> Allocation:
    """What a node is told on which the leader's srun has started something: the leader has 0."""
    return Allocation(
        _count(environ.get("SLURM_JOB_NUM_NODES")), int(environ["SLURM_NODEID"]) + 1, True
    )


def addresses() -> "list[str]":
    """By which others may find this node: what its pool calls it first, then names, then interfaces."""
    name = os.uname().nodename
    found = [*_pool_address(), os.environ.get("SLURMD_NODENAME", ""), name]
    found += _interfaces()
    return list(dict.fromkeys(address for address in found if address))


def _pool_address() -> "list[str]":
    """The address by which HTCondor's daemons reach this machine: "<10.1.2.3:9618?...>" in its ad."""
    path = os.environ.get("_CONDOR_MACHINE_AD")
    if not path:
        return []
    try:
        with open(path, "rb") as stream:
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return []
    match = re.search(r'^MyAddress = "<(\[[0-9a-fA-F:]+\]|[0-9.]+):', text, re.MULTILINE)
    return [match.group(1).strip("[]")] if match else []


def _interfaces() -> "list[str]":
    """The IPv4 address of every interface but the loopback: netdevice(7)."""
    import fcntl
    import socket
    import struct

    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", os.fsencode(name)[:15])
            try:
                answer = fcntl.ioctl(probe.fileno(), 0x8915, request)  # SIOCGIFADDR
            except OSError:
                continue  # it has none
            found.append(socket.inet_ntoa(answer[20:24]))
    return [address for address in found if not address.startswith("127.")]


def _count(text: "str | None") -> int:
    return int(text) if text and text.isdigit() else 1
