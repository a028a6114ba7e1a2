"""How long the children took to start last time: the ground of every estimate that a visitor is told.

Invariants: a missing or damaged file means that nothing was measured; failing to write it never matters.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from launcher.process.snapshot import kind_of

#: Before anything was measured: importing the page's framework takes 3 to 4 s on two cores, loading the embedded
#: voice about as long. Other people's apps import torch and load gigabytes.
FIRST_GUESS_S = {"page": 6.0, "engine": 8.0, "app": 60.0}
#: One start is rarely exactly as long as the last one.
MARGIN = 1.3
_LONGEST_S = 3600.0


class StartTimes:
    """Seconds from a child's start to its ``ready``, remembered across runs.

    Args:
        path: the file that keeps them; ``None`` forgets them at the end.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._measured: dict[str, float] = {}
        if path is not None:
            with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
                kept = json.loads(path.read_text(encoding="utf-8"))
                self._measured = {
                    name: float(kept[name]) for name in FIRST_GUESS_S if 0 < float(kept.get(name, 0)) <= _LONGEST_S
                }

    def note(self, component: str, elapsed_s: float) -> None:
        """Remembers how long a start took."""
        self._measured[kind_of(component)] = min(max(elapsed_s, 0.01), _LONGEST_S)
        if self._path is None:
            return
        # One name: whoever was killed here leaves one file, and the next one writes over it.
        temporary = self._path.with_name(f"{self._path.name}.new")
        try:
            temporary.write_text(json.dumps(self._measured), encoding="utf-8")
            temporary.replace(self._path)
        except OSError:  # a full disk must not keep half of it
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def usual_s(self, component: str) -> float:
        """How long a start takes, as far as is known."""
        kind = kind_of(component)
        return self._measured.get(kind, FIRST_GUESS_S[kind])

    def remaining_s(self, component: str, elapsed_s: float) -> float:
        """Seconds until a start that has run for ``elapsed_s`` should be over, on the safe side.

        A start that is late already is expected to take a third of its time again: the further off the estimate was,
        the more careful the next one.
        """
        expected = self.usual_s(component) * MARGIN
        return expected - elapsed_s if elapsed_s < expected else max(1.0, elapsed_s / 3)
