"""Which engine speaks, in which interpreter, and why: what the user named, or the best one that can.

Invariants: nothing is started and no network asked; the reason and each warning are one sentence for people; while no
engine is installed the answer costs no look at GPUs or models, because every start waits for it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.engines.environments import (
    EMBEDDED_ENGINE,
    InstalledEngine,
    engine_dir,
    installed,
    interpreter,
    interpreter_in,
)
from launcher.engines.memory import MemoryPlan, memory_plan
from launcher.engines.recipes import RECIPES, Recipe
from launcher.errors import EngineError

if TYPE_CHECKING:
    from launcher.config import Config
    from launcher.engines.gpu import Gpu

_GB = 10**9


@dataclass(frozen=True)
class EngineChoice:
    """Which engine speaks.

    Attributes:
        name: the engine's.
        interpreter: what to start it with; where it would be when the environment is missing.
        models: names of the catalog that it needs.
        reason: why this one, one sentence.
        warnings: what will surprise, one sentence each.
        memory: how to use the GPU; ``None`` for an engine that has no such choice.
        missing: whether its environment must be installed first.
    """

    name: str
    interpreter: Path
    models: tuple[str, ...]
    reason: str
    warnings: tuple[str, ...] = ()
    memory: MemoryPlan | None = None
    missing: bool = False

    def require(self) -> None:
        """Makes sure that the engine can be started.

        Raises:
            EngineError: when its environment is missing, with the command that makes it.
        """
        if self.missing:
            raise EngineError(
                f"Engine {self.name!r} is not installed.",
                fix=f"Install it with: tts-launcher engine install {self.name}, "
                "or name an interpreter that has it in LAUNCHER_ENGINE_PYTHON.",
            )


@dataclass(frozen=True)
class Candidate:
    """How an engine with an environment of its own stands here.

    Attributes:
        recipe: what it is.
        installed: its environment; ``None`` when there is none.
        foreign: whether ``LAUNCHER_ENGINE_PYTHON`` stands for the environment.
        weights: ``present``, ``partial`` or ``missing``.
        gpu: the one that it would use.
        needs_bytes: GPU memory that it needs with the plan for this GPU.
        obstacle: why ``auto`` passes it over; empty when it can speak.
    """

    recipe: Recipe
    installed: InstalledEngine | None
    foreign: bool
    weights: str
    gpu: Gpu | None
    needs_bytes: int
    memory: MemoryPlan
    obstacle: str

    @property
    def fits(self) -> bool:
        """Whether the GPU's memory is enough; false without a GPU."""
        return self.gpu is not None and self.needs_bytes <= self.gpu.vram_total_bytes


@dataclass
class Ground:
    """What a choice rests on.

    Attributes:
        config: the settings.
        find_gpus: asked once, and only when it matters.
    """

    config: Config
    find_gpus: Callable[[], Sequence[Gpu]] | None = None
    _found: tuple[Gpu, ...] | None = field(default=None, init=False)

    def gpu(self) -> Gpu | None:
        """The GPU that the settings leave to the engine, of several the smallest; ``None`` when one is not there."""
        if self.config.device == "cpu":
            return None
        if self._found is None:
            from launcher.engines.gpu import gpus, visible

            found = gpus() if self.find_gpus is None else self.find_gpus()
            self._found = visible(found, self.config.standard)
        numbers = self.config.gpu or (int(self.config.device.partition(":")[2] or 0),)
        if max(numbers) >= len(self._found):
            return None
        return min((self._found[number] for number in numbers), key=lambda gpu: gpu.vram_total_bytes)


def choose(config: Config, *, find_gpus: Callable[[], Sequence[Gpu]] | None = None) -> EngineChoice:
    """The engine that ``LAUNCHER_ENGINE`` names or, for ``auto``, the best one that is installed, present and fits.

    Args:
        config: the settings.
        find_gpus: where GPUs come from; ``None`` asks the driver.

    Raises:
        EngineError: when ``LAUNCHER_ENGINE_PYTHON`` names no file.
    """
    ground = Ground(config, find_gpus)
    if config.engine == EMBEDDED_ENGINE:
        return _embedded("LAUNCHER_ENGINE names it.")
    if config.engine != "auto":
        return _named(ground, config.engine)
    if not config.engine_python and not any(installed(config, name) for name in RECIPES):
        return _embedded("It comes with the launcher and runs on any processor; no other engine is installed.")
    seen = [candidate(ground, recipe) for recipe in RECIPES.values()]
    best = next((one for one in seen if not one.obstacle), None)
    if best is None:
        why = "; ".join(f"{one.recipe.engine} {one.obstacle}" for one in seen)
        return _embedded(f"It comes with the launcher and runs on any processor: {why}.")
    passed = [f"{one.recipe.engine} {one.obstacle}" for one in seen[: seen.index(best)]]
    reason = "It is the best engine that is installed, has its weights and fits"
    return _chosen(ground, best, f"{reason}: {'; '.join(passed)}." if passed else f"{reason}.")


