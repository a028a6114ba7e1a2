"""The options of commands that can wait for what they asked the running instance to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from launcher.cli.amounts import Seconds

#: Between two looks at whether it is done.
POLL_S = 0.1


def wait_options(what: str) -> Callable[[Any], Any]:
    """A decorator that adds ``--wait/--no-wait`` (parameter ``wait``) and ``--timeout`` (``timeout_s``).

    Args:
        what: what is waited for, as the end of "Return when it is ...".
    """

    def add(command: Any) -> Any:
        command = click.option(
            "--timeout",
            "timeout_s",
            type=Seconds(0, 3600),
            default=300.0,
            metavar="S",
            show_default=True,
            help="Longest wait, in seconds.",
        )(command)
        text = f"Return when it is {what} (default), or at once."
        return click.option("--wait/--no-wait", default=True, help=text)(command)

    return add
