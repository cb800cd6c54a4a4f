"""``python3 runner.pyz PLAN``: run the job of one plan. See the package's docstring.

Exit codes: 0 the tasks ran (whatever their own exit codes), 10 failed, 11 killed, 2 wrong usage,
1 the wrapper itself failed and says why on standard error.
"""

import os
import sys


def main() -> int:
    if len(sys.argv) != 2:
        sys.stderr.write("usage: runner.pyz PLAN\n")
        return 2
    from .job import Job

    return Job(os.fsencode(sys.argv[1])).run()


def guarded() -> int:
    """The outermost line: from a zip file the default hook would print no source lines."""
    try:
        return main()
    except Exception:  # noqa: BLE001
        import traceback

        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    # Threads that hang on a network must not keep a finished job: nothing is left to be flushed.
    os._exit(guarded())
