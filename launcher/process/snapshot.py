"""What an instance is doing, as the one object that terminal, loading page, page and programs are shown.

Invariants: only the supervisor's loop changes it; `Status.snapshot` is plain JSON and holds no secret; the words for
states and stages are those of docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from launcher.progress import Progress

#: What answers on the port, and what speaks; further engines are ``engine-2``, ``engine-3``...
PAGE = "page"
ENGINE = "engine"
#: Somebody else's app, which does both.
APP = "app"
#: What is said to load and unload means every engine, unless it names one.
ALL_ENGINES = "engines"
#: What brings the engine's weights, when they are not there; it ends when they are.
WEIGHTS = "weights"
#: Crashes of this run that the snapshot tells of; the logs' folder has more.
_CRASHES_SHOWN = 5
#: An engine's words for what it does before it looks for its weights, and for getting them into the cache; every
#: other word comes after that.
EARLY_STAGES = frozenset({"start", "import"})
WEIGHT_STAGES = frozenset({"fetch", "download", "verify", "assemble", "split", "weights"})


#: States of an engine that serves, or comes back with the next request.
SERVING = ("ready", "unloaded")


def engine_names(count: int) -> tuple[str, ...]:
    """The components' names of so many engines: ``engine``, ``engine-2``..."""
    return (ENGINE, *(f"{ENGINE}-{number}" for number in range(2, count + 1)))


def kind_of(component: str) -> str:
    """What a component is, without the number that an engine may have: ``engine-2`` is an ``engine``."""
    return component.partition("-")[0]


