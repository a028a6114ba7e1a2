"""Which engines there are: a name and where its class lives; nothing is imported until it is asked for.

Invariant: a class named here takes one keyword argument set: ``cache_dir: Path, device: str, threads: int,
options: Mapping[str, str]``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

from launcher.errors import EngineError
from webui.engine.base import Engine

ENGINES: dict[str, str] = {
    "kokoro": "webui.engine.kokoro.engine:KokoroEngine",
    "indextts2": "webui.engine.indextts.engine:IndexTTS2Engine",
    "indextts2.5": "webui.engine.indextts.engine:IndexTTS25Engine",
}


def create_engine(
    name: str,
    *,
    cache_dir: Path,
    device: str,
    threads: int,
    options: Mapping[str, str] | None = None,
    engines: dict[str, str] = ENGINES,
) -> Engine:
    """A new engine, not loaded.

    Args:
        name: a key of ``engines``.
        cache_dir: root of the pinned cache.
        device: ``auto``, ``cpu`` or ``cuda:N``.
        threads: of the inference library; 0 lets it choose.
        options: `webui.settings.WorkerSettings.options`.
        engines: name to ``module:Class``; tests pass their own.

    Raises:
        EngineError: when the name is unknown or a package that the engine needs is missing.
    """
    target = engines.get(name)
    if target is None:
        raise EngineError(f"engine {name!r} is not known.", fix=f"Use one of {', '.join(sorted(engines))}.")
    module_name, _, class_name = target.partition(":")
    try:
        engine_class = getattr(importlib.import_module(module_name), class_name)
    except ImportError as error:
        raise EngineError(
            f"engine {name!r} cannot be imported: {error}.", fix="Run scripts/start, which installs what it needs."
        ) from error
    engine: Engine = engine_class(cache_dir=cache_dir, device=device, threads=threads, options=dict(options or {}))
    return engine
