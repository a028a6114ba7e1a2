"""What programs really send: the official client, curl, Open WebUI, SillyTavern; and voices added over the API."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import shutil
import subprocess
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import httpx
import numpy as np
import openai
import pytest
import soundfile
from openai.types.audio.speech_create_params import SpeechCreateParams, Voice
from openai.types.audio.speech_model import SpeechModel

from launcher.frames import EVENT, PCM, Frame
from tests.engine.processes import WorkerProcess, page, worker
from tests.library.recordings import voiced, write
from webui.api.openai_instructions import read_instructions
from webui.api.openai_sound import in_pieces
from webui.audio import MEDIA_TYPES
from webui.library.library import Library

GOOD = {"model": "tts-1", "input": "one two three four", "voice": "alloy"}


class Service:
    """A page over an engine that clones, with a library."""

    def __init__(self, address: str, engine: WorkerProcess, folder: Path) -> None:
        self.address, self.engine, self.folder = address, engine, folder
        self.http = httpx.Client(base_url=address, timeout=60)
        self.openai = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)

    def speak(self, **change: object) -> httpx.Response:
        return self.http.post("/v1/audio/speech", json={**GOOD, **change})

    def recording(self, pitch: float = 150.0) -> Path:
        return write(self.folder / "given.wav", voiced(3.5, pitch=pitch))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    (folder / "tone.json").write_text("{}")
    engine = WorkerProcess(folder, engine="tests.library.cloning_engine:CloningEngine").start()
    library = Library(folder / "library")
    try:
        engine.wait_ready()
        with page(engine.address, library=library) as address:
            yield Service(address, engine, folder)
    finally:
        engine.close()
        library.close()


def events(text: str) -> list[dict]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


@pytest.mark.parametrize("audio_format", ["mp3", "opus", "flac", "wav", "pcm"])
def test_events_carry_a_file_in_pieces(service: Service, audio_format: str) -> None:
    with service.openai.audio.speech.with_streaming_response.create(
        **GOOD, response_format=audio_format, stream_format="sse"
    ) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        heard = events("\n".join(answer.iter_lines()))
    *deltas, done = heard
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    assert done["type"] == "speech.audio.done" and done["usage"]["total_tokens"] == len(GOOD["input"])
    sound = b"".join(base64.b64decode(event["audio"]) for event in deltas)
    if audio_format == "pcm":
        assert len(sound) == 2 * 24_000
    else:
        samples, rate_hz = soundfile.read(io.BytesIO(sound))
        assert 0.99 < len(samples) / rate_hz < 1.2 or audio_format == "wav"


def test_every_format_that_can_comes_while_the_speech_is_made(tmp_path: Path) -> None:
    with worker(tmp_path, chunk_s=0.2, segment_audio_s=1.0) as slow, page(slow.address) as server:
        for audio_format in ("mp3", "opus", "wav"):
            (tmp_path / "tone.log").unlink(missing_ok=True)
            body = {**GOOD, "input": " ".join("abcdefghij"), "response_format": audio_format, "stream_format": "audio"}
            sound = b""
            with httpx.stream("POST", f"{server}/v1/audio/speech", json=body, timeout=60) as answer:
                for data in answer.iter_bytes():
                    assert sound or "chunk 9" not in slow.log(), audio_format
                    sound += data
            samples, rate_hz = soundfile.read(io.BytesIO(sound))
            assert audio_format == "wav" or abs(len(samples) / rate_hz - 10) < 0.2, audio_format


def test_an_error_before_the_first_event_is_a_status_and_a_later_one_an_event(service: Service) -> None:
    assert service.speak(stream_format="sse", input="x" * 30_000).status_code == 400
    late = service.speak(stream_format="sse", input="one two [raise]", response_format="pcm")
    assert late.status_code == 200
    assert [event["type"] for event in events(late.text)] == ["speech.audio.delta"] * 2 + ["error"]
    assert set(events(late.text)[-1]["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("instructions", "emotion", "speed"),
    [
        ("Speak in a cheerful and positive tone.", {"happy": 0.6}, None),
        ("Very sad, slowly.", {"sad": 0.9}, 0.85),
        ("Not angry, just calm", {"calm": 0.6}, None),
        ("Don't be too angry", {}, None),
        ("a bit nervous, and quickly", {"afraid": 0.3}, 1.2),
        ("用非常开心的语气说话", {"happy": 0.9}, None),
        ("有点悲伤地慢慢说", {"sad": 0.3}, 0.85),
        ("不要生气", {}, None),
        ("要快乐", {"happy": 0.6}, None),
        ("Speak like a pirate.", {}, None),
        ("extremely happy, very angry and so surprised", {"happy": 0.333, "angry": 0.333, "surprised": 0.333}, None),
        ("", {}, None),
    ],
)
def test_words_about_emotions_become_numbers(instructions: str, emotion: dict, speed: float | None) -> None:
    vector, pace = read_instructions(instructions)
    assert vector.as_dict() == pytest.approx(emotion, abs=0.001)
    assert pace == speed


def test_what_was_understood_of_instructions_is_said(service: Service) -> None:
    assert service.speak(instructions="Very sad, slowly.").headers["x-instructions"] == "sad=0.9,speed=0.85"
    assert service.speak(instructions="Very sad", emotion={"happy": 1}).headers["x-ignored-fields"] == "instructions"
    assert service.speak(instructions="Like a pirate").headers["x-ignored-fields"] == "instructions"


def test_a_curve_gives_each_clause_its_emotion(service: Service) -> None:
    curve = [{"at": 0, "emotion": {"sad": 1}}, {"at": 1, "emotion": {"happy": 1}}]
    answer = service.speak(input="One is here. Two is there.", emotion_curve=curve, response_format="wav")
    assert answer.status_code == 200, answer.text
    for wrong in ([], [1], [{"at": 2}], [{"at": 0, "emotion": "sad"}], "sad", [{"at": 0, "emotion": {"sad": 2}}]):
        refused = service.speak(emotion_curve=wrong)
        assert refused.status_code == 400 and refused.json()["error"]["param"] in ("emotion_curve", "emotion")
    assert service.speak(emotion_curve=curve, markup=True).status_code == 400


def test_the_engine_is_the_one_that_is_loaded(service: Service) -> None:
    assert service.speak(engine="cloner").status_code == 200
    assert service.speak(engine="auto").status_code == 200
    refused = service.speak(engine="indextts2")
    assert refused.status_code == 404 and refused.json()["error"]["param"] == "engine"


def test_a_voice_is_added_spoken_with_and_deleted(service: Service) -> None:
    with service.recording().open("rb") as sample:
        voice = service.openai.audio.voices.create(name="Ann", audio_sample=sample, consent="Ann agreed in writing")
    assert voice.name == "Ann" and voice.object == "audio.voice"
    assert voice.id in {listed["id"] for listed in service.http.get("/v1/audio/voices").json()["data"]}
    sound = service.openai.audio.speech.create(model="tts-1", voice={"id": voice.id}, input="one").read()
    assert sound
    assert f"{voice.id}" in [line for line in service.engine.log() if line.startswith("given")][-1] or any(
        "library/voices" in line for line in service.engine.log()
    )
    again = service.http.post(
        "/v1/audio/voices", data={"name": "Other"}, files={"file": service.recording().read_bytes()}
    )
    assert again.status_code == 200 and again.json()["name"] == "Ann", "the same recording is the same voice"
    gone = service.http.delete(f"/v1/audio/voices/{voice.id}")
    assert gone.json() == {"id": voice.id, "object": "audio.voice.deleted", "deleted": True}
    assert service.http.delete(f"/v1/audio/voices/{voice.id}").status_code == 404
    assert service.http.get(f"/v1/audio/voices/{voice.id}").status_code == 404
    assert service.http.delete("/v1/audio/voices/high").status_code == 400, "the engine's own"


@pytest.mark.parametrize(
    "form",
    [
        {"data": {"name": "x"}},
        {"data": {"name": "x"}, "files": {"audio_sample": b"no sound at all"}},
        {"data": {"name": "x"}, "files": {"audio_sample": b""}},
        {"data": {}, "files": {"audio_sample": b"RIFF"}},
        {"data": {"name": "x", "audio_sample": "text"}},
        {"json": {"name": "x", "type": "prompt", "prompt": "a deep voice"}},
        {"content": b"--x\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"content": b"--x", "headers": {"content-type": "multipart/form-data"}},
        {"files": [("audio_sample", b"a"), ("audio_sample", b"b"), ("file", b"c")]},
        {"data": {f"field{n}": "x" for n in range(50)}, "files": {"audio_sample": b"a"}},
    ],
)
def test_a_form_without_a_voice_in_it_is_an_openai_error(service: Service, form: dict) -> None:
    answer = service.http.post("/v1/audio/voices", **form)
    assert answer.status_code == 400, answer.text
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_open_webui_asks_like_this(service: Service) -> None:
    # Its backend: settings ask both lists, a message posts what the browser sent with the model put in.
    assert [set(voice) >= {"id", "name"} for voice in service.http.get("/v1/audio/voices").json()["voices"]]
    assert [set(model) >= {"id"} for model in service.http.get("/v1/audio/models").json()["models"]]
    headers = {"authorization": "Bearer sk-any", "X-OpenWebUI-User-Name": "Zoë".encode(), "X-OpenWebUI-User-Id": "1"}
    body = {"input": "Hello there.", "voice": "alloy", "model": "tts-1", "unknown": {"a": [1]}}
    answer = service.http.post("/v1/audio/speech", json=body, headers=headers)
    assert answer.headers["content-type"] == "audio/mpeg" and answer.content


def test_sillytavern_asks_like_this(service: Service) -> None:
    # "OpenAI compatible": its server sends the key, whatever it is, and wants MP3.
    body = {"input": "Hello.", "response_format": "mp3", "voice": "nova", "speed": 1, "model": "tts-1"}
    answer = service.http.post("/v1/audio/speech", json=body, headers={"authorization": "Bearer none"})
    assert answer.headers["content-type"] == "audio/mpeg" and soundfile.read(io.BytesIO(answer.content))
    # "OpenAI": it also sends instructions, here a description that nobody can follow.
    body |= {"model": "gpt-4o-mini-tts", "instructions": "Speak like a pirate."}
    assert service.http.post("/v1/audio/speech", json=body).status_code == 200


def test_curl_asks_like_this(service: Service, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    assert curl, "curl is not installed"
    out = tmp_path / "out.wav"
    done = subprocess.run(
        [
            *(curl, "-sS", "-f", f"{service.address}/v1/audio/speech", "-H", "Content-Type: application/json"),
            *("-d", json.dumps({**GOOD, "response_format": "wav"}), "-o", str(out)),
        ],
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert out.stat().st_size == 44 + 2 * 24_000
    voice = tmp_path / "voice.json"
    added = ["-F", "name=Curl", "-F", f"audio_sample=@{service.recording(190.0)}"]
    subprocess.run([curl, "-sS", "-f", f"{service.address}/v1/audio/voices", *added, "-o", str(voice)], check=True)
    assert json.loads(voice.read_text())["name"] == "Curl"


def test_a_long_input_is_split_and_never_cut(service: Service) -> None:
    text = " ".join(f"word{number}" for number in range(1500))
    sound = service.speak(input=text, response_format="pcm").content
    assert len(sound) == 2 * 6_000 * 1500


def test_the_documents_name_every_route_and_the_page_needs_nobody_else(service: Service) -> None:
    document = service.http.get("/openapi.json").json()
    assert {"/v1/audio/speech", "/v1/audio/voices", "/v1/models"} <= document["paths"].keys()
    page_ = service.http.get("/docs").text
    assert "http://" not in page_ and "https://" not in page_
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"):
        assert f"/docs/{name}" in page_
        assert len(service.http.get(f"/docs/{name}").content) > 1000
    for name in ("redoc.standalone.js", "..%2fcore.py", "%2e%2e/core.py", "core.py"):
        assert service.http.get(f"/docs/{name}").status_code == 404


@pytest.mark.parametrize("audio_format", ["pcm", "opus", "mp3"])
def test_an_engine_of_an_odd_rate_is_heard_while_it_speaks(audio_format: str) -> None:
    seconds = [np.rint(9_000 * np.sin(2 * np.pi * 440 * (np.arange(22_050) + 22_050 * n) / 22_050)) for n in range(3)]
    given = []

    async def frames() -> AsyncGenerator[Frame, None]:
        yield Frame(EVENT, b'{"event": "start", "sample_rate_hz": 22050}')
        for second in seconds:
            given.append(1)
            yield Frame(PCM, second.astype("<i2").tobytes())

    async def collect() -> list[tuple[bytes, int]]:
        return [(piece, len(given)) async for piece in in_pieces(frames(), 24_000, audio_format)]

    pieces = asyncio.run(collect())
    assert pieces[0][1] == 1, "it was held back until all was spoken"
    sound = b"".join(piece for piece, _ in pieces)
    if audio_format == "pcm":
        samples, rate_hz = np.frombuffer(sound, "<i2") / 32_768, 24_000
        assert len(samples) == 3 * 24_000
    else:
        samples, rate_hz = soundfile.read(io.BytesIO(sound))
    spectrum = np.abs(np.fft.rfft(samples[rate_hz : 2 * rate_hz]))
    assert abs(int(spectrum.argmax()) - 440) <= 1


def test_every_parameter_that_openai_documents_is_taken(service: Service) -> None:
    documented = get_args(get_type_hints(SpeechCreateParams)["response_format"])
    assert set(documented) - {"aac"} == set(MEDIA_TYPES)
    voices = {name for part in get_args(Voice) for name in get_args(part) if isinstance(name, str)}
    assert len(voices) >= 13
    for model in get_args(SpeechModel):
        assert service.openai.models.retrieve(model).id == model
        service.openai.audio.speech.create(model=model, voice="alloy", input="one")
    for voice in sorted(voices):
        service.openai.audio.speech.create(model="tts-1", voice=voice, input="one")  # type: ignore[arg-type]
    for stream_format in get_args(get_type_hints(SpeechCreateParams)["stream_format"]):
        service.openai.audio.speech.create(**GOOD, stream_format=stream_format)
    for speed in (0.25, 4.0):
        service.openai.audio.speech.create(**GOOD, speed=speed)
    for wrong in ({"speed": 0.2}, {"speed": 4.1}, {"stream_format": "ws"}, {"response_format": "aac"}):
        with pytest.raises(openai.BadRequestError) as caught:
            service.openai.audio.speech.create(**{**GOOD, **wrong})
        assert caught.value.param == next(iter(wrong))
    assert set(SpeechCreateParams.__annotations__) == {
        *("input", "model", "voice", "instructions", "response_format", "speed", "stream_format")
    }, "OpenAI documents another parameter"
