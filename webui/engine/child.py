"""What every child of the supervisor does first and last: take its settings from standard input, end with it.

Invariants: only the standard library; standard input is read with `os.read`, because a thread that waits inside a
buffered reader makes the interpreter abort at its end; a child never outlives its supervisor by more than its grace.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable

from launcher.channel import MAX_LINE_BYTES

STDIN_FD = 0


def read_settings_line(fd: int = STDIN_FD) -> str:
    """The first line of standard input, without its line end; blocks until it is there.

    Raises:
        ValueError: when the input ends before a line end or the line exceeds `MAX_LINE_BYTES`.
    """
    received = bytearray()
    while b"\n" not in received:
        if len(received) > MAX_LINE_BYTES:
            raise ValueError("the settings line on standard input is too long")
        piece = os.read(fd, 65536)
        if not piece:
            raise ValueError("standard input ended before the settings line")
        received += piece
    return received.split(b"\n", 1)[0].decode()


def end_with_supervisor(
    stop: Callable[[], None], end: Callable[[int], object], *, grace_s: float, fd: int = STDIN_FD
) -> threading.Thread:
    """Watches standard input in a thread; at its end asks for a stop, and ends the process when that takes too long.

    Args:
        stop: asks the process to end; called in the watching thread, must not block.
        end: ends the process with an exit code, whatever its threads do (`os._exit`).
        grace_s: seconds that ``stop`` may take before ``end``.
        fd: the descriptor to watch.
    """

    def watch() -> None:
        while _read_quietly(fd):
            pass
        stop()
        threading.Event().wait(grace_s)
        end(1)

    thread = threading.Thread(target=watch, name="stdin-watch", daemon=True)
    thread.start()
    return thread


def log_to_stderr() -> None:
    """Sends this process's log lines to standard error, which the supervisor writes to the log."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    # One line per request of the page's own client of its API: noise.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _read_quietly(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:
        return b""
