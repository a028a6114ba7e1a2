"""The stand-in for the engine: loads nothing, then waits."""

from __future__ import annotations

import os
import threading

from webui.behaviour import StandIn


def main() -> None:
    life = StandIn("engine")
    ended = threading.Event()
    life.on_terminate(ended.set)
    life.load(["import", "assemble", "load", "warm_up"])
    life.say("ready", info={"name": life.settings["engine"]})
    while life.orders.get("idle") and not ended.wait(0.2):
        print(f"{life.component} says idle", flush=True)
        life.say("idle")
    ended.wait()
    os._exit(0)


if __name__ == "__main__":
    main()
