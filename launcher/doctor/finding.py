"""One line of the checklist, and what a check may look at.

Invariants: a finding that is not ``ok`` says what to do; a check reads and never changes anything; what would mend it
stands in ``repair`` and runs only when a person asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.config import Config

OK = "ok"
WARNING = "warning"
FAILED = "failed"
#: The exit code of the command is that of its worst line.
_CODES = {OK: 0, WARNING: 1, FAILED: 2}


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        check: its name, as the screen shows it.
        state: ``ok``, ``warning`` (works, will surprise) or ``failed`` (something will not work).
        detail: what is there, with values; a sentence's part or a sentence, without a full stop.
        fix: what to do, one sentence; empty when nothing needs doing.
        repair: mends it and says in a clause what it did; ``None`` when only a person can.
    """

    check: str
    state: str
    detail: str
    fix: str = ""
    repair: Callable[[], str] | None = None

    def to_json(self) -> dict[str, Any]:
        """The value as a JSON object."""
        return {
            "check": self.check,
            "state": self.state,
            "detail": self.detail,
            "fix": self.fix,
            "fixable": self.repair is not None,
        }


@dataclass(frozen=True)
class Ground:
    """What every check gets.

    Attributes:
        config: the settings; the defaults when they cannot be read.
        network: whether mirrors may be asked.
        project_dirs: folders whose ``webui.py`` is ours.
        source: the folder that holds the packages `launcher` and `webui`; a clone's root, or site-packages.
    """

    config: Config
    network: bool
    project_dirs: tuple[str, ...]
    source: Path


Check = Callable[[Ground], Finding]


def exit_code(findings: Iterable[Finding]) -> int:
    """0 when all is well, 1 when something may surprise, 2 when something will not work."""
    return max((_CODES[one.state] for one in findings), default=0)


def listed(names: Sequence[str], most: int = 4) -> str:
    """``a, b and 3 more``: some of the names, and how many others there are."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def size_text(size_bytes: float) -> str:
    """``12.3 GB`` or ``4 MB``, as disks are sold."""
    return f"{size_bytes / 1e9:,.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:,.0f} MB"
