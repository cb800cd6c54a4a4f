"""How Apptainer (or SingularityCE) is called: argument lists and environments, nothing run here."""

import os
import re

from .errors import TASK_NOT_STARTED, JobFailed
from .given import told
from .gpus import options as gpu_options
from .namespace import HOME
from .scratch import MOUNT
from .text import encode, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping

    from .scratch import Folders

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# The runtime keeps these for itself: HOME is ours to set (--home), the others are read-only words of
# its start script.
RESERVED = frozenset(("HOME", "UID", "GID"))
# What selects devices must cross --cleanenv, or a job computes on the wrong ones.
DEVICES = (
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
    "ZE_AFFINITY_MASK",
)
# The shell inside of Apptainer (mvdan/sh) takes these two control characters for its own marks: the one
# loses every variable, the other gains a backslash and a newline. Seen with 1.4.5.
UNPASSABLE = re.compile("[\x80\x81]")
PREFIXES = ("APPTAINER", "SINGULARITY")


def environment(
    plan: "dict[str, Any]", task_number: int, host: "Mapping[str, str]"
) -> "dict[str, str]":
    """What the task finds in its environment, by section 3 of the contract; the task's own wins."""
    task = plan["tasks"][task_number]
    variables = {name: host[name] for name in DEVICES if name in host}
    variables.update(plan["environment"])
    variables.update(plan["forwarded_environment"])
    for name, value in plan["parameters"].items():
        variables["PROMINENCE_PARAMETER_" + name] = value
    variables.update(dict.fromkeys(("TMP", "TEMP", "TMPDIR"), "/tmp"))
    variables.update(told(plan, host))
    variables.update(
        PROMINENCE_NODE_NUM=str(plan.get("node_num", 0)),
        PROMINENCE_TASK_NUM=str(task_number),
        PROMINENCE_CONTAINER_RUNTIME=task["runtime"],
        PROMINENCE_JOB_ID=str(plan["job_id"]),
    )
    if plan.get("workflow_id") is not None:
        variables["PROMINENCE_WORKFLOW_ID"] = str(plan["workflow_id"])
    variables.update(task["environment"])
    return {name: value for name, value in variables.items() if name not in RESERVED}


def runtime_environment(
    host: "Mapping[bytes, bytes]", scratch: "Folders", variables: "Mapping[str, str]", version: str
) -> "dict[bytes, bytes]":
    """The environment of the runtime itself, which carries the task's in APPTAINERENV_ variables.

    That is the one way by which every value arrives as it is: --env splits at commas and --env-file
    is a shell text. NO_EVAL makes the runtime quote the values where its start script exports them.
    """
    kept = {
        name: value
        for name, value in host.items()
        if not name.startswith((b"APPTAINERENV_", b"SINGULARITYENV_"))
    }
    quote = not knows_no_eval(version)
    kept.update(own_folders(host, scratch, version))
    for prefix in PREFIXES:
        kept[encode(prefix + "_NO_EVAL")] = b"1"
    # Apptainer would take a SINGULARITYENV_ variable too, but warns of each.
    prefix = "SINGULARITYENV_" if version.startswith("singularity") else "APPTAINERENV_"
    for name, value in variables.items():
        if not IDENTIFIER.match(name):
            detail = "Environment variable %s: a name is letters, digits and _." % shown(name)
            raise JobFailed(TASK_NOT_STARTED, detail)
        if UNPASSABLE.search(value):
            detail = "Environment variable %s: containers cannot be given U+0080 or U+0081." % name
            raise JobFailed(TASK_NOT_STARTED, detail)
        kept[encode(prefix + name)] = encode(_protected(value) if quote else value)
    return kept


def own_folders(
    host: "Mapping[bytes, bytes]", scratch: "Folders", version: str
) -> "dict[bytes, bytes]":
    """Where the runtime keeps files of its own: in the job's scratch folder, and not in a home.

    A user's own settings (remote endpoints, logins, keys) are read where there are some already.
    """
    folders = {}
    for prefix in PREFIXES:
        folders[encode(prefix + "_CACHEDIR")] = scratch.cache
        folders[encode(prefix + "_TMPDIR")] = scratch.build
    # Apptainer would take the variable of Singularity's name too, but tells of it.
    prefix = PREFIXES[version.startswith("singularity")]
    variable, home = encode(prefix + "_CONFIGDIR"), host.get(b"HOME")
    settings = os.path.join(home, encode("." + prefix.lower())) if home else b""
    if variable not in host and not os.path.isdir(settings):
        folders[variable] = os.path.join(scratch.cache, b"settings")
    return folders


