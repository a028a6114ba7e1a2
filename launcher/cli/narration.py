"""What a person (or, with ``--json``, a program) reads while an instance starts and runs.

Invariants: the address comes first and at once; a line for every stage that ends and every failure, none for mere
movement; standard output holds the address and the JSON events, everything else goes to standard error; once the
address was said, words that nobody can have (a terminal that is gone, a full disk) are let go of and end nothing.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from launcher.cli.output import Output, UnwritableError
from launcher.process.snapshot import ENGINE, SERVING, kind_of
from launcher.progress import Progress

#: Events about progress a second, for a program.
_EVENTS_PER_S = 1.0
_STAGE_TEXTS = {
    "page": "page ready",
    "weights": "weights in place",
    "engine": "engine ready",
    "app": "app ready",
}


def unheard() -> contextlib.AbstractContextManager[None]:
    """Lets go of what cannot be said: what serves others goes on, and the log has it."""
    return contextlib.suppress(BrokenPipeError, UnwritableError)


class Narration:
    """Tells a run as it happens.

    Args:
        output: where to print.
        began: `time.monotonic` at the command's start.
    """

    def __init__(self, output: Output, *, began: float) -> None:
        self._output = output
        self._began = began
        self._stages: dict[str, str] = {}
        self._errors: dict[str, Any] = {}
        self._choice = {"name": "", "reason": ""}
        self._warnings = 0
        self._state = ""
        self._told: set[str] = set()
        self._told_at = float("-inf")

    def show(self, snapshot: dict[str, Any]) -> None:
        """Prints what is new in a snapshot."""
        if not self._state:
            self._listening(snapshot)
        for stage in snapshot["stages"]:
            before = self._stages.get(stage["name"])
            self._stages[stage["name"]] = stage["state"]
            if stage["state"] != before and before is not None:
                self._stage(stage)
            elif stage["state"] == "running" and stage["progress"] and self._shows(stage["name"]):
                self._progress(stage["progress"])
        choice = snapshot["choice"]
        if choice != self._choice:
            self._choice = choice
            self._event("choice", choice, f"engine {choice['name']}: {choice['reason']}")
        for warning in snapshot["warnings"][self._warnings :]:
            self._event("warning", warning, f"Warning: {warning['message']} {warning['fix']}".strip())
        self._warnings = len(snapshot["warnings"])
        for name, component in snapshot["components"].items():
            error = component["error"]
            # What keeps the weights away keeps the engine away: one cause is told once.
            if error is not None and error not in self._errors.values():
                kind = "failed" if component["state"] == "failed" else "restarting"
                self._event(kind, {"component": name, **error}, f"{error['message']} {error['fix']}".strip())
            self._errors[name] = error
        if snapshot["state"] != self._state:
            self._state = snapshot["state"]
            self._enter(snapshot)

    def stopped(self) -> None:
        """Prints the end."""
        self._event("stopped", {}, "Stopped.")

    def _listening(self, snapshot: dict[str, Any]) -> None:
        shown = {name: snapshot[name] for name in ("instance", "url", "host", "port", "pid")}
        self._output.result({"event": "listening", "elapsed_s": self._elapsed_s(), **shown}, str(snapshot["url"]))

    def _stage(self, stage: dict[str, Any]) -> None:
        name, state = stage["name"], stage["state"]
        if name == "engine" and state == "running":
            self._told.clear()
        if self._output.json:
            self._event("stage", {"name": name, "state": state}, "")
        elif state == "done" and name in _STAGE_TEXTS and name not in self._told:
            if name != "page":  # an engine may look at its weights more than once in a start
                self._told.add(name)
            self._event("stage", {}, _STAGE_TEXTS[name])

    def _shows(self, name: str) -> bool:
        """Whether a stage's progress is shown: a fetch always, an engine that loads where a bar can be drawn."""
        return name == "weights" or (name == "engine" and self._output.has_terminal)

    def _progress(self, data: dict[str, Any]) -> None:
        if not self._output.json:
            with unheard():
                self._output.progress(Progress.from_json(data))
        elif self._elapsed_s() - self._told_at >= 1 / _EVENTS_PER_S:
            self._told_at = self._elapsed_s()
            self._event("progress", {"name": "weights", "progress": data}, "")

    def _enter(self, snapshot: dict[str, Any]) -> None:
        state = snapshot["state"]
        engines = {name: part["state"] for name, part in snapshot["components"].items() if kind_of(name) == ENGINE}
        if state == "degraded" and snapshot["components"]["page"]["state"] == "ready" and "ready" in engines.values():
            away = ", ".join(f"{name} is {each}" for name, each in engines.items() if each not in SERVING)
            self._event("degraded", {"url": snapshot["url"]}, f"Ready: {snapshot['url']} ({away}; the others serve)")
        elif state == "ready":
            self._event("ready", {"url": snapshot["url"]}, f"Ready: {snapshot['url']} (Ctrl-C stops it)")
        elif state == "stopping":
            self._event("stopping", {}, "Stopping; Ctrl-C again ends everything at once.")

    def _event(self, event: str, data: dict[str, Any], text: str) -> None:
        with unheard():
            if self._output.json:
                self._output.result({"event": event, "elapsed_s": self._elapsed_s(), **data}, "")
            else:
                self._output.note(f"{self._elapsed_s():7.1f} s  {text}")

    def _elapsed_s(self) -> float:
        return round(time.monotonic() - self._began, 3)
