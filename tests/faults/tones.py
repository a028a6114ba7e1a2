"""A whole instance whose engine speaks in tones: the real supervisor, page and engine's process, without the voice.

What it says can be computed: every word becomes a tone of a quarter of a second, so each answer has a length and a
hash that are known beforehand.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.engine.tone_engine import tone
from tests.system.running import ROOT, Running, running

#: In the engine's process the embedded voice's name means the tones.
TONES = """
import sys

if "webui.engine.worker" in sys.orig_argv:
    from webui.engine.registry import ENGINES

    ENGINES["kokoro"] = "tests.engine.tone_engine:ToneEngine"
"""
#: Seconds of sound that the engine makes of a word when nothing else is said.
WORD_S = 0.25


def tone_settings(folder: Path, **options: float) -> dict[str, str]:
    """Environment of an instance that speaks in tones.

    Args:
        folder: its data folder is ``folder/data``.
        options: of the tone engine.
    """
    site, cache = folder / "site", folder / "data" / "cache"
    site.mkdir(parents=True, exist_ok=True)
    cache.mkdir(parents=True, exist_ok=True)
    (site / "sitecustomize.py").write_text(TONES)
    (cache / "tone.json").write_text(json.dumps(options))
    return {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]), "LAUNCHER_ENGINE": "kokoro"}


@contextlib.contextmanager
def tones(
    folder: Path, *, options: dict[str, float] | None = None, settings: dict[str, str] | None = None
) -> Iterator[Running]:
    """A ready instance that speaks in tones, stopped afterwards."""
    environment = {**tone_settings(folder, **(options or {})), **(settings or {})}
    with running(folder / "data", "faults", settings=environment) as instance:
        instance.wait_ready_for_clients()
        yield instance


def expected_pcm(text: str) -> bytes:
    """The samples that an instance must answer with for ``text``, which has no words that act."""
    return tone(WORD_S).tobytes() * len(text.split())


def digest(pcm: bytes) -> str:
    """A short name for samples."""
    return hashlib.sha256(pcm).hexdigest()[:16]


@dataclass(frozen=True)
class Answer:
    """What a request came to.

    Attributes:
        status: HTTP status; 0 when the connection ended without one.
        body: what came.
        whole: whether all that was announced has come.
        error: why not; empty otherwise.
        retry_after: the header of that name.
    """

    status: int
    body: bytes
    whole: bool
    error: str = ""
    retry_after: str = ""


def speak(url: str, text: str, *, timeout_s: float = 30.0) -> Answer:
    """One request for samples of ``text``, without a second try."""
    where = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=timeout_s)
    body = json.dumps({"model": "tts-1", "voice": "alloy", "input": text, "response_format": "pcm"})
    try:
        connection.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        try:
            later = answer.getheader("Retry-After", "")
            return Answer(answer.status, answer.read(), whole=True, retry_after=later)
        except http.client.IncompleteRead as error:
            return Answer(answer.status, error.partial, whole=False, error="cut")
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, b"", whole=False, error=f"{type(error).__name__}: {error}")
    finally:
        connection.close()


def speak_as_clients_do(url: str, text: str, *, within_s: float = 90.0) -> Answer:
    """Asks again after 503 and after lost connections, as the official client does; the last answer."""
    deadline = time.monotonic() + within_s
    while True:
        answer = speak(url, text, timeout_s=within_s)
        if (answer.status == 200 and answer.whole) or time.monotonic() > deadline:
            return answer
        time.sleep(0.1)
