"""Notices a child that falls silent: before it is ready by its reports, afterwards by its signs of life.

Invariants: everything happens in the loop; a child that never gave a sign of life is not watched once it serves.
"""

from __future__ import annotations

from collections.abc import Callable

from launcher.process.health import Patience, Pulse
from launcher.process.loop import Loop, Timer


class Vigil:
    """Watches one child at a time.

    Args:
        loop: where it waits.
        patience: how long a child may be silent.
        on_silence: called once with what it did (``said nothing for 30 s``) when it was silent for too long.
    """

    def __init__(self, loop: Loop, patience: Patience, on_silence: Callable[[str], None]) -> None:
        self._loop = loop
        self._patience = patience
        self._on_silence = on_silence
        self._pulse = Pulse(patience.hung_s)
        self._timer: Timer | None = None
        #: What the child was given up for; empty while it was not.
        self.verdict = ""

    def begin(self) -> None:
        """A child was started."""
        self.verdict = ""
        self._wait(self._patience.hello_s)

    def heard(self) -> None:
        """It has reported and is not ready yet."""
        self._wait(self._patience.silence_s)

    def serves(self, *, beats: bool) -> None:
        """It is ready: from now on its signs of life count, which it has promised (``beats``) or begins with later."""
        self.end()
        self._pulse.begin(self._loop.clock(), beats=beats)
        self._look()

    def beat(self) -> None:
        """It has given a sign of life."""
        self._pulse.beat()

    def end(self) -> None:
        """It is no longer watched."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, within_s: float) -> None:
        self.end()
        self._timer = self._loop.call_later(within_s, lambda: self._give_up(f"said nothing for {within_s:g} s"))

    def _look(self) -> None:
        if not self._patience.hung_s:
            return
        if self._pulse.look(self._loop.clock()):
            self._give_up(f"gave no sign of life for {self._patience.hung_s:g} s")
        else:
            self._timer = self._loop.call_later(self._pulse.interval_s, self._look)

    def _give_up(self, verdict: str) -> None:
        self._timer = None
        self.verdict = verdict
        self._on_silence(verdict)
