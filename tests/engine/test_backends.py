"""The boundary to the engines: one body of tests for Slurm, HTCondor and local, on the real ones."""

import fcntl
import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from prominence_hpc.backends.htcondor.render import FENCE_SECONDS
from tests.engine.backend_client import Raised, RemoteBackend
from tests.engine.prominence import BACKENDS, SCHEDULERS, backend_and_transport
from tests.site import paths
from tests.site.handle import Site

HOSTILE_NAME = '-n "it\'s" $(touch {0}) `touch {0}` ${{HOME}} $ENV(HOME) $$(Arch) %j \\ \n é😀; #'
# A state folder that every engine can be told of; what is more than that has tests of its own.
HOSTILE_FOLDER = "-a 'b' \"c\" $(touch {0}) `id` %j %% $x, é😀; & #"

PRINTS = (
    "import sys; print('out'); print('err', file=sys.stderr); open('report.json', 'w').write('{}')"
)
LISTEN = """\
import socket
server = socket.create_server(("", 7999))
print("ready", flush=True)
input()
"""
WAITS = "import time; print('begun', flush=True); time.sleep(300)"


TRANSPORTS = ("commands", "pyslurm")


def remote_backend(site: Site, parameter: str, folder: str, **fields: Any) -> RemoteBackend:
    name, transport = backend_and_transport(parameter)
    return RemoteBackend(site, name, folder, transport=transport, **fields)


@pytest.fixture(params=BACKENDS)
def backend(site: Site, folder: str, request: pytest.FixtureRequest) -> Iterator[RemoteBackend]:
    backend = remote_backend(site, request.param, folder)
    yield backend
    if backend.handles:
        backend.call("cancel", backend.handles)


def test_a_job_runs_and_brings_home_what_it_wrote(backend: RemoteBackend) -> None:
    job = backend.submit(PRINTS)
    state = backend.wait(job)
    assert (state["cause"], state["exit_code"]) == ("exited", 0)
    assert state["start_time"] <= state["end_time"] <= state["start_time"] + 60
    assert len(state["nodes"]) == 1
    assert backend.output(job) == "out\n"
    assert backend.output(job, "stderr") == "err\n"
    assert backend.read(job, "report.json") == "{}"


def test_the_exit_code_is_kept(backend: RemoteBackend) -> None:
    state = backend.wait(backend.submit("import sys; sys.exit(37)"))
    assert (state["cause"], state["exit_code"]) == ("exited", 37)


def test_a_job_killed_on_its_node_is_told_from_one_that_ended(backend: RemoteBackend) -> None:
    state = backend.wait(backend.submit("import os; os.kill(os.getpid(), 9)"))
    assert (state["cause"], state["exit_code"]) == ("signaled", 137)


def test_a_runner_that_cannot_start_is_no_held_job(backend: RemoteBackend) -> None:
    backend.settings["prologue"] = ["exit 5"]
    state = backend.wait(backend.submit(PRINTS))
    assert (state["cause"], state["exit_code"]) == ("exited", 5)


def test_nothing_that_the_user_wrote_is_changed_or_executed(backend: RemoteBackend) -> None:
    proof = f"{backend.root}/executed"
    name = HOSTILE_NAME.format(proof)
    labels = {"a": name, "A": "x y", "-b": "é😀", "c": "x" * 64}
    folder = f"{backend.root}/{HOSTILE_FOLDER.format('executed')}"
    job = backend.submit(PRINTS, name=name, labels=labels, folder=folder)
    record = backend.record(job)
    assert record["name"] == name
    assert record["labels"] == labels
    assert record["folder"] == folder
    state = backend.wait(job)
    assert (state["cause"], state["exit_code"]) == ("exited", 0)
    assert backend.output(job) == "out\n"
    assert backend.output(job, "stderr") == "err\n"
    backend.site.run(
        ["sh", "-c", '! find "$1" / -maxdepth 1 -name executed | grep .', "sh", backend.root]
    )


