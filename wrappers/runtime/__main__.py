"""``python3 runner.pyz PLAN``: run the job of one plan. See the package's docstring.

``python3 runner.pyz PLAN N`` runs job N of a sweep. Its folder is ``N`` beside the plan that all of the
sweep's jobs share; there, everything is as it is beside an ordinary job's plan.

``runner.pyz --enter PLAN`` is the way into the job while it runs (:mod:`.entrance`);
``runner.pyz --follow PLAN SHARED`` makes this node follow the job's first (:mod:`.follower`), as a node
but the first of HTCondor's parallel universe does by itself.
``runner.pyz --succeeded FOLDER COUNT`` says whether all jobs of a submission have ended well
(:mod:`.succeeded`): exit code 0 or 1.

Exit codes: 0 the tasks ran (whatever their own exit codes), 10 failed, 11 killed, 2 wrong usage,
12 this attempt failed and another is to follow, 1 the wrapper itself failed and says why on standard error.
Where the plan's ``exit_code`` is "strict", it is 13 and not 0 where a task has failed the job; where it
is "silent", it is 0 whatever the end, but for 12.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .job import Job


def main(arguments: "list[str]") -> int:
    """Run one job; the outermost line, since from a zip file the default hook prints no source."""
    if len(arguments) in (2, 3) and arguments[0] == "--enter":
        return enter(*map(os.fsencode, arguments[1:]))
    if len(arguments) == 3 and arguments[0] == "--follow":
        return follow(os.fsencode(arguments[1]), os.fsencode(arguments[2]))
    if len(arguments) == 3 and arguments[0] == "--succeeded" and arguments[2].isdigit():
        from .succeeded import succeeded

        return succeeded(os.fsencode(arguments[1]), int(arguments[2]))
    if len(arguments) not in (1, 2) or not "".join(arguments[1:] or "0").isdigit():
        sys.stderr.write("usage: runner.pyz PLAN [N]\n")
        return 2
    return run(os.fsencode(arguments[0]), int(arguments[1]) if arguments[1:] else None)


def run(plan_path: bytes, number: "int | None") -> int:
    """Run one job, or be another node of it; ``number``: which of the jobs of a sweep."""
    job = None
    try:
        own = plan_path
        if number is not None:
            from .planfile import write_copy

            own = write_copy(plan_path, number)
        if "0" not in (
            os.environ.get("_CONDOR_PROCNO", "0"),
            os.environ.get("_CONDOR_NPROCS", "0"),
        ):
            return follow(own, None)
        from .job import Job

        job = Job(own)
        return job.run()
    except Exception as error:  # noqa: BLE001
        return crashed(plan_path, job, error)


def crashed(plan_path: bytes, job: "Job | None", error: Exception) -> int:
    """The wrapper itself failed: say so on standard error, and as far as that goes in the report."""
    import traceback

    from .exit_code import of_crash
    from .text import scrub

    sys.stderr.write(scrub(traceback.format_exc()))
    try:
        if job is not None:
            return job.crashed(error)
    except Exception:  # noqa: BLE001
        sys.stderr.write(scrub(traceback.format_exc()))
    return of_crash(plan_path)


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


def import_one_at_a_time() -> None:
    """Keep threads from seeing half of a module that another one imports from the zip file.

    Python's own locks do not cover zip files before 3.8, where zipimport got a module's __spec__.
    """
    import builtins
    import threading

    lock, original = threading.RLock(), builtins.__import__

    def locked(*arguments: "Any", **named: "Any") -> "Any":
        with lock:
            return original(*arguments, **named)

    builtins.__import__ = locked


def entry() -> None:
    """Run and leave at once: threads that hang on a network must not keep a finished job."""
    if sys.version_info < (3, 8):
        import_one_at_a_time()
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    entry()
