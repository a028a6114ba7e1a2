"""Ports that a test may name beforehand and that are still free when it comes to use them.

Invariant: none lies in the range from which systems hand out ports of their own accord (Linux from 32768, macOS and
Windows from 49152). One that was asked for as port 0 and given back is in that range: before the test's process binds
it, a connection that another test makes may have got it.
"""

from __future__ import annotations

import random
import socket

_FIRST, _LAST = 10_000, 32_000
#: Tests that run beside each other must not draw the same numbers, and some libraries seed the common generator.
_CHANCE = random.SystemRandom()


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens, and which the system gives to nobody unasked."""
    while True:
        port = _CHANCE.randint(_FIRST, _LAST)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