def _embedded(reason: str) -> EngineChoice:
    return EngineChoice(EMBEDDED_ENGINE, Path(sys.executable), (), reason)


def _named(ground: Ground, name: str) -> EngineChoice:
    reason = "LAUNCHER_ENGINE names it."
    if name in RECIPES:
        return _chosen(ground, candidate(ground, RECIPES[name]), reason)
    python = interpreter(ground.config, name) or Path(sys.executable)
    return EngineChoice(name, python, _models(name), reason)


def _chosen(ground: Ground, one: Candidate, reason: str) -> EngineChoice:
    name, config = one.recipe.engine, ground.config
    python = interpreter(config, name)
    expected = interpreter_in(engine_dir(config, name) / "env")
    warnings = tuple(_warnings(one, config))
    return EngineChoice(name, python or expected, _models(name), reason, warnings, one.memory, python is None)


def _warnings(one: Candidate, config: Config) -> list[str]:
    name, found = one.recipe.engine, []
    if one.installed is not None and not one.installed.current:
        found.append(f"{name} was installed from an older lock; renew it with: tts-launcher engine install {name}")
    if one.installed is not None and one.installed.build == "cpu" and one.gpu is not None:
        found.append(f"{name} has a PyTorch without CUDA; to use the GPU: engine install {name} --cuda auto")
    if one.gpu is None and config.device != "cpu":
        found.append(f"No GPU was found; {name} needs minutes for a sentence on a processor.")
    elif one.gpu is not None and not one.fits:
        found.append(
            f"{name} needs about {one.needs_bytes / _GB:.1f} GB of GPU memory, and {one.gpu.name} has "
            f"{one.gpu.vram_total_bytes / _GB:.1f} GB."
        )
    elif one.gpu is not None and one.needs_bytes > one.gpu.vram_free_bytes:
        found.append(
            f"{name} needs about {one.needs_bytes / _GB:.1f} GB of GPU memory, of which "
            f"{one.gpu.vram_free_bytes / _GB:.1f} GB are free; see who holds the rest with: tts-launcher engine ls"
        )
    return found


def candidate(ground: Ground, recipe: Recipe) -> Candidate:
    """How an engine stands on this computer.

    Args:
        ground: what to look at.
        recipe: the engine's.
    """
    config = ground.config
    found, foreign = installed(config, recipe.engine), bool(config.engine_python)
    gpu = ground.gpu()
    together = max(Counter(config.devices).values())  # so many engines meet on one card
    memory = memory_plan(gpu, config, recipe.half, together)
    weights = _weights(config, recipe.engine, memory)
    needs = recipe.vram_full_bytes if memory.precision == "fp32" else recipe.vram_half_bytes
    if memory.precision != "fp32" and memory.qwen == "yes":
        needs += _QWEN_HALF_BYTES
    needs *= together
    one = Candidate(recipe, found, foreign, weights, gpu, needs, memory, "")
    return replace(one, obstacle=_obstacle(one, config))


#: The emotion model's file, which is in half precision already.
_QWEN_HALF_BYTES = 1_192_135_096


def _obstacle(one: Candidate, config: Config) -> str:
    if one.installed is None and not one.foreign:
        return "is not installed"
    if one.weights != "present":
        return f"lacks its weights (fetch {' '.join(_models(one.recipe.engine))})"
    if one.gpu is None:
        return "would compute on the processor, as LAUNCHER_DEVICE says" if config.device == "cpu" else "finds no GPU"
    if one.installed is not None and not one.foreign and one.installed.build == "cpu":
        return "has a PyTorch without CUDA"
    if not one.fits:
        return f"needs {one.needs_bytes / _GB:.1f} of the GPU's {one.gpu.vram_total_bytes / _GB:.1f} GB"
    return ""


def _models(engine: str) -> tuple[str, ...]:
    from launcher.hub.catalog import needed_by

    return tuple(entry.name for entry in needed_by(engine))


def _weights(config: Config, engine: str, memory: MemoryPlan) -> str:
    """Whether all that an engine loads is on this disk."""
    from launcher.cache.layout import hub_cache
    from launcher.hub.bringing import missing, needs

    if config.model_dir and not (Path(config.model_dir) / "config.yaml").is_file():
        return "missing"
    parts = needs(replace(config, models=(), qwen=memory.qwen), engine)
    lacking = missing(hub_cache(config), parts)
    return "present" if not lacking else "partial" if len(lacking) < len(parts) else "missing"


def to_json(choice: EngineChoice) -> dict[str, Any]:
    """A choice as a JSON object."""
    return {
        "name": choice.name,
        "interpreter": str(choice.interpreter),
        "models": list(choice.models),
        "reason": choice.reason,
        "warnings": list(choice.warnings),
        "memory": None if choice.memory is None else {**choice.memory.to_options(), "reason": choice.memory.reason},
        "missing": choice.missing,
    }
