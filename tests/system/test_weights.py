"""The whole instance brings weights, speaks, and with everything there asks no network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.hub import GeneratedFile, HubServer, Repo
from tests.system.running import http, running

pytestmark = pytest.mark.voice
NAME = "org/tiny"


def test_weights_come_first_and_are_never_asked_for_again(data_dir: Path) -> None:
    repo = Repo({"config.json": b"{}", "model.bin": GeneratedFile(3_000_000, seed=9)})
    with HubServer({NAME: repo}) as hub:
        settings = {"LAUNCHER_MODELS": NAME, "LAUNCHER_MIRRORS": hub.url}
        with running(data_dir, "weights", settings=settings) as instance:
            assert instance.snapshot()["components"]["weights"]["state"] == "ready"
        assert hub.count() > 0
        (model,) = data_dir.rglob("models--org--tiny/snapshots/*/model.bin")
        assert model.stat().st_size == 3_000_000
        hub.forget()
        with running(data_dir, "weights", "--offline", settings=settings) as instance:
            body = {"model": "tts-1", "input": "Nobody was asked.", "response_format": "wav"}
            assert http(f"{instance.url}/v1/audio/speech", body)[0] == 200
        assert hub.count() == 0