def test_resources_and_walltime_land_in_the_scheduler(backend: RemoteBackend) -> None:
    job = backend.submit(
        PRINTS, cpus=2, memory_mib=300, disk_mib=70, limit_seconds=540, priority=7, name="a/b 1"
    )
    record = backend.record(job)
    fence = FENCE_SECONDS if backend.name == "htcondor" else 0
    assert (record["cpus"], record["memory_mib"], record["seconds"]) == (2, 300, 540 + fence)
    assert (record["name"], record["tag"]) == ("a/b 1", job.tag)
    if backend.name == "slurm":
        assert record["nice"] == 93
    else:
        assert record["priority"] == 7


def test_the_login_node_s_environment_stays_there(backend: RemoteBackend) -> None:
    backend.environment |= {"SECRET_TOKEN": "x", "SLURM_TIME_FORMAT": "%H", "LD_PRELOAD": ""}
    job = backend.submit("import json, os; print(json.dumps(dict(os.environ)))")
    backend.wait(job)
    seen = json.loads(backend.output(job))
    assert not {"SECRET_TOKEN", "SLURM_TIME_FORMAT", "LD_PRELOAD", "PYTHONPATH"} & seen.keys()
    assert seen["HOME"] == "/home/alice"
    assert "/usr/bin" in seen["PATH"].split(":")


def test_prologue_and_directives_of_the_site(backend: RemoteBackend) -> None:
    backend.settings["prologue"] = ["GREETING='hello world'; export GREETING"]
    if backend.name != "local":
        lines = {"slurm": "--comment='of the site'", "htcondor": 'My.Remark = "of the site"'}
        backend.settings["directives"] = [lines[backend.name]]
    job = backend.submit("import os; print(os.environ['GREETING'])")
    backend.wait(job)
    assert backend.output(job) == "hello world\n"


def test_output_is_seen_while_the_job_runs(backend: RemoteBackend) -> None:
    job = backend.submit(WAITS)
    assert backend.wait_for_output(job, "begun") == "begun\n"
    state = backend.state(job.handle)
    assert state["condition"] == "running"
    assert state["start_time"] is not None
    assert state["end_time"] is None


def test_a_running_job_is_told_to_end_and_does(backend: RemoteBackend) -> None:
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    open('told', 'w').close(); print('told', flush=True); sys.exit(3)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"{WAITS}"
    )
    job = backend.submit(code)
    backend.wait_for_output(job, "begun")
    backend.call("cancel", [job.handle])
    assert backend.wait(job)["cause"] == "cancelled"
    if backend.name == "htcondor":  # which brings nothing home from a removed job
        assert backend.read(job, "stdout") == "begun\n"  # fetched before it was told
    else:
        assert "told" in backend.read(job, "stdout")
    backend.call("cancel", [job.handle])  # once more: it is over, and no error


def test_find_knows_jobs_by_their_tag(backend: RemoteBackend) -> None:
    waiting = backend.submit(WAITS)
    ended = backend.submit(PRINTS)
    backend.wait(ended)
    found = backend.call("find", [waiting.tag, ended.tag, secrets.token_hex(16)])
    assert found == {waiting.tag: waiting.handle, ended.tag: ended.handle}


def test_jobs_that_nobody_knows(backend: RemoteBackend) -> None:
    unknown = {"htcondor": "987654.0", "slurm": "987654", "local": "f" * 32}[backend.name]
    assert backend.call("poll", [unknown])[unknown]["condition"] == "absent"
    assert backend.call("history", [unknown]) == {}
    backend.call("cancel", [unknown])


def test_a_thousand_jobs_are_asked_for_in_one_call(backend: RemoteBackend) -> None:
    job = backend.submit(WAITS)
    unknown = {
        "htcondor": [f"{number}.0" for number in range(900000, 901000)],
        "slurm": [str(number) for number in range(900000, 901000)],
        "local": [f"{number:032x}" for number in range(1000)],
    }[backend.name]
    states = backend.call("poll", [*unknown, job.handle])
    assert backend.seconds < 2
    assert states[job.handle]["condition"] in ("queued", "running")
    assert {states[handle]["condition"] for handle in unknown} == {"absent"}
    assert backend.call("history", unknown) == {}


