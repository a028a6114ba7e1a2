"""A stop lets those finish who are being spoken to, and nobody holds it up for longer than its grace."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults.tones import expected_pcm, tone_settings
from tests.system.running import Running

TEXT = " ".join(["word"] * 10)


class Listener(threading.Thread):
    """Takes one streamed answer to its end."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        where = urlsplit(url)
        self._connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        self.pcm = b""
        self.cut = False
        self.sounding = threading.Event()
        self.start()

    def run(self) -> None:
        body = json.dumps({"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": "pcm"})
        self._connection.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        try:
            while data := answer.read(4800):
                self.pcm += data
                self.sounding.set()
        except http.client.HTTPException:
            self.cut = True


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Running]:
    # Ten words of 0.3 s each: three seconds for an answer.
    made = Running(tmp_path / "data", "stopping", settings=tone_settings(tmp_path, chunk_s=0.3))
    made.wait_ready()
    made.wait_ready_for_clients()
    yield made
    made.stop()


def test_a_request_in_flight_is_finished_before_a_stop(instance: Running) -> None:
    listener = Listener(instance.url)
    assert listener.sounding.wait(60)
    began = time.monotonic()
    stopped = instance.launcher("stop", "--grace", "20")
    took = time.monotonic() - began
    listener.join(60)
    assert not listener.cut
    assert listener.pcm == expected_pcm(TEXT)
    assert not stopped["forced"]
    assert took > 1, "it had waited"
    assert instance.process.wait(30) == 0


def test_a_request_that_takes_longer_than_the_grace_is_cut(instance: Running) -> None:
    listener = Listener(instance.url)
    assert listener.sounding.wait(60)
    instance.launcher("stop", "--grace", "1")
    listener.join(60)
    assert len(listener.pcm) < len(expected_pcm(TEXT))
    assert instance.process.wait(30) == 0
