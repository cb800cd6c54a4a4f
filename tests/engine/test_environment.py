"""What a job finds around it on each engine, and what it must not: anything of the login node."""

import json
import secrets
from typing import Any

import pytest

from tests.engine.prominence import Prominence
from tests.site.topology import HOSTS

MACHINES = [host.name for host in HOSTS if host.image == "node"]
FORWARDED = "sp ace 'quote\" $HOME , 🐟"
# A login shell full of what should stay in it; each value is unmistakable.
POISON = {
    name: f"/poison/{name}"
    for name in (
        "HOME", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "BASH_ENV", "ENV", "TMPDIR", "XDG_RUNTIME_DIR",
        "APPTAINERENV_LEAK", "SINGULARITYENV_LEAK", "APPTAINER_BIND", "SINGULARITY_BIND", "APPTAINER_CONFIGDIR",
        "SBATCH_COMMENT", "SLURM_EXPORT_ENV", "SLURM_JOB_NAME", "_CONDOR_LEAK", "CONDOR_LEAK",
        "AWS_LEAK", "http_proxy", "ftp_proxy", "SSH_AUTH_SOCK", "VIRTUAL_ENV", "LC_LEAK", "MODULEPATH",
        "LEAK",
    )
}  # fmt: skip


@pytest.mark.honours("environment", "tasks.env")
def test_what_is_there_and_what_is_not(prominence: Prominence, image: str) -> None:
    """The contract's variables, the site's, what it forwards; in the container and in its wrapper."""
    token = f"token-{secrets.token_hex(8)}"
    mark = f"mark-{secrets.token_hex(4)}"
    backend = prominence.backend
    prominence.write(
        "config.toml",
        f"""
[sites.{backend}]
backend = "{backend}"
forward_environment = ["FORWARDED", "TOKEN", "NOT_SET", "BOTH"]
environment = {{ SITE = "the site's", BOTH = "the site's" }}
prologue = ["env -0 | tr '\\\\n\\\\0' ' \\\\n' | sed 's/^/outside: /' >&2"]
""",
    )
    prominence.environment |= POISON | {
        "PROMINENCE_CONFIG": f"{prominence.folder}/config.toml",
        "AWS_SHARED_CREDENTIALS_FILE": "/home/alice/.aws/credentials",
        "FORWARDED": FORWARDED,
        "TOKEN": token,
        "BOTH": "the user's",
    }
    task = {
        "image": image,
        "cmd": f"sh -c 'env; ls -A /tmp /var/tmp; echo > /tmp/{mark}; ls /var/tmp; pwd'",
        "env": {"MINE": 1, "SITE_2": "task"},
    }
    job = {"resources": {"cpus": 2, "memory": 2, "disk": 1}, "tasks": [task]}
    prominence.write("job.json", json.dumps(job))
    job_id = prominence.created(prominence("run", "job.json"))
    record = scheduler_record(prominence, job_id)
    described = prominence.ended(job_id)
    assert described["status"] == "completed", prominence.told(job_id, described)
    lines = prominence.stdout(job_id).splitlines()
    inside = dict(line.split("=", 1) for line in lines if "=" in line)
    expected = {
        "PROMINENCE_CPUS": "2",
        "PROMINENCE_NODES": "1",
        "PROMINENCE_NODE_NUM": "0",
        "PROMINENCE_TASK_NUM": "0",
        "PROMINENCE_CONTAINER_RUNTIME": "singularity",
        "PROMINENCE_JOB_ID": str(job_id),
        "HOME": "/home/user",
        **dict.fromkeys(("TMP", "TEMP", "TMPDIR"), "/tmp"),
        "MINE": "1",
        "SITE": "the site's",
        "BOTH": "the user's",
        "FORWARDED": FORWARDED,
        "TOKEN": token,
    }
    assert expected.items() <= inside.items()
    assert float(inside["PROMINENCE_MEMORY"]) >= 2
    assert "NOT_SET" not in inside
    foreign = ("SLURM_", "SBATCH", "AWS_", "_CONDOR", "CONDOR", "LD_PRELOAD", "PYTHON", "SSH_")
    assert [name for name in inside if name.startswith(foreign)] == []
    # /tmp begins empty, is the job's own (as /var/tmp), and not the node's.
    assert lines[-5:] == ["/tmp:", "", "/var/tmp:", mark, "/home/user"]
    for host in MACHINES:
        assert mark not in prominence.site.run(["ls", "/tmp"], host=host).stdout
    said = prominence("stderr", str(job_id)).stdout.splitlines()
    outside = dict(line[9:].split("=", 1) for line in said if line.startswith("outside: "))
    assert said == [line for line in said if line.startswith("outside: ")]  # ld.so says nothing
    for environment in (inside, outside):
        assert [name for name, value in environment.items() if "poison" in value] == []
    assert outside.get("HOME", "/home/alice") == "/home/alice"
    # The token is in the plan, which nobody else can read, and nowhere else.
    folder = f"{prominence.folder}/.prominence"
    found = prominence.shell(f"grep -rl {token} {folder} | grep -v /stdout$").split()
    assert [path.rsplit("/", 1)[1] for path in found] == ["plan.json"]
    assert prominence.shell(f"stat -c %a {found[0]}") == "600\n"
    assert token not in record


def scheduler_record(prominence: Prominence, job_id: int) -> str:
    """All that the scheduler tells about a job, while it has it; nothing where there is none."""
    handle: Any = prominence.describe(job_id)["execution"]["backendId"]
    commands = {
        "slurm": f"scontrol show job {handle}; scontrol write batch_script {handle} -",
        "htcondor": f"condor_q -l {handle}; condor_history -l {handle}",
        "local": "true",
    }
    told = prominence.site.run(["sh", "-c", commands[prominence.backend]], check=False).stdout
    assert told or prominence.backend == "local"
    return told