def test_a_job_of_several_nodes(backend: RemoteBackend) -> None:
    if backend.name != "local":
        job = backend.submit(PRINTS, nodes=2)
        state = backend.wait(job)
        assert (state["cause"], state["exit_code"]) == ("exited", 0)
        if backend.name == "slurm":
            assert state["nodes"] == ["node1", "node2"]
        assert backend.output(job) == "out\n"
        return
    with pytest.raises(Raised, match="nodes must be 1") as raised:
        backend.submit(PRINTS, nodes=2)
    assert raised.value.error == "BackendError"


def test_files_travel_where_nodes_share_nothing(site: Site, folder: str) -> None:
    backend = RemoteBackend(site, "htcondor", folder)
    site.write(f"{folder}/a, b $x.sif", "image")
    site.run(["mkdir", f"{folder}/home of, outputs"])
    code = (
        "import os; os.makedirs('outputs-0/deep'); "
        "open('outputs-0/deep/file', 'w').write(open('object-0').read() + ' seen')"
    )
    job = backend.submit(
        code.replace("makedirs('outputs-0/deep')", "makedirs('outputs-0/deep', exist_ok=True)"),
        inputs=[[f"{folder}/a, b $x.sif", "object-0"]],
        outputs=[["outputs-0", f"{folder}/home of, outputs"]],
    )
    state = backend.wait(job)
    assert state["exit_code"] == 0, backend.output(job, "stderr")
    assert site.read(f"{folder}/home of, outputs/deep/file") == "image seen"


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no-such-partition": ({"partition": "nowhere"}, {}, "nowhere.*partition.*sinfo"),
    "too-much-memory": ({}, {"memory_mib": 9_999_999}, "[Mm]emory"),
    "nonsense": ({"directives": ["--nonsense"]}, {}, "nonsense.*directives"),
    "no-such-feature": ({"directives": ["--constraint=no"]}, {}, "feature.*constraint"),
}


@pytest.fixture(params=TRANSPORTS)
def slurm(site: Site, folder: str, request: pytest.FixtureRequest) -> RemoteBackend:
    return RemoteBackend(site, "slurm", folder, transport=request.param)


@pytest.mark.parametrize("case", REFUSED)
def test_slurm_refuses(slurm: RemoteBackend, case: str) -> None:
    settings, fields, message = REFUSED[case]
    slurm.settings = settings
    with pytest.raises(Raised, match=message) as raised:
        slurm.submit(PRINTS, **fields)
    assert raised.value.error == "BackendError"
    assert "\n" not in raised.value.message


def test_a_job_that_slurm_takes_and_never_starts_is_held(slurm: RemoteBackend) -> None:
    job = slurm.submit(PRINTS, nodes=40)
    state = slurm.wait(job, "held")
    assert state["reason"] == (
        "it asks for more than the partition's nodes have (PartitionConfig): "
        "delete it and ask for less"
    )
    slurm.call("cancel", [job.handle])
    assert slurm.wait(job)["cause"] == "cancelled"


def test_a_requeued_job_is_still_the_same_job(site: Site, slurm: RemoteBackend) -> None:
    job = slurm.submit(WAITS)
    slurm.wait(job, "running")
    site.run(["scontrol", "requeue", job.handle])
    state = slurm.wait(job, "queued")
    assert (state["cause"], state["start_time"]) == ("none", None)
    slurm.call("cancel", [job.handle])
    assert slurm.wait(job)["cause"] == "cancelled"


def test_htcondor_refuses_a_directive(site: Site, folder: str) -> None:
    backend = RemoteBackend(site, "htcondor", folder, settings={"directives": ["no command"]})
    with pytest.raises(Raised, match="site's directives") as raised:
        backend.submit(PRINTS)
    assert raised.value.error == "BackendError"


