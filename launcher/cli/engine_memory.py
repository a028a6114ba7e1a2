"""``engine load``, ``unload``, ``reload``: gives the running engine's memory to other programs, and takes it back.

Invariants: an unload is done when the engine's process is gone, because only then its GPU memory has come back; a
request that wakes the engine meanwhile brings a new process, which the command tells and does not wait for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import click

from launcher.cache.layout import instance_paths
from launcher.cli.app import Context
from launcher.cli.waiting import POLL_S, wait_options
from launcher.errors import ConfigError, EngineError
from launcher.process.instance import ask, require_running
from launcher.process.runfile import RunFile, RunRecord
from launcher.process.snapshot import ALL_ENGINES, ENGINE, kind_of

_ENDED = ("unloaded", "stopped")


@click.command(name="load", help="Start the engine again after `engine unload`; of several all, or the one named.")
@click.argument("name", default=ALL_ENGINES)
@wait_options("done")
@click.pass_obj
def load_command(context: Context, name: str, wait: bool, timeout_s: float) -> None:
    """Loads it."""
    _send(context, Order("load", name, ("ready",), "loaded"), wait=wait, timeout_s=timeout_s)


@click.command(
    name="unload",
    help="End the engine, so that ComfyUI, ollama or another program can use the GPU; the page stays, and the next "
    "request for speech brings the engine back. Of several engines all, or the one named, such as engine-2.",
)
@click.argument("name", default=ALL_ENGINES)
@wait_options("done")
@click.pass_obj
def unload_command(context: Context, name: str, wait: bool, timeout_s: float) -> None:
    """Unloads it."""
    _send(context, Order("unload", name, _ENDED, "unloaded"), wait=wait, timeout_s=timeout_s)


@click.command(
    name="reload",
    help="End the engine and start it anew, with what is on the disk now; of several all, or the one named.",
)
@click.argument("name", default=ALL_ENGINES)
@wait_options("done")
@click.pass_obj
def reload_command(context: Context, name: str, wait: bool, timeout_s: float) -> None:
    """Reloads it."""
    _send(context, Order("restart", name, ("ready",), "loaded anew"), wait=wait, timeout_s=timeout_s)


@dataclass(frozen=True)
class Order:
    """What is asked for.

    Attributes:
        command: of the control socket.
        name: an engine's, or ``engines`` for all.
        states: in one of which an engine has obeyed.
        done: the same in words.
    """

    command: str
    name: str
    states: tuple[str, ...]
    done: str


def _send(context: Context, order: Order, *, wait: bool, timeout_s: float) -> None:
    config = context.load_config()
    paths = instance_paths(config)
    record = require_running(RunFile(paths.run_file, paths.lock_file), config.instance)
    before = _engines(record)
    asked = _asked(order, before)
    free_before = _free_bytes()
    began = time.monotonic()
    for name in asked if order.command == "restart" else (order.name,):
        ask(record, order.command, component=name)
    engines = _wait(record, order, {name: before[name] for name in asked}, timeout_s) if wait else before
    elapsed_s = time.monotonic() - began
    woken = [name for name in asked if order.command == "unload" and wait and engines[name]["state"] not in _ENDED]
    freed = 0 if woken else _freed(free_before)
    context.output.result(
        {
            "instance": config.instance,
            "state": engines[asked[0]]["state"],
            "was": before[asked[0]]["state"],
            "engines": {name: engine["state"] for name, engine in engines.items()},
            "elapsed_s": round(elapsed_s, 3),
            "vram_freed_bytes": freed,
            "woken": woken,
        },
        _sentence(order, asked, woken, elapsed_s, freed) if wait else f"Asked for: {order.command}.",
    )


def _sentence(order: Order, asked: list[str], woken: list[str], elapsed_s: float, freed_bytes: int) -> str:
    """What came of an order, for a person."""
    who = "The engines are" if len(asked) > 1 else f"The {asked[0]} is"
    said = f"{who} {order.done} after {elapsed_s:.1f} s."
    if woken:
        again = "They are" if len(woken) > 1 else f"The {woken[0]} is"
        said += f" {again} loading again, because somebody asks for speech: pause jobs and close pages to keep it away."
    elif order.command == "unload" and freed_bytes > 0:
        said += f" {freed_bytes / 10**9:.1f} GB of GPU memory came back."
    return said


def _asked(order: Order, engines: dict[str, dict[str, Any]]) -> list[str]:
    """The engines that will obey."""
    if order.name != ALL_ENGINES:
        if order.name not in engines:
            raise ConfigError(
                f"There is no engine {order.name!r:.60}.", fix=f"Use {', '.join(engines)}, or no name for all."
            )
        return [order.name]
    # One of several that had failed before stays as it is, unless it is started anew.
    obeying = [name for name in engines if order.command == "restart" or engines[name]["state"] != "failed"]
    return obeying or list(engines)


def _wait(
    record: RunRecord, order: Order, before: dict[str, dict[str, Any]], timeout_s: float
) -> dict[str, dict[str, Any]]:
    """Each engine's part of the snapshot once all have obeyed; ``before``: those that were asked, as they were."""
    deadline = time.monotonic() + timeout_s
    gone: set[str] = set()
    while True:
        engines = _engines(record)
        gone |= {name for name, was in before.items() if _has_ended(was, engines[name])}
        obeyed = {name for name in before if engines[name]["state"] in order.states}
        if order.command == "unload":
            obeyed |= gone  # a request may have brought another process since, which is none of this order's
        going = [engines[name] for name in before if name not in obeyed]
        if not going:
            return engines
        for engine in going:
            if engine["state"] == "failed":
                error = engine["error"] or {}
                raise EngineError(str(error.get("message") or "The engine failed."), fix=str(error.get("fix") or ""))
        if time.monotonic() >= deadline:
            raise EngineError(
                f"The engine is {going[0]['state']} after {timeout_s:.0f} s.", fix="Follow it with: tts-launcher status"
            )
        time.sleep(POLL_S)


def _has_ended(was: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether the process that was told to end has gone; who had none was unloaded at once."""
    return bool(now["pid"] != was["pid"] if was["pid"] else now["state"] != "stopping")


def _engines(record: RunRecord) -> dict[str, dict[str, Any]]:
    """Each engine's part of the snapshot."""
    components = ask(record, "status")["components"]
    return {name: part for name, part in components.items() if kind_of(name) == ENGINE}


def _free_bytes() -> int:
    from launcher.engines.gpu import gpus

    return sum(gpu.vram_free_bytes for gpu in gpus())


def _freed(before: int) -> int:
    return _free_bytes() - before if before else 0
