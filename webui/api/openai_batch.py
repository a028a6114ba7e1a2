"""`POST /v1/audio/speech/batch`: many inputs in one request, answered together or as a job.

Invariants: an item has the fields of `POST /v1/audio/speech`, and those beside ``items`` stand for items that do not
give them; one wrong item refuses the request, one that cannot be spoken is an error among results; whoever hangs up
cancels the rest.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from launcher.errors import EngineError, SpeechError
from webui.api.body import read_object
from webui.api.job_bodies import GAP_S, Wanted, from_rows
from webui.api.offer import Offer
from webui.api.openai_instructions import follow_instructions
from webui.api.threads import in_slow_thread, in_thread
from webui.audio import MEDIA_TYPES, check_format
from webui.engine.streaming import StreamedAnswer
from webui.jobs.fitting import MAX_TEMPO
from webui.jobs.records import JobRow
from webui.jobs.results import row_file
from webui.jobs.rows import MAX_ROWS
from webui.jobs.runner import Runner
from webui.jobs.store import JobStore

#: Most items that are answered together; more are a job.
MAX_ITEMS = 100
#: What each item's result says besides, in order.
_Notes = list[dict[str, Any]]
#: OpenAI's fields that choose nothing here.
_WITHOUT_EFFECT = ("model", "stream_format", "response_format", "background", "items", "title")


def routes(store: JobStore, runner: Runner, offer: Offer, *, max_text_chars: int) -> list[Route]:
    """The route, over one store, the runner that speaks what is in it, and what the engine can."""

    async def batch(request: Request) -> Response:
        body = await read_object(request)
        audio_format = body.get("response_format") or "mp3"
        check_format(audio_format)
        in_background = body.get("background", False)
        if not isinstance(in_background, bool):
            raise SpeechError(f"background={in_background!r:.40} is not true or false.", param="background")
        wanted, notes = await in_slow_thread(request, _wanted, body, max_text_chars, await _capabilities(offer))
        if len(wanted.reading.rows) > MAX_ITEMS and not in_background:
            raise SpeechError(
                f"items has {len(wanted.reading.rows)} items, more than {MAX_ITEMS}.",
                fix='Send fewer, or set "background": true and read the job.',
                param="items",
            )
        job = await in_thread(store.create, wanted.title, wanted.reading, wanted.options)
        runner.wake()
        if in_background:
            return JSONResponse(job.to_json(runner.width), 202, {"Location": f"/v1/jobs/{job.id}"})
        parts = _answer(store, runner, job.id, str(audio_format), notes)
        return StreamedAnswer(parts, media_type="application/json", headers={"Cache-Control": "no-store"})

    return [Route("/v1/audio/speech/batch", batch, methods=["POST"])]


async def _capabilities(offer: Offer) -> tuple[str, ...]:
    """What the engine can; one that was never there is taken for one that reads descriptions."""
    try:
        return (await offer.engine_info()).capabilities
    except EngineError:
        return ("emotion_text",)  # whether it does is seen when it speaks


def _wanted(body: Mapping[str, Any], max_text_chars: int, capabilities: tuple[str, ...]) -> tuple[Wanted, _Notes]:
    """The job, and what to tell of each item's instructions."""
    items = body.get("items")
    if not isinstance(items, list) or not items:
        raise SpeechError("items is no list of inputs.", fix='Send {"items": [{"input": "..."}]}.', param="items")
    if len(items) > MAX_ROWS:
        raise SpeechError(f"items has {len(items)} items, more than {MAX_ROWS}.", fix="Send several.", param="items")
    title = body.get("title") or f"{len(items)} items"
    if not isinstance(title, str):
        raise SpeechError("title is not text.", param="title")
    settings: dict[str, Any] = {"title": title, "name": "", "defaults": {}, "start": True}
    settings |= {"gap_s": GAP_S, "max_tempo": MAX_TEMPO, "use_glossary": True}
    shared = _fields(body)
    rows = [{**shared, **_fields({"input": item} if isinstance(item, str) else item)} for item in items]
    notes = [_note(row.pop("instructions", None), row, capabilities) for row in rows]
    wanted = from_rows(rows, settings, max_text_chars)
    if wanted.reading.problems:
        problem = wanted.reading.problems[0]
        raise SpeechError(f"items[{problem.line - 1}]: {problem.message}", fix=problem.fix, param="items")
    return wanted, notes


def _fields(item: object) -> dict[str, Any]:
    """What an item gives; OpenAI's way to name a voice becomes ours."""
    if not isinstance(item, Mapping):
        raise SpeechError(f"item {item!r:.40} is no object.", fix='Write {"input": "..."}.', param="items")
    row = {name: value for name, value in item.items() if name not in _WITHOUT_EFFECT and value is not None}
    voice = row.get("voice")
    if isinstance(voice, Mapping):
        row["voice"] = voice.get("id")
    return row


def _note(instructions: object, row: dict[str, Any], capabilities: tuple[str, ...]) -> dict[str, Any]:
    """Follows an item's instructions; what its result says of them."""
    understood = follow_instructions(instructions, row, capabilities)
    if understood is None:
        return {}
    return {"instructions": understood} if understood else {"ignored_fields": ["instructions"]}


async def _answer(
    store: JobStore, runner: Runner, job_id: str, audio_format: str, notes: _Notes
) -> AsyncGenerator[bytes, None]:
    """The answer in pieces, each item as soon as it and those before it are there."""
    try:
        yield b'{"object":"list","id":' + json.dumps(job_id).encode() + b',"results":['
        total, at, succeeded = (await in_thread(store.job, job_id)).total, 1, 0
        while at <= total:
            changed = runner.next_change
            row = await in_thread(store.row, job_id, at)
            if row.state in ("queued", "running"):
                reason = await _hindrance(store, runner, row)
                if not reason:
                    await changed.wait()
                    continue
                row = replace(row, **reason)
            item = {**await in_thread(_item, store, row, audio_format), **notes[at - 1]}
            succeeded += item["status"] == "success"
            yield (b"," if at > 1 else b"") + json.dumps(item).encode()
            at += 1
        sums = {"total": total, "succeeded": succeeded, "failed": total - succeeded}
        yield b"]," + json.dumps(sums).encode().lstrip(b"{")
    finally:
        await in_thread(store.remove, job_id)
        runner.stop_rows(job_id)
        runner.wake()


async def _hindrance(store: JobStore, runner: Runner, row: JobRow) -> dict[str, Any]:
    """Why a row will not be spoken until somebody helps (``message``, ``fix``): a job waits, who asked here is told."""
    if runner.failure is not None:
        return {"message": runner.failure.message, "fix": runner.failure.fix}
    job = await in_thread(store.job, row.job)
    found: dict[str, Any] = json.loads(job.note) if job.note and row.state == "queued" else {}
    return found


def _item(store: JobStore, row: JobRow, audio_format: str) -> dict[str, Any]:
    if not row.file:
        return {"index": row.position - 1, "status": "error", "error": f"{row.message} {row.fix}".strip()}
    content, _media_type = row_file(store, row, audio_format)
    return {
        "index": row.position - 1,
        "status": "success",
        "media_type": MEDIA_TYPES[audio_format],
        "audio_data": base64.b64encode(content).decode(),
        "audio_s": round(row.audio_s, 3),
    }
