"""Processes of the engines' interpreter: their environment, recordings for them, and what they did on the network."""

from __future__ import annotations

import math
import os
import struct
import wave
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

#: Notes every attempt to reach a network, in any thread of the process that imports it (``sitecustomize``).
WATCHER = """
import os, sys

def _note(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        address = arguments[1] if event == "socket.connect" else arguments[0]
        if event == "socket.connect" and not isinstance(address, tuple):
            return  # a Unix socket: the supervisor's or the worker's own
        with open(os.environ["NETWORK_LOG"], "a") as log:
            log.write(f"{event} {address}\\n")

sys.addaudithook(_note)
"""


def quiet_environment(hub: Path, **changes: str) -> dict[str, str]:
    """One thread, this Hub cache, no settings of a person."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "LAUNCHER_", "PYTHON"))}
    return {**kept, "HF_HUB_CACHE": str(hub), "OMP_NUM_THREADS": "1", "LAUNCHER_INSTANCE_MARK": "a-test:0", **changes}


def write_recording(path: Path, pitch_hz: float, seconds: float = 2.0, rate_hz: int = 22_050) -> Path:
    """A hum with overtones that swells and fades: no voice, but features that depend on the pitch."""
    samples = []
    for index in range(round(seconds * rate_hz)):
        time_s = index / rate_hz
        swell = 0.5 - 0.5 * math.cos(2 * math.pi * 2 * time_s)
        tone = sum(math.sin(2 * math.pi * pitch_hz * overtone * time_s) / overtone for overtone in (1, 2, 3, 5))
        samples.append(round(9000 * swell * tone / 2))
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return path
