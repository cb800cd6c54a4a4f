"""The commands of `tests/site/site`."""

import argparse
import os
import sys

from tests.site.errors import SiteError

EPILOG = """\
exit codes: 0 well; 1 the site is not well (status) or did not come up; 3 this machine lacks what the
site needs; 130 interrupted. `exec` ends with the exit code of its command.
"""


def main() -> int:
    arguments = _parser().parse_args()
    try:
        return int(arguments.action(arguments))
    except SiteError as error:
        if error.log:
            print(error.log, file=sys.stderr)
        print(f"site: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("site: interrupted; `site up` goes on from here, `site down` cleans", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="site", description=__doc__, epilog=EPILOG)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="bring up what is missing, install this checkout")
    up.set_defaults(action=_up)
    down = commands.add_parser("down", help="remove the site; images stay for the next time")
    down.add_argument("--all", action="store_true", help="the images and our engine too")
    down.set_defaults(action=_down)
    status = commands.add_parser("status", help="hosts, services and versions")
    status.set_defaults(action=_status)
    run = commands.add_parser("exec", help="run a command on a host (default: a login shell)")
    run.add_argument("--user", default="alice", help="alice, bob or root (default: alice)")
    run.add_argument("--host", default="login", help="login, node1, node2, exec1, exec2 or s3")
    run.add_argument("--cwd", help="folder to run in (default: the user's home)")
    run.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="[--] COMMAND…")
    run.set_defaults(action=_exec)
    return parser


# The modules that talk to the engine are imported where they are used: `exec` must be quick.
def _up(_: argparse.Namespace) -> int:
    from tests.site import lifecycle, report

    lifecycle.up()
    print(report.ENTER)
    return 0


def _down(arguments: argparse.Namespace) -> int:
    from tests.site import lifecycle

    lifecycle.down(everything=arguments.all)
    return 0


def _status(_: argparse.Namespace) -> int:
    from tests.site import report

    text, well = report.status()
    print(text)
    return 0 if well else 1


def _exec(arguments: argparse.Namespace) -> int:
    from tests.site import handle

    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    argv = handle.exec_argv(
        command or ["bash", "-l"],
        terminal=sys.stdin.isatty() and sys.stdout.isatty(),
        user=arguments.user,
        host=arguments.host,
        cwd=arguments.cwd,
        env=dict(word.partition("=")[::2] for word in arguments.env),
    )
    os.execvpe(argv[0], argv, handle.engine_environment(arguments.host))


if __name__ == "__main__":
    sys.exit(main())
