"""``python3 runner.pyz PLAN``: run the job of one plan. See the package's docstring.

``runner.pyz --enter PLAN`` is the way into the job while it runs (:mod:`.entrance`);
``runner.pyz --follow PLAN SHARED`` makes this node follow the job's first (:mod:`.follower`), as a node
but the first of HTCondor's parallel universe does by itself.
``runner.pyz --succeeded FOLDER COUNT`` says whether all jobs of a submission have ended well
(:mod:`.succeeded`): exit code 0 or 1.

Exit codes: 0 the tasks ran (whatever their own exit codes), 10 failed, 11 killed, 2 wrong usage,
12 this attempt failed and another is to follow, 1 the wrapper itself failed and says why on standard error.
"""

import os
import sys


def main(arguments: "list[str]") -> int:
    """Run one job; the outermost line, since from a zip file the default hook prints no source."""
    if len(arguments) in (2, 3) and arguments[0] == "--enter":
        return enter(*map(os.fsencode, arguments[1:]))
    if len(arguments) == 3 and arguments[0] == "--follow":
        return follow(os.fsencode(arguments[1]), os.fsencode(arguments[2]))
    if len(arguments) == 3 and arguments[0] == "--succeeded" and arguments[2].isdigit():
        from .succeeded import succeeded

        return succeeded(os.fsencode(arguments[1]), int(arguments[2]))
    if len(arguments) != 1:
        sys.stderr.write("usage: runner.pyz PLAN\n")
        return 2
    if "0" not in (os.environ.get("_CONDOR_PROCNO", "0"), os.environ.get("_CONDOR_NPROCS", "0")):
        return follow(os.fsencode(arguments[0]), None)
    job = None
    try:
        from .job import Job

        job = Job(os.fsencode(arguments[0]))
        return job.run()
    except Exception as error:  # noqa: BLE001
        import traceback

        from .text import scrub

        sys.stderr.write(scrub(traceback.format_exc()))
        if job is not None:
            return job.crashed(error)
        return 1


def enter(plan_path: bytes, folder: "bytes | None" = None) -> int:
    """Serve one visit to the job while it runs."""
    try:
        from .entrance import serve

        return serve(plan_path, folder)
    except Exception:  # noqa: BLE001
        import traceback

        sys.stderr.write(traceback.format_exc())
        return 1


def follow(plan_path: bytes, shared: "bytes | None") -> int:
    """Be one of the other nodes of a job of several; ``shared`` is the folder that they share, if told."""
    try:
        from .follower import start

        return start(plan_path, shared)
    except Exception:  # noqa: BLE001
        import traceback

        from .text import scrub

        sys.stderr.write(scrub(traceback.format_exc()))
        return 1


def entry() -> None:
    """Run and leave at once: threads that hang on a network must not keep a finished job."""
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    entry()
