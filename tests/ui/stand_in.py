"""A speech service without a voice: the page with every HTTP route that its scripts call, speaking sine tones.

A test sets the attributes of `StandIn` and sees what the page makes of them; ``python -m tests.ui.stand_in`` serves
it on port 7861 for work on the page.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
import socket
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from launcher.errors import SpeechError
from launcher.frames import MEDIA_TYPE, encode_event, encode_pcm
from launcher.progress import Progress
from webui import markup
from webui.api import encoding
from webui.api.threads import SLOW_PLACES
from webui.engine.base import EngineInfo, SpeechRequest, Voice
from webui.guard import CONTENT_SECURITY_POLICY
from webui.settings import PageSettings
from webui.ui.assets import Assets
from webui.ui.page import mount

RATE_HZ = 24_000
INFO = EngineInfo(
    name="sine",
    title={"en": "Sine", "zh": "正弦"},
    sample_rate_hz=RATE_HZ,
    voices=(
        Voice("aoi", {"en": "Aoi", "zh": "葵"}, "female", ("zh", "en")),
        Voice("kumo", {"en": "Kumo", "zh": "云"}, "male", ("en", "zh")),
        Voice("duet", {"en": "Duet", "zh": "合声"}, "neutral", ("zh", "en")),
        Voice("dusk", {"en": "Dusk", "zh": "暮色"}, "male", ("zh",)),
        Voice("nezumi", {"en": "Nezumi", "zh": "小满"}, "female", ("en", "zh")),
    ),
    languages=("zh", "en"),
    capabilities=("emotion_vector",),
    notes={
        "en": "This is a preview voice: small enough for any computer, and its emotions are changes of pitch, pace and"
        " loudness. IndexTTS adds your own voices from a few seconds of recording, and emotions that are acted.",
        "zh": "这是预览声音：小到任何电脑都能运行，情感通过音高、语速和响度的变化来表现。"
        "IndexTTS 还可以用几秒录音克隆声音，并真正演绎情感。",
    },
)

#: An engine that can do everything.
ABLE = replace(
    INFO,
    capabilities=(
        *("emotion_vector", "emotion_reference", "emotion_text", "random_emotion"),
        *("seed", "duration", "generation_parameters", "glossary", "clone"),
    ),
)


@dataclass
class StandIn:
    """What the service does next, and what it has seen."""

    engine_state: str = "ready"
    further_engines: dict[str, str] = field(default_factory=dict)
    progress: Progress | None = None
    weights: Progress | None = None
    error: dict[str, str] | None = None
    info: EngineInfo = INFO
    chunk_delay_s: float = 0.0
    chunk_s: float = 0.5
    answers: list[tuple[int, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    break_next: str = ""
    requests: list[SpeechRequest] = field(default_factory=list)
    cancelled: int = 0
    finished: int = 0
    uptime_s: float = 1.0
    marks: dict[int, dict[str, Any]] = field(default_factory=dict)  # by segment: fields of the event ``mark``

    def snapshot(self) -> dict[str, Any]:
        """As `docs/architecture.md` describes it."""
        part = {
            "state": self.engine_state,
            "pid": 1,
            "restarts": 0,
            "since": 0.0,
            "progress": self.progress.to_json() if self.progress else None,
            "info": {"name": self.info.name},
            "error": self.error,
        }
        page = {**part, "state": "ready", "progress": None, "error": None, "info": {}}
        state = "ready" if self.engine_state == "ready" else "starting"
        components = {"page": page, "engine": part}
        components |= {name: {**part, "state": each} for name, each in self.further_engines.items()}
        if self.weights is not None:
            components["weights"] = {**part, "progress": self.weights.to_json(), "info": {}}
        return {
            "instance": "test",
            "version": "0",
            "state": state,
            "pid": 1,
            "uptime_s": self.uptime_s,
            "components": components,
        }

    def reset(self) -> None:
        """Back to a service that is ready and has seen nothing."""
        self.__init__()  # type: ignore[misc]  # every field's default


def listed(request: SpeechRequest) -> list[dict[str, Any]]:
    """The segments of a request as the service lists them, its tags followed."""
    passages = markup.spoken(markup.parse(request.text)) if request.markup else (markup.Passage(request.text),)
    found: list[dict[str, Any]] = []
    for passage in passages:
        if not passage.text:
            found[-1]["pause_after_s"] = passage.pause_s
        for piece in segments(passage.text):
            entry: dict[str, Any] = {"index": len(found), "text": piece, "language": "mixed"}
            if passage.emotion is not None:
                entry["emotion"] = passage.emotion.as_dict()
            if passage.speed is not None:
                entry["speed"] = passage.speed
            found.append(entry)
    return found


def segments(text: str) -> list[str]:
    """The text in pieces after full stops and commas; nothing is lost."""
    return [piece for piece in re.split(r"(?<=[。！？!?.，,])\s*", text.strip()) if piece]


def tone(index: int, seconds: float, rate_hz: int = RATE_HZ) -> np.ndarray[Any, np.dtype[np.int16]]:
    """A soft swelling tone, another for each index."""
    at = np.arange(int(seconds * rate_hz)) / rate_hz
    shape = np.sin(math.pi * at / seconds) ** 0.6 * (0.55 + 0.45 * np.sin(2 * math.pi * 3.1 * at + index))
    return (9000 * shape * np.sin(2 * math.pi * (196 + 24 * (index % 6)) * at)).astype(np.int16)


async def spoken(service: StandIn, request: SpeechRequest) -> AsyncIterator[bytes]:
    """The frames of one request: half a second of tone for every ten characters."""
    broken = service.break_next
    entries = listed(request)
    done = False
    if broken == "before":
        service.break_next = ""
        raise ConnectionResetError("on demand")
    try:
        yield encode_event("start", sample_rate_hz=RATE_HZ, segments=entries, take=f"take{len(service.requests)}")
        start = 0
        for index, piece in enumerate(entry["text"] for entry in entries):
            yield encode_event("segment", index=index, text=piece, start_sample=start)
            pcm = tone(index, max(0.4, len(piece) / 12) / request.speed)
            for at in range(0, len(pcm), int(service.chunk_s * RATE_HZ)):
                await asyncio.sleep(service.chunk_delay_s)
                yield encode_pcm(pcm[at : at + int(service.chunk_s * RATE_HZ)].tobytes())
            start += len(pcm)
            if index in service.marks:
                yield encode_event("mark", **{"index": index, "findings": [], "redos": 0, **service.marks[index]})
            if broken == "middle" and index == 0:
                service.break_next = ""
                await asyncio.sleep(0.2)  # lets the first sound leave before the connection ends
                raise ConnectionResetError("on demand")
            if broken == "error":
                service.break_next = ""
                done = True
                fields = {"param": "", "code": "engine_lost", "http_status": 503}
                yield encode_event("error", message="The engine ended while it spoke.", fix="Try again.", **fields)
                return
        done = True
        service.finished += 1
        yield encode_event("end", samples=start, audio_s=start / RATE_HZ, synthesis_s=0.1, seed=request.seed)
    finally:
        if not done and not broken:
            service.cancelled += 1


def add_routes(app: FastAPI, service: StandIn) -> None:
    """The routes of the speech service."""

    @app.get("/api/status")
    async def status() -> dict[str, Any]:
        return service.snapshot()

    @app.get("/api/info")
    async def info() -> JSONResponse:
        if service.engine_state != "ready":
            return JSONResponse({"error": {"message": "loading", "fix": ""}}, 503, {"Retry-After": "1"})
        return JSONResponse(service.info.to_json())

    @app.get("/api/events")
    async def events(request: Request) -> StreamingResponse:
        async def stream() -> AsyncIterator[str]:
            before = ""
            while not await request.is_disconnected():
                now = json.dumps(service.snapshot())
                if now != before:
                    before = now
                    yield f"data: {now}\n\n"
                await asyncio.sleep(0.05)

        return StreamingResponse(stream(), media_type="text/event-stream")

    @app.post("/api/segments")
    async def show_segments(request: Request) -> JSONResponse:
        try:
            found = listed(SpeechRequest.from_json(await request.json()))
        except SpeechError as error:
            return JSONResponse({"error": {"message": error.message, "fix": error.fix}}, error.http_status)
        return JSONResponse({"segments": [{**entry, "tokens": 4, "symbols": "t e s t"} for entry in found]})

    @app.post("/api/speak")
    async def speak(request: Request) -> Any:
        if service.answers:
            code, body, headers = service.answers.pop(0)
            return JSONResponse(body, code, headers)
        if service.engine_state != "ready":
            return JSONResponse({"error": {"message": "The engine is loading.", "fix": ""}}, 503, {"Retry-After": "1"})
        try:
            asked = SpeechRequest.from_json(await request.json())
        except SpeechError as error:
            words = {"message": error.message, "fix": error.fix, "param": error.param, "code": error.code}
            return JSONResponse({"error": words}, error.http_status)
        service.requests.append(asked)
        return StreamingResponse(spoken(service, asked), media_type=MEDIA_TYPE)


class Policy:
    """Sends the content security policy with every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
                ]
            await send(message)

        # A test that ends a connection in the middle raises this; the server then closes it, as a crash would.
        with contextlib.suppress(ConnectionResetError):
            await self.app(scope, receive, with_policy if scope["type"] == "http" else send)


