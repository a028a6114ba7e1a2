"""What is kept of a crash: who, how it ended, how much memory it had, what it was doing, and its last lines.

Invariants: a report holds no secret and no control character; writing one never raises, because a full disk must not
take down what works; there are never more than `MAX_REPORTS` in a folder, the oldest go first.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from launcher.channel import from_json
from launcher.process.log_files import log_path
from launcher.process.log_reader import read_lines
from launcher.process.runfile import RunRecord

#: Reports in one folder of logs: a crash loop of the usual budget, and a few days of single crashes.
MAX_REPORTS = 20
#: Lines that a report keeps.
REPORT_LINES = 200
#: How a person sees a report.
SEE_REPORT = "See `tts-launcher logs --crash`."
_PREFIX = "crash-"


@dataclass(frozen=True)
class Crash:
    """One end that nobody asked for.

    Attributes:
        component: whose.
        what: how it ended, as words behind its name: ``was killed by SIGSEGV``.
        status: exit status as `subprocess` counts it; ``None`` when it is not known.
        stage: what it was doing: the stage of its start, or ``ready``.
        pid: of the process; ``None`` when it could not be started.
        ran_s: seconds from its start.
        peak_bytes: most memory that it had at a time; ``None`` where the system does not say.
        at: seconds since 1970.
        lines: the last that it printed, oldest first.
    """

    component: str
    what: str
    status: int | None = None
    stage: str = ""
    pid: int | None = None
    ran_s: float = 0.0
    peak_bytes: int | None = None
    at: float = 0.0
    lines: tuple[str, ...] = ()

    @property
    def signal(self) -> str:
        """The signal that ended it (``SIGKILL``); empty when none did."""
        if self.status is None or self.status >= 0:
            return ""
        try:
            return signal.Signals(-self.status).name
        except ValueError:
            return f"signal {-self.status}"

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        ended = {
            "time": datetime.fromtimestamp(self.at, timezone.utc).isoformat(timespec="seconds"),
            "exit_code": self.status if self.status is not None and self.status >= 0 else None,
            "signal": self.signal,
        }
        return {**asdict(self), **ended, "lines": list(self.lines)}

    def about(self) -> str:
        """How it ended with the circumstances, for a message."""
        peak = f", with at most {self.peak_bytes / 1e6:.0f} MB of memory" if self.peak_bytes else ""
        doing = f" while it was in stage {self.stage!r}" if self.stage and self.stage != "ready" else ""
        return f"{self.what}{doing}, after {self.ran_s:.0f} s{peak}" if self.pid is not None else self.what


def crash_of_supervisor(record: RunRecord, log_dir: Path) -> Crash:
    """What can be known of a supervisor that left its record behind: the log's last lines, and when they were written.

    Args:
        record: what its run file says.
        log_dir: the instance's folder of logs.
    """
    ended_at = record.started_at
    with contextlib.suppress(OSError):
        ended_at = max(ended_at, log_path(log_dir, 0).stat().st_mtime)
    return Crash(
        component="supervisor",
        what="ended without a word: it was killed, or the machine went down",
        pid=record.supervisor_pid,
        ran_s=round(ended_at - record.started_at, 3),
        at=ended_at,
        lines=tuple(read_lines(log_dir, last=REPORT_LINES)),
    )


class CrashReports:
    """The reports in one folder.

    Args:
        log_dir: the instance's folder of logs; ``None`` keeps nothing.
        clean: makes a line fit to be shown: masks secrets, escapes what a terminal would obey.
    """

    def __init__(self, log_dir: Path | None, clean: Callable[[str], str] = str) -> None:
        self._log_dir = log_dir
        self.clean = clean

    def cleaned(self, crash: Crash) -> Crash:
        """The crash as it may be shown."""
        lines = tuple(self.clean(line) for line in crash.lines[-REPORT_LINES:])
        return replace(crash, what=self.clean(crash.what), lines=lines)

    def keep(self, crash: Crash) -> dict[str, Any]:
        """Writes the report of a crash that was `cleaned`, and returns it without its lines.

        Its ``path`` is empty when the disk refused.
        """
        report, kept = crash.to_json(), ""
        if self._log_dir is not None:
            stamp = datetime.fromtimestamp(crash.at, timezone.utc).strftime("%Y%m%dT%H%M%S.%f")
            path = self._log_dir / f"{_PREFIX}{stamp}-{crash.component}.json"
            with contextlib.suppress(OSError):
                _write(path, json.dumps(report, ensure_ascii=False, indent=1))
                kept = str(path)
        return {**{name: value for name, value in report.items() if name != "lines"}, "path": kept}


def read_reports(log_dir: Path, *, component: str | None = None) -> list[dict[str, Any]]:
    """Every report that can be read, newest first, each with its ``path``.

    Args:
        log_dir: the instance's folder of logs.
        component: whose; ``None`` for all.
    """
    reports: list[dict[str, Any]] = []
    for path in _paths(log_dir):
        with contextlib.suppress(OSError, ValueError):
            report = from_json(path.read_text(encoding="utf-8", errors="replace"))
            if isinstance(report, dict) and component in (None, report.get("component")):
                reports.append({**report, "path": str(path)})
    return reports


def crash_line(report: Mapping[str, Any]) -> str:
    """A report in one line: when, who and how."""
    return f"{report.get('time', '')}  {report.get('component', '')} {report.get('what', '')}"


def gave_up(
    component: str, what: str, *, times: int, window_s: float, lines: Sequence[str], again: str
) -> dict[str, str]:
    """The error of a component that has crashed too often.

    Args:
        component: its name.
        what: how it ended the last time.
        times: how often it crashed within ``window_s`` seconds.
        window_s: the crash budget's window.
        lines: what it printed last.
        again: what to restart once the cause is mended.
    """
    count = "once" if times == 1 else f"{times} times"
    message = f"The {component} {what}; it crashed {count} within {window_s:g} s."
    return {
        "message": f"{message} Last line: {lines[-1]}" if lines else message,
        "fix": f"See `tts-launcher logs --crash`, mend the cause, then run `tts-launcher restart {again}`.",
    }


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    # Never the newest, which a clock that was set back makes the first by name.
    for old in [each for each in _paths(path.parent) if each != path][MAX_REPORTS - 1 :]:
        old.unlink(missing_ok=True)


def _paths(log_dir: Path) -> list[Path]:
    """The reports' files, newest first: their names begin with the time."""
    try:
        return sorted(log_dir.glob(f"{_PREFIX}*.json"), reverse=True)
    except OSError:
        return []
