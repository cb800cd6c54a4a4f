"""`python -m tests.demo [--local]`; `make demo` calls it."""

import argparse
import sys
import time

from tests.demo import on_this_machine
from tests.demo.terminal import StepFailed
from tests.site.errors import SiteError, UnsupportedMachine


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description="Runs the tutorial.")
    parser.add_argument("--local", action="store_true", help="on this machine, without the site")
    arguments = parser.parse_args()
    start = time.monotonic()
    try:
        if arguments.local:
            on_this_machine.play()
        else:
            _play_where_possible()
    except (SiteError, StepFailed) as error:
        if isinstance(error, SiteError) and error.log:
            print(error.log, file=sys.stderr)
        print(f"\ndemo: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, SiteError) else 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        return 130
    print(f"demo: all steps done in {time.monotonic() - start:.0f} s")
    return 0


def _play_where_possible() -> None:
    from tests.demo import on_site  # needs the engine's client, which the other form does not

    try:
        on_site.play()
    except UnsupportedMachine as error:
        print(f"No test site here: {error}")
        print("The same tutorial on this machine alone, with the `local` backend:")
        on_this_machine.play()


if __name__ == "__main__":
    sys.exit(main())
