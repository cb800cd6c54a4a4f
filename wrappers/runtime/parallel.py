"""A few things at once, in threads, while the main thread stays free for signals."""

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Sequence

    from .control import Control

LIMIT = 4


def run_all(
    actions: "Sequence[Callable[[], None]]", control: "Control", stop_at_error: bool = True
) -> None:
    """Run every action, up to four at once; raises the first error once the others are stopped.

    Where ``control`` calls an end, Stopped is raised at once; threads that hang on the network are left
    to the end of the process, they are daemons.
    """
    todo = list(reversed(actions))
    errors: "list[BaseException]" = []

    def work() -> None:
        while todo and not (errors and stop_at_error):
            try:
                action = todo.pop()
            except IndexError:
                return
            try:
                action()
            except BaseException as error:  # noqa: BLE001 (raised again by the caller's thread)
                errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in actions[:LIMIT]]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)
            control.check()
            if errors and stop_at_error:
                raise errors[0]
    if errors:
        raise errors[0]
