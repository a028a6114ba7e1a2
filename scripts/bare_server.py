"""The other side of bench_serve: an engine behind FastAPI as a short script of one's own would put it.

    python scripts/bare_server.py ENGINE CACHE_FOLDER DESCRIPTOR_OF_A_LISTENING_SOCKET < PIPE

No queue, no guard, no page, no formats: one process that loads the engine and streams what it makes, until its standard
input ends.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse

from webui.engine.base import Cancellation, SpeechRequest
from webui.engine.registry import ENGINES, create_engine

name, folder, descriptor = sys.argv[1:4]
threading.Thread(target=lambda: os.read(0, 1) or os._exit(0), daemon=True).start()
engines = {**ENGINES, "tone": "tests.engine.tone_engine:ToneEngine"}
engine = create_engine(name, cache_dir=Path(folder), device="cpu", threads=0, engines=engines)
engine.load(lambda progress: None)
app = FastAPI()
lock = asyncio.Lock()


@app.get("/healthz")
async def healthz() -> PlainTextResponse:
    """Whether it answers."""
    return PlainTextResponse("ok\n")


@app.post("/v1/audio/speech")
async def speech(request: Request) -> StreamingResponse:
    """Speaks; the engine takes one request at a time."""
    text = (await request.json())["input"]

    async def stream() -> AsyncIterator[bytes]:
        async with lock:
            chunks = engine.synthesize(SpeechRequest(text), Cancellation())
            while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                yield chunk.pcm.tobytes()

    return StreamingResponse(stream(), media_type="audio/pcm")


uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run([socket.socket(fileno=int(descriptor))])
