"""What both stand-ins do: read the settings, obey a file, say what the contract asks for.

``STAND_IN_DIR`` names a folder with ``page.json`` and ``engine.json``, read anew at every start:
``{"mode": "ok", "delay_s": 0.2}``. Modes: ok, crash (after hello), mute (never says hello), failed, stubborn (ignores
SIGTERM), deaf (ignores the end of its standard input, and SIGTERM), parent (starts a process that sleeps).
Besides: ``words`` are printed before the mode is obeyed; ``beat_s`` makes it give a sign of life that often.
With ``idle`` the engine says again and again that it is.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from launcher.channel import Channel

#: No stand-in outlives its test for long, even a deaf one whose test was killed.
LIFETIME_S = 120.0


class StandIn:
    """One stand-in's life up to ``ready``."""

    def __init__(self, component: str) -> None:
        line = sys.stdin.buffer.readline()
        self.settings: dict[str, Any] = json.loads(line)
        component = self.component = self.settings.get("component", component)
        path = Path(os.environ.get("STAND_IN_DIR", ".")) / f"{component}.json"
        self.orders: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        self.mode = self.orders.get("mode", "ok")
        threading.Timer(LIFETIME_S, os._exit, (99,)).start()
        if self.mode != "deaf":
            threading.Thread(target=self._end_with_supervisor, daemon=True).start()
        if self.mode in ("stubborn", "deaf"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(f"{component} mode={self.mode}", flush=True)
        if self.mode == "mute":
            time.sleep(LIFETIME_S)
        self.channel = Channel.connect(self.settings["control_address"], token=self.settings["control_token"])
        self.say("hello", pid=os.getpid())

    def say(self, event: str, **fields: Any) -> None:
        self.channel.send({"event": event, "component": self.component, **fields})

    def load(self, stages: list[str]) -> None:
        """Reports progress for the ordered time, then obeys the mode."""
        if self.mode == "parent":
            sleeper = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({LIFETIME_S})"])
            print(f"sleeper {sleeper.pid}", flush=True)
        for word in self.orders.get("words", []):
            print(word, flush=True)
        if self.mode == "crash":
            print("Traceback (most recent call last):\nRuntimeError: told to crash", file=sys.stderr, flush=True)
            os._exit(3)
        if self.mode == "failed":
            self.say("failed", message="The weights are damaged.", fix="Fetch them again.")
            os._exit(6)
        if beat_s := self.orders.get("beat_s"):
            threading.Thread(target=self._beat, args=(beat_s,), daemon=True).start()
        delay_s = float(self.orders.get("delay_s", 0.2))
        for number, stage in enumerate(stages):
            self.say("progress", progress={"stage": stage, "done": number, "total": len(stages), "unit": "steps"})
            time.sleep(delay_s / len(stages))

    def on_terminate(self, stop: Callable[[], None]) -> None:
        if self.mode not in ("stubborn", "deaf"):
            signal.signal(signal.SIGTERM, lambda number, frame: threading.Thread(target=stop).start())

    def _beat(self, every_s: float) -> None:
        while True:
            time.sleep(every_s)
            self.say("alive")

    @staticmethod
    def _end_with_supervisor() -> None:
        sys.stdin.buffer.read()
        os._exit(0)