def knows_no_eval(version: str) -> bool:
    """Whether this runtime can take values literally: Apptainer 1.1, SingularityCE 3.10 and later.

    >>> knows_no_eval("apptainer version 1.4.5"), knows_no_eval("singularity-ce version 3.9.2")
    (True, False)
    """
    match = re.search(r"(\d+)\.(\d+)", version)
    found = (int(match.group(1)), int(match.group(2))) if match else (0, 0)
    return found >= ((3, 10) if version.startswith("singularity") else (1, 1))


def _protected(value: str) -> str:
    """A value for runtimes that evaluate it between double quotes; they escape the quotes."""
    return re.sub(r"([\\$`])", r"\\\1", value)


def bind(source: bytes, target: bytes) -> "list[bytes]":
    """The option that shows ``source`` at ``target``; --mount takes what --bind would split.

    >>> bind(b"/a,b", b"/c")
    [b'--mount', b'type=bind,"source=/a,b","destination=/c"']
    """
    if re.search(rb'[,:\\"\n]', source + target):
        fields = [b"source=" + source, b"destination=" + target]
        quoted = [b'"' + field.replace(b'"', b'""') + b'"' for field in fields]
        return [b"--mount", b",".join([b"type=bind", *quoted])]
    return [b"--bind", source + b":" + target]


def argv(
    runtime: bytes, plan: "dict[str, Any]", task_number: int, image: bytes, scratch: "Folders"
) -> "list[bytes]":
    """The whole command line of a task. What follows the image is the task's own, untouched."""
    command = plan["tasks"][task_number]["command"]
    verb = b"run" if command is None else b"exec"
    words = surroundings(runtime, verb, plan, task_number, image, scratch)
    return words + [encode(word) for word in command or ()]


def surroundings(
    runtime: bytes,
    verb: bytes,
    plan: "dict[str, Any]",
    task_number: int,
    image: bytes,
    scratch: "Folders",
) -> "list[bytes]":
    """The command line that runs something where a task runs, up to the image."""
    task = plan["tasks"][task_number]
    # --silent leaves errors; its notes and warnings would mix with the task's standard error.
    words = [runtime, b"--silent", verb]
    words += [b"--contain", b"--cleanenv", b"--home", scratch.work + b":" + HOME]
    words += gpu_options(plan)
    for source, target in folders_of_job(plan, scratch):
        words += bind(source, target)
    for entry in plan["binds"]:
        words += [b"--bind", encode(entry)]
    words += [b"--pwd", workdir(plan, task)]
    if task.get("app"):
        words += [b"--app", encode(task["app"])]
    return [*words, image]


def folders_of_job(plan: "dict[str, Any]", scratch: "Folders") -> "Iterator[tuple[bytes, bytes]]":
    """What a container sees of the job beside its working directory: folder here, path there."""
    yield scratch.tmp, b"/tmp"
    yield scratch.tmp, b"/var/tmp"
    for artifact in plan["artifacts"]:
        mount = artifact.get("mount")
        if mount:
            yield scratch.work + b"/" + encode(mount["directory"]), encode(mount["path"])
    if plan["storage"] is not None:
        yield os.path.join(scratch.path, *MOUNT), encode(plan["storage"]["mountpoint"])


def workdir(plan: "dict[str, Any]", task: "dict[str, Any]") -> bytes:
    """Where the command starts, in the container."""
    folder = task.get("workdir") or ""
    for name in ("job", "workflow"):
        value = plan.get(name + "_id")
        for form in ("$PROMINENCE_%s_ID", "${PROMINENCE_%s_ID}"):
            folder = folder.replace(form % name.upper(), "" if value is None else str(value))
    if not folder:
        return HOME
    return encode(folder) if folder.startswith("/") else HOME + b"/" + encode(folder)