def settings(**changes: Any) -> PageSettings:
    """Settings of a page process that needs no supervisor."""
    values = {
        "instance": "test",
        "version": "0.1.0",
        "host": "127.0.0.1",
        "port": 0,
        "engine_address": "",
        "control_address": "",
    }
    return PageSettings(**{**values, "temp_dir": tempfile.gettempdir(), **changes})


def build(
    service: StandIn, *, tabs: tuple[Any, ...] | None = None, assets: Assets | None = None, **changes: Any
) -> ASGIApp:
    """The application: routes first, then the page; ``tabs`` and ``assets`` as `webui.ui.page.mount` takes them."""
    app = FastAPI()
    app.state.slow_places = asyncio.Semaphore(SLOW_PLACES)
    app.router.routes += encoding.routes()
    add_routes(app, service)
    return Policy(mount(app, settings=settings(**changes), tabs=tabs, assets=assets))


@contextlib.contextmanager
def serving(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """Serves ``app`` on loopback in a thread; yields its address."""
    # Made anew from its descriptor it knows that it is TCP, and answers are not held back for 40 ms (Nagle).
    listener = socket.socket(fileno=socket.create_server(("127.0.0.1", port)).detach())
    config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1, lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


if __name__ == "__main__":
    with serving(build(StandIn(chunk_delay_s=0.25)), port=7861) as address:
        print(address)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
