"""Two engines of one instance: the real supervisor, page and workers; the engines themselves speak in tones."""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from launcher.frames import PCM, Frame, FrameReader
from tests.system.running import ROOT, Running, running

#: In every process of the instance: the embedded voice's name means the tones.
TONES = """
import sys

if "webui.engine.worker" in sys.orig_argv:
    from webui.engine.registry import ENGINES

    ENGINES["kokoro"] = "tests.engine.tone_engine:ToneEngine"
"""


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("several")
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(TONES)
    (folder / "data" / "cache").mkdir(parents=True)
    (folder / "data" / "cache" / "tone.json").write_text(json.dumps({"chunk_s": 0.4}))
    settings = {"PYTHONPATH": os.pathsep.join([str(folder / "site"), str(ROOT)]), "LAUNCHER_ENGINES": "2"}
    with running(folder / "data", "several", "--engine", "kokoro", settings=settings) as instance:
        yield instance


class Stream(threading.Thread):
    """A request whose frames are kept as they come."""

    def __init__(self, url: str, text: str) -> None:
        super().__init__(daemon=True)
        self._request = urllib.request.Request(
            f"{url}/api/speak", json.dumps({"text": text}).encode(), {"Content-Type": "application/json"}
        )
        self.frames: list[Frame] = []
        self.sounding = threading.Event()
        self.start()

    def run(self) -> None:
        reader = FrameReader()
        with urllib.request.urlopen(self._request, timeout=120) as answer:
            while data := answer.read1():
                for frame in reader.feed(data):
                    self.frames.append(frame)
                    if frame.kind == PCM:
                        self.sounding.set()

    def ended(self) -> list[str]:
        """Names of its frames, once it is over."""
        self.join(120)
        assert not self.is_alive()
        return ["pcm" if frame.kind == PCM else frame.event["event"] for frame in self.frames]


def engines(snapshot: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: part for name, part in snapshot["components"].items() if name != "page"}


def all_ready(snapshot: dict[str, Any]) -> bool:
    return all(part["state"] == "ready" for part in snapshot["components"].values())


def test_one_is_killed_while_both_speak_and_comes_back(instance: Running) -> None:
    before = instance.wait(all_ready, "both engines ready")
    assert list(engines(before)) == ["engine", "engine-2"]
    assert {part["info"]["name"] for part in engines(before).values()} == {"tone"}
    url = before["url"]
    streams = [Stream(url, "one two three four five six") for _ in range(2)]
    assert all(stream.sounding.wait(60) for stream in streams)
    os.kill(engines(before)["engine"]["pid"], signal.SIGKILL)
    late = Stream(url, "later")
    ends = sorted((stream.ended() for stream in streams), key=lambda names: names[-1])
    assert [names[-1] for names in ends] == ["end", "error"]
    assert ends[0].count("pcm") == 6 and ends[0].count("start") == 1
    assert late.ended()[-1] == "end"
    with urllib.request.urlopen(f"{url}/readyz", timeout=30) as answer:
        assert answer.status == 200  # the other one serves
    after = instance.wait(all_ready, "the engine back")
    assert engines(after)["engine"]["restarts"] == 1 and engines(after)["engine-2"]["restarts"] == 0
    assert engines(after)["engine-2"]["pid"] == engines(before)["engine-2"]["pid"]
    pair = [Stream(url, "again") for _ in range(2)]
    assert all(stream.ended()[-1] == "end" for stream in pair)


def test_one_whose_device_has_failed_ends_and_another_one_speaks(instance: Running) -> None:
    before = instance.wait(all_ready, "both engines ready")
    names = Stream(before["url"], "[lost-once] two").ended()
    assert names[-1] == "end" and names.count("start") == 1 and names.count("pcm") == 2

    def restarts(snapshot: dict[str, Any]) -> int:
        return sum(part["restarts"] for part in engines(snapshot).values())

    instance.wait(lambda now: all_ready(now) and restarts(now) == restarts(before) + 1, "the lost engine back")


def test_all_rest_and_one_request_wakes_all(instance: Running) -> None:
    assert instance.launcher("engine", "unload")["engines"] == {"engine": "unloaded", "engine-2": "unloaded"}
    snapshot = instance.snapshot()
    assert snapshot["state"] == "ready"
    assert Stream(snapshot["url"], "wake").ended()[-1] == "end"
    woken = instance.wait(all_ready, "both engines awake")
    assert engines(woken)["engine"]["pid"] != engines(woken)["engine-2"]["pid"]


def test_one_that_gave_its_memory_away_leaves_the_other_one_to_speak(instance: Running) -> None:
    url = instance.wait(all_ready, "both engines ready")["url"]
    assert instance.launcher("engine", "unload", "engine")["engines"] == {"engine": "unloaded", "engine-2": "ready"}
    pair = [Stream(url, "one two") for _ in range(2)]
    assert all(stream.ended()[-1] == "end" for stream in pair)
    assert engines(instance.snapshot())["engine"]["state"] == "unloaded"
    instance.launcher("engine", "load", "engine")
    assert all_ready(instance.snapshot())
