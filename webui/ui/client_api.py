"""Speech for `gradio_client`: the API name ``/speak``, which answers with a sound file.

Invariants: it is a client of `POST /v1/audio/speech` in this process, so it takes what that takes and can do no more; a
file lies in the private temporary folder and is served only because it was made here.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
from gradio.data_classes import FileData
from gradio.events import api
from starlette.types import ASGIApp

#: Longer than any queue is waited for.
_PATIENCE_S = 3600.0
_REMEMBERED = 1000
_SUFFIXES = {"wav": ".wav", "mp3": ".mp3", "flac": ".flac", "opus": ".ogg", "pcm": ".pcm"}


def offer_speech(demo: gr.Blocks, app: ASGIApp, folder: Path) -> None:
    """Adds the API name.

    Args:
        demo: the page's blocks.
        app: answers `POST /v1/audio/speech`.
        folder: for the files; private.
    """
    made: set[str] = set()
    demo.temp_file_sets.append(made)
    transport = httpx.ASGITransport(app=app, client=("gradio", 0))

    async def speak(  # noqa: PLR0917 - a client gives them by name
        text: str,
        voice: str = "",
        emotion: dict[str, float] | None = None,
        intensity: float = 1.0,
        speed: float = 1.0,
        language: str = "auto",
        seed: int | None = None,
        audio_format: str = "wav",
    ) -> FileData:
        """Speaks a text."""
        body: dict[str, Any] = {
            **{"input": text, "voice": voice or None, "emotion": emotion, "intensity": intensity, "speed": speed},
            **{"language": language, "seed": seed, "response_format": audio_format},
        }
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=_PATIENCE_S) as client:
            answer = await client.post("/v1/audio/speech", json=body)
        if answer.status_code != 200:
            raise gr.Error(str(answer.json()["error"]["message"]), print_exception=False)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{uuid.uuid4().hex}{_SUFFIXES[audio_format]}"
        path.write_bytes(answer.content)
        made.add(str(path))
        if len(made) > _REMEMBERED:  # files go after a while
            made.difference_update([name for name in made if not os.path.exists(name)])  # noqa: PTH110
        return FileData(path=str(path), orig_name=path.name, mime_type=answer.headers["content-type"])

    with demo:
        api(speak, api_name="speak", concurrency_limit=None)
