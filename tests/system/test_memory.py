"""The engine gives its memory back, by command or when nobody speaks, and the next request brings it back."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.system.running import Running, http, running

pytestmark = pytest.mark.voice


def speak(instance: Running) -> None:
    body = {"model": "tts-1", "input": "Awake again.", "response_format": "wav"}
    status, _, answer = http(f"{instance.url}/v1/audio/speech", body)
    assert status == 200 and answer[:4] == b"RIFF", answer[:300]


def test_unloaded_it_comes_back_with_the_next_request(data_dir: Path) -> None:
    with running(data_dir, "memory", settings={"LAUNCHER_IDLE_UNLOAD": "2"}) as instance:
        now = instance.wait(lambda now: now["components"]["engine"]["state"] == "unloaded", "unloaded")
        assert now["state"] == "ready" and now["components"]["engine"]["pid"] is None
        children = psutil.Process(now["pid"]).children(recursive=True)
        assert [child.pid for child in children] == [now["components"]["page"]["pid"]]
        assert http(f"{instance.url}/readyz")[0] == 200
        # A page that starts meanwhile knows what the engine offers, and wakes it too.
        instance.launcher("restart", "page")
        speak(instance)
        assert instance.launcher("engine", "unload", "--no-wait")["was"] == "ready"
        speak(instance)
        assert instance.launcher("engine", "unload")["state"] == "unloaded"
        assert instance.launcher("engine", "load")["state"] == "ready"
        assert instance.snapshot()["components"]["engine"]["restarts"] == 0
