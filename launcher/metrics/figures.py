"""The numbers of a running instance: looked at every few seconds, shown on request, kept in a file if one is named.

Invariants: the supervisor's loop never waits for a disk, a driver or a process: looking and writing happen in a
thread, one at a time; the file is replaced in one step, so that node_exporter never reads half of it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from launcher.alarms.duty import Instance
from launcher.alarms.events import recent
from launcher.cache.layout import cache_dir
from launcher.config import Config
from launcher.metrics.exposition import to_text
from launcher.metrics.families import engine_name, families
from launcher.metrics.sampling import History, Sample, Sampler
from launcher.metrics.tally import Tally

#: After the start, which has other things to do; then an hour of looks fits into `History`.
FIRST_S, INTERVAL_S = 3.0, 10.0


class Figures:
    """Looks after the numbers of one instance.

    Args:
        instance: the supervisor's side.
        config: the settings.
        log: takes a sentence.
        sampler: looks; ``None`` makes one.
        first_s, interval_s: seconds until the first look, and between two.
    """

    def __init__(
        self,
        instance: Instance,
        config: Config,
        log: Callable[[str], None],
        *,
        sampler: Sampler | None = None,
        first_s: float = FIRST_S,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._instance = instance
        self._sampler = sampler or Sampler(config)
        self._events = cache_dir(config)
        self._file = Path(config.metrics_textfile) if config.metrics_textfile else None
        self._log = log
        self._refusal = ""
        self._interval_s = interval_s
        self._looking: threading.Thread | None = None
        self.history = History()
        self.tally = Tally(time.time())
        instance.later(first_s, self._turn)

    def text(self) -> str:
        """Every number in Prometheus's format; called in the loop."""
        return to_text(families(self._instance.snapshot(), self.history.last, self.tally))

    def to_json(self) -> dict[str, Any]:
        """The last hour and the disks, for the page; called in the loop."""
        last = self.history.last
        disks = () if last is None else last.disks.items()
        return {
            "history": self.history.to_json(),
            "disks": [{"path": path, "used_bytes": used, "total_bytes": total} for path, (used, total) in disks],
            "cache_bytes": {} if last is None else dict(last.cache_bytes),
            "fetched_bytes": dict(self.tally.fetched_bytes),
            "timeouts": dict(self.tally.timeouts),
        }

    def hear(self, snapshot: dict[str, Any]) -> None:
        """Counts what a change of the status tells; called in the loop."""
        for name, component in snapshot["components"].items():
            progress = component.get("progress")
            if name == "weights":
                self.tally.take_progress(f"weights {component.get('pid')}", progress)
            elif name.startswith("engine"):
                self.tally.take_load(engine_name(snapshot), progress)

    def _turn(self) -> None:
        self._instance.later(self._interval_s, self._turn)
        if self._looking is not None and self._looking.is_alive():
            return  # a disk or a driver that does not answer: one thread waits for it
        snapshot = self._instance.snapshot()
        self._looking = threading.Thread(target=self._work, args=(snapshot,), name="metrics", daemon=True)
        with contextlib.suppress(RuntimeError):  # the system has no thread to give: the next turn asks again
            self._looking.start()

    def _work(self, snapshot: dict[str, Any]) -> None:
        sample = self._sampler.look(snapshot)
        self.tally.take_events(recent(self._events))
        if self._file is not None:
            self._keep(self._file, to_text(families(snapshot, sample, self.tally)))
        self._instance.from_thread(self._take(sample))

    def _keep(self, path: Path, text: str) -> None:
        """Writes the file; why it cannot is logged once, not every ten seconds."""
        refusal = ""
        try:
            write_textfile(path, text)
        except OSError as error:
            refusal = error.strerror or str(error)
        if refusal and refusal != self._refusal:
            self._log(f"LAUNCHER_METRICS_TEXTFILE: {path} cannot be written ({refusal}).")
        self._refusal = refusal

    def _take(self, sample: Sample) -> Callable[[], None]:
        return lambda: self.history.add(sample)


def write_textfile(path: Path, text: str) -> None:
    """Puts ``text`` where node_exporter's textfile collector looks, in one step.

    Raises:
        OSError: when it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")  # the collector reads *.prom alone
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_text(text, encoding="utf-8")
    temporary.chmod(0o644)  # it runs as another user
    temporary.replace(path)