def test_a_path_that_htcondor_cannot_be_told_of(site: Site, folder: str) -> None:
    backend = RemoteBackend(site, "htcondor", folder)
    with pytest.raises(Raised, match="PROMINENCE_HOME"):
        backend.submit(PRINTS, folder=f"{folder}/two\nlines")


@pytest.mark.parametrize("name", ["two\nlines", "back\\slash %j"])
def test_a_path_that_slurm_patterns_would_change(slurm: RemoteBackend, name: str) -> None:
    job = slurm.submit(PRINTS, folder=f"{slurm.root}/{name}")
    slurm.wait(job)
    assert (slurm.output(job), slurm.output(job, "stderr")) == ("out\n", "err\n")


@pytest.fixture
def port_7999() -> Iterator[None]:
    """For one test at a time, in whichever test process."""
    with (paths.WORK / "port-7999.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(params=SCHEDULERS)
def deaf(site: Site, folder: str, port_7999: None, request: pytest.FixtureRequest) -> RemoteBackend:
    """A backend whose scheduler takes the connection and says nothing."""
    assert port_7999 is None
    if request.param != "htcondor":
        config = f"{folder}/slurm.conf"
        edits = (
            r"s/^SlurmctldHost=.*/SlurmctldHost=login(127.0.0.1)\nSlurmctldPort=7999/;"
            r"s/^AccountingStorageHost=.*/&\nAccountingStoragePort=7999/;"
        )
        site.run(["sh", "-c", f"sed '{edits}' /etc/slurm/slurm.conf > {config}"])
        environment = {"SLURM_CONF": config}
    else:
        said = site.run(["condor_status", "-schedd", "-direct", "login.site.test", "-long"]).stdout
        lines = [line for line in said.splitlines() if not line.startswith(("MyAddress", "Addr"))]
        site.write(f"{folder}/schedd.ad", "\n".join(['MyAddress = "<127.0.0.1:7999>"', *lines]))
        environment = {"_CONDOR_SCHEDD_DAEMON_AD_FILE": f"{folder}/schedd.ad"}
    settings = {"command_timeout_seconds": 3.0}
    return remote_backend(site, request.param, folder, settings=settings, environment=environment)


def error_of(backend: RemoteBackend, verb: str) -> Raised:
    """What a call that must fail raises."""
    with pytest.raises(Raised) as raised:
        ask(backend, verb)
    return raised.value


def ask(backend: RemoteBackend, verb: str) -> None:
    match verb:
        case "submit":
            backend.submit(PRINTS)
        case "find":
            backend.call(verb, [secrets.token_hex(16)])
        case _:
            backend.call(verb, ["1" if backend.name == "slurm" else "1.0"])


@pytest.mark.parametrize("verb", ["submit", "poll", "history", "find", "cancel"])
def test_a_scheduler_that_does_not_answer(deaf: RemoteBackend, site: Site, verb: str) -> None:
    listener = site.popen(["python3", "-c", LISTEN])
    assert listener.stdout is not None
    assert listener.stderr is not None
    try:
        assert listener.stdout.readline() == b"ready\n", listener.stderr.read()
        error = error_of(deaf, verb)
    finally:
        listener.communicate(b"\n")
    assert error.error == "BackendUnavailable"
    assert "did not answer" in error.message
    assert "within 3 seconds" in error.message


@pytest.mark.parametrize("verb", ["submit", "poll"])
def test_no_scheduler_there(deaf: RemoteBackend, verb: str) -> None:
    deaf.settings["command_timeout_seconds"] = 30.0
    if deaf.name == "slurm":  # whose library tries anew for 10 s otherwise
        deaf.site.run(["sh", "-c", f"echo MessageTimeout=2 >> {deaf.root}/slurm.conf"])
    error = error_of(deaf, verb)
    if verb == "submit":
        assert error.error == "BackendError"
        assert "othing was submitted" in error.message
    else:
        assert error.error == "BackendUnavailable"
