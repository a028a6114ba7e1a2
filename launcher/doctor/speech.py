"""Checks of what will speak: the engine that a start would choose, and whether its weights are here."""

from __future__ import annotations

from launcher.cache.layout import hub_cache
from launcher.doctor.finding import FAILED, OK, WARNING, Finding, Ground, listed, size_text


def check_engine(ground: Ground) -> Finding:
    """The engine that a start would choose, and the interpreter that would run it."""
    from launcher.engines.choice import choose

    choice = choose(ground.config)
    if choice.missing:
        fix = f"Run: tts-launcher engine install {choice.name}, or name a Python that has it in LAUNCHER_ENGINE_PYTHON."
        return Finding("Engine", FAILED, f"{choice.name} is not installed", fix)
    if choice.warnings:
        return Finding("Engine", WARNING, f"{choice.name}: {choice.warnings[0]}", "See: tts-launcher engine ls")
    return Finding("Engine", OK, f"{choice.name}: {choice.reason.rstrip('.')}")


def check_weights(ground: Ground) -> Finding:
    """The models that this engine loads are complete."""
    from launcher.engines.choice import choose
    from launcher.hub.bringing import missing, needs

    choice = choose(ground.config)
    parts = needs(ground.config, choice.name)
    if not parts:
        return Finding("Weights", OK, "this engine brings its own")
    lacking = missing(hub_cache(ground.config), parts)
    if lacking:
        size = sum(one.size_bytes for one in lacking)
        names = list(dict.fromkeys(one.wanted.repo for one in lacking))
        detail = f"missing or partial: {listed(names)}, {size_text(size)} to fetch"
        fix = f"Run: tts-launcher fetch {' '.join(choice.models)} (the next start does it too)."
        return Finding("Weights", WARNING, detail, fix)
    return Finding("Weights", OK, f"{len(parts)} repositories, complete")