@dataclass
class ComponentStatus:
    """One child as people see it.

    Attributes:
        state: ``starting``, ``ready``, ``restarting``, ``stopping``, ``stopped``, ``unloaded`` or ``failed``.
        restarts: how often it was started again in this run.
        since: when ``state`` began, in seconds since 1970.
        error: ``{"message", "fix"}`` of its last failure; ``None`` once it is ready again.
    """

    state: str = "starting"
    pid: int | None = None
    restarts: int = 0
    since: float = 0.0
    progress: Progress | None = None
    info: dict[str, Any] = field(default_factory=dict)
    error: dict[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """The value as the snapshot shows it."""
        return {
            "state": self.state,
            "pid": self.pid,
            "restarts": self.restarts,
            "since": self.since,
            "progress": None if self.progress is None else self.progress.to_json(),
            "info": self.info,
            "error": self.error,
        }


@dataclass
class StageStatus:
    """One step of a start; ``began`` and ``ended`` are monotonic seconds."""

    state: str = "waiting"
    began: float | None = None
    ended: float | None = None
    progress: Progress | None = None


class Status:
    """The state of a run.

    Args:
        instance, version, url, host, port, pid: as the snapshot shows them.
        clock: monotonic seconds.
        wall_clock: seconds since 1970.
        front: what answers on the port: `PAGE`, or `APP`, which needs the weights itself and no engine.
        remaining_s: estimate of the seconds until a component is ready; ``None`` when there is none.
    """

    def __init__(
        self,
        *,
        instance: str,
        version: str,
        url: str,
        host: str,
        port: int,
        pid: int,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        front: str = PAGE,
        remaining_s: Callable[[str], float | None] = lambda component: None,
    ) -> None:
        self._about = {"instance": instance, "version": version, "pid": pid, "url": url, "host": host, "port": port}
        self._clock = clock
        self._wall_clock = wall_clock
        self.remaining_s = remaining_s
        self._began = clock()
        self.started_at = wall_clock()
        self.front = front
        #: What needs the weights: the engines, of which the first one is always there, or the app.
        self.engines: tuple[str, ...] = (ENGINE if front == PAGE else front,)
        self.components = {name: ComponentStatus(since=self.started_at) for name in (front, *self.engines)}
        self.stages = {
            name: StageStatus() for name in ("listen", *((PAGE,) * (front == PAGE)), WEIGHTS, self.engines[0])
        }
        self.warnings: list[dict[str, str]] = []
        self.alarms: list[dict[str, str]] = []
        #: Reports of this run's crashes without their lines, newest first.
        self.crashes: list[dict[str, Any]] = []
        #: Which engine was taken, and why; empty until that is known.
        self.choice = {"name": "", "reason": ""}
        self.stopping = False
        self._was_ready = False

    def expect_engines(self, names: tuple[str, ...]) -> None:
        """Notes which engines there will be."""
        self.engines = names
        for name in names:
            self.components.setdefault(name, ComponentStatus(since=self._wall_clock()))

    def expect_weights(self) -> None:
        """Notes that weights have to be brought before the engine can start."""
        self.components[WEIGHTS] = ComponentStatus(since=self._wall_clock())

    def show_crash(self, report: dict[str, Any]) -> None:
        """Notes a crash; an old one is forgotten for it."""
        self.crashes = [report, *self.crashes][:_CRASHES_SHOWN]

    def enter(self, component: str, state: str) -> None:
        """Notes that ``component`` is now in ``state``."""
        status = self.components[component]
        if status.state != state:
            status.state = state
            status.since = self._wall_clock()
        if state not in ("starting", "restarting"):
            status.progress = None
        if state == "ready":
            status.error = None
        self._was_ready = self._was_ready or (
            self.components[self.front].state == "ready" and self._has_engine("ready")
        )

    def stage(self, name: str, state: str) -> None:
        """Moves a stage to ``state``; beginning again starts its clock again."""
        stage = self.stages[name]
        if stage.state == state:
            return
        now = self._clock()
        if state in ("waiting", "running"):
            stage.began, stage.ended = (now if state == "running" else None), None
        else:
            stage.began = now if stage.began is None else stage.began
            stage.ended = now
            stage.progress = None
        stage.state = state

    def begin(self, component: str) -> None:
        """Sets the stages of a child that is being started."""
        if component == PAGE:
            self.stage(PAGE, "waiting")
            self.stage(PAGE, "running")
            return
        if component == WEIGHTS:
            self.stage(kind_of(self.engines[0]), "waiting")
        elif not self._leads(component):
            return
        for name in self._stages_of(component):
            self.stage(name, "waiting")
        self.stage(kind_of(component), "running")

    def progress(self, component: str, progress: Progress) -> None:
        """Notes how far a child is, and which stage that belongs to."""
        self.components[component].progress = progress
        if component == WEIGHTS:
            # Who looks at the engine only sees why it is not there yet.
            for name in self.engines:
                self.components[name].progress = replace(progress, parts=(), hosts=())
        if component in self.engines and not self._leads(component):
            return
        stage, sees_to_weights = kind_of(component), component in self.engines and WEIGHTS not in self.components
        if sees_to_weights and progress.stage in WEIGHT_STAGES:
            self.stage("weights", "running")
            self.stages["weights"].progress = progress
            self.stages[stage].progress = None
            return
        if sees_to_weights and progress.stage not in EARLY_STAGES:
            self.stage("weights", "done")
        self.stages[stage].progress = progress

    def finish(self, component: str, state: str) -> None:
        """Ends the stages of a child: ``done`` or ``failed``; one engine is enough for ``done``."""
        if component in self.engines and state == "failed" and not self._failed:
            return
        for name in self._stages_of(component):
            stage = self.stages[name]
            if state == "done" or stage.state == "running":
                self.stage(name, state)

    def rest(self, component: str) -> None:
        """Notes that a child has been taken away until it is wanted."""
        if all(self.components[name].state == "unloaded" for name in self.engines):
            self.stage(kind_of(component), "waiting")

    def _leads(self, component: str) -> bool:
        """Whether the stages show this engine: the first one that has not failed, until one of them serves."""
        others = [name for name in self.engines if name != component]
        if any(self.components[name].state == "ready" for name in others):
            return False
        going = [name for name in self.engines if self.components[name].state != "failed"]
        return component == (going or [component])[0]

    def _has_engine(self, *states: str) -> bool:
        return any(self.components[name].state in states for name in self.engines)

    def _stages_of(self, component: str) -> tuple[str, ...]:
        """The stages that a child goes through; an engine without anybody to bring its weights sees to them itself."""
        stage = kind_of(component)
        return (WEIGHTS, stage) if component in self.engines and WEIGHTS not in self.components else (stage,)

    @property
    def _failed(self) -> bool:
        """Whether no engine is left."""
        return all(self.components[name].state == "failed" for name in self.engines)

    @property
    def state(self) -> str:
        """``starting``, ``ready``, ``degraded``, ``stopping`` or ``failed``."""
        page = self.components[self.front].state
        if self.stopping:
            return "stopping"
        if page == "failed" or self._failed:
            return "failed"
        # An unloaded engine comes back with the next request: for who asks, the instance is ready.
        serves = self._has_engine(*SERVING)
        if page == "ready" and serves:
            # One that is still on its first way up takes nothing away; one that was there and is not does.
            lacks = not all(self.components[name].state in (*SERVING, "starting") for name in self.engines)
            return "degraded" if lacks else "ready"
        return "degraded" if self._was_ready and (page == "ready" or self._has_engine("ready")) else "starting"

    def snapshot(self) -> dict[str, Any]:
        """The object of docs/architecture.md."""
        now = self._clock()
        return {
            **self._about,
            "started_at": self.started_at,
            "uptime_s": round(now - self._began, 3),
            "state": self.state,
            "stages": [self._stage_json(name, stage, now) for name, stage in self.stages.items()],
            "components": {name: self._component_json(name) for name in self.components},
            "choice": dict(self.choice),
            "warnings": [*self.warnings, *self.alarms],
            "crashes": list(self.crashes),
        }

    def _component_json(self, name: str) -> dict[str, Any]:
        """A component, with our own estimate where it reports none."""
        shown = self.components[name].to_json()
        progress = shown["progress"]
        if progress is not None and progress["eta_s"] is None:
            remaining_s = self.remaining_s(name)
            progress["eta_s"] = None if remaining_s is None else round(remaining_s, 1)
        return shown

    @staticmethod
    def _stage_json(name: str, stage: StageStatus, now: float) -> dict[str, Any]:
        elapsed = 0.0 if stage.began is None else (stage.ended or now) - stage.began
        progress = None if stage.progress is None else stage.progress.to_json()
        return {"name": name, "state": stage.state, "elapsed_s": round(elapsed, 3), "progress": progress}
