"""OpenAI's speech API over a real server: with the official client, and with what no client would send."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
import soundfile

from tests.engine.processes import WorkerProcess, page, wait_until, worker


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    with worker(tmp_path_factory.mktemp("engine")) as process:
        yield process


@pytest.fixture(scope="module")
def address(running: WorkerProcess) -> Iterator[str]:
    with page(running.address, max_text_chars=200, max_body_bytes=20_000) as server:
        yield server


@pytest.fixture
def client(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)


@pytest.mark.parametrize(
    ("audio_format", "media_type"),
    [("mp3", "audio/mpeg"), ("opus", "audio/ogg"), ("flac", "audio/flac"), ("wav", "audio/wav")],
)
def test_every_format_decodes(client: openai.OpenAI, audio_format: str, media_type: str) -> None:
    answer = client.audio.speech.create(
        model="tts-1", voice="alloy", input="one two three four", response_format=audio_format
    )
    assert answer.response.headers["content-type"] == media_type
    sound, rate_hz = soundfile.read(io.BytesIO(answer.read()))
    assert rate_hz == 24_000
    assert abs(len(sound) / rate_hz - 1.0) < 0.1
    assert 0.2 < abs(sound).max() < 0.3, "the level was changed"


def test_mp3_is_the_default_and_pcm_is_bare(client: openai.OpenAI) -> None:
    answer = client.audio.speech.create(model="gpt-4o-mini-tts", voice="onyx", input="one")
    assert answer.response.headers["content-type"] == "audio/mpeg"
    bare = client.audio.speech.create(model="tone", voice="low", input="one", response_format="pcm").read()
    assert len(bare) == 2 * 6_000


def test_the_client_streams_to_a_file(client: openai.OpenAI, tmp_path: Path) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice={"id": "low"}, input="one two", response_format="wav", speed=1.5
    ) as answer:
        answer.stream_to_file(tmp_path / "out.wav")
    with wave.open(str(tmp_path / "out.wav")) as sound:
        assert len(sound.readframes(1 << 30)) == 2 * 12_000


def test_sound_arrives_while_the_rest_is_made(tmp_path: Path) -> None:
    with worker(tmp_path, chunk_s=0.2) as slow, page(slow.address) as server:
        client = openai.OpenAI(base_url=f"{server}/v1", api_key="none")
        with client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input=" ".join("abcdefghij"), response_format="pcm"
        ) as answer:
            next(answer.iter_bytes(1024))
            assert "chunk 9" not in slow.log()


def test_instructions_are_accepted_and_said_to_be_ignored(client: openai.OpenAI) -> None:
    answer = client.audio.speech.create(model="tts-1", voice="alloy", input="one", instructions="Speak like a pirate.")
    assert answer.response.headers["x-ignored-fields"] == "instructions"


def test_emotion_and_more_are_further_fields(client: openai.OpenAI, running: WorkerProcess) -> None:
    for emotion in ({"happy": 0.5}, [0, 0, 0, 0, 0, 0, 0, 1]):
        client.audio.speech.create(
            model="tts-1",
            voice="alloy",
            input="one",
            extra_body={"emotion": emotion, "intensity": 0.5, "language": "en", "seed": 3, "unknown": 1},
        )
    with pytest.raises(openai.BadRequestError, match="bored"):
        client.audio.speech.create(model="tts-1", voice="alloy", input="one", extra_body={"emotion": {"bored": 1}})


def test_openai_voices_are_ours_and_always_the_same(address: str) -> None:
    from webui.api.openai_voices import FEMALE, MALE, voice_id
    from webui.engine.base import EngineInfo

    info = EngineInfo.from_json(httpx.get(f"{address}/api/info").json())
    assert [voice_id(name, info) for name in FEMALE] == ["high", "higher"] * 3
    assert {voice_id(name, info) for name in MALE} == {"low"}
    assert voice_id(None, info) == "high"
    assert voice_id({"id": "Alloy"}, info) == "high"


def test_models(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {"tone", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"} <= set(names)
    assert client.models.retrieve("tts-1").id == "tts-1"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


GOOD = {"model": "tts-1", "input": "one", "voice": "alloy"}


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"input": ""}, 400, "input"),
        ({"input": None}, 400, "input"),
        ({"input": ["one"]}, 400, "input"),
        ({"input": "😀🎉"}, 400, "input"),
        ({"input": "\x00\x1b\x07"}, 400, "input"),
        ({"input": "\ud800"}, 400, "input"),
        ({"input": "x" * 201}, 400, "input"),
        ({"voice": "nobody"}, 400, "voice"),
        ({"voice": 7}, 400, "voice"),
        ({"voice": {"id": 3}}, 400, "voice"),
        ({"model": "gpt-9"}, 404, "model"),
        ({"model": 5}, 404, "model"),
        ({"speed": 0.1}, 400, "speed"),
        ({"speed": "fast"}, 400, "speed"),
        ({"speed": 10**400}, 400, "speed"),
        ({"speed": float("nan")}, 400, "speed"),
        ({"speed": float("inf")}, 400, "speed"),
        ({"speed": True}, 400, "speed"),
        ({"response_format": "aac"}, 400, "response_format"),
        ({"response_format": ["mp3"]}, 400, "response_format"),
        ({"stream_format": "video"}, 400, "stream_format"),
        ({"stream_format": ["sse"]}, 400, "stream_format"),
        ({"engine": "another"}, 404, "engine"),
        ({"emotion": {"happy": float("nan")}}, 400, "emotion"),
        ({"emotion": {"happy": 10**400}}, 400, "emotion"),
        ({"emotion": "happy"}, 400, "emotion"),
        ({"emotion": [1] * 9}, 400, "emotion"),
        ({"intensity": 2}, 400, "intensity"),
        ({"language": "tlh"}, 400, "language"),
        ({"language": 1}, 400, "language"),
        ({"seed": 1.5}, 400, "seed"),
        ({"seed": -1}, 400, "seed"),
    ],
)
def test_bad_fields_are_openai_errors(address: str, change: dict, status: int, param: str) -> None:
    answer = httpx.post(f"{address}/v1/audio/speech", content=json.dumps({**GOOD, **change}))
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] in (param, {"input": "text"}.get(param))
    assert error["type"] == ("not_found_error" if status == 404 else "invalid_request_error")
    assert error["message"] and "\n" not in error["message"]
    assert len(error["message"]) < 700


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b"null", b"\xff", b"[" * 9_000, b'{"a":' * 2_000, b"model=tts-1&input=one"]
)
def test_a_body_that_is_no_object_is_an_error(address: str, body: bytes) -> None:
    answer = httpx.post(f"{address}/v1/audio/speech", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "malformed_json"


def test_other_methods_and_paths_are_openai_errors(address: str) -> None:
    answer = httpx.post(f"{address}/v1/chat/completions")
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")
    for method, path, allowed in (("GET", "/v1/audio/speech", "POST"), ("DELETE", "/v1/models", "GET, HEAD")):
        answer = httpx.request(method, address + path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_text_at_the_limit_is_spoken_whole(client: openai.OpenAI) -> None:
    text = " ".join(["ab"] * 67)[:200]
    sound = client.audio.speech.create(model="tts-1", voice="alloy", input=text, response_format="pcm").read()
    assert len(sound) == 2 * 6_000 * len(text.split())


def test_while_the_engine_loads_it_is_503_with_retry_after_and_the_client_bridges_it(tmp_path: Path) -> None:
    with worker(tmp_path, ready=False, load_s=2.0) as loading, page(loading.address) as server:
        wait_until(loading.health, "the process")
        wait_until(lambda: httpx.get(f"{server}/v1/models").status_code == 200, "the engine's info")
        answer = httpx.post(f"{server}/v1/audio/speech", json=GOOD)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["error"]["type"] == "server_error"
        client = openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=8)
        assert client.audio.speech.create(**GOOD).read()


def test_an_engine_that_dies_is_not_noticed(tmp_path: Path) -> None:
    import threading

    with worker(tmp_path) as dying, page(dying.address) as server:
        client = openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0)
        client.audio.speech.create(**GOOD)
        again = threading.Thread(target=lambda: (dying.process.wait(), dying.start()))
        again.start()
        sound = client.audio.speech.create(
            model="tts-1", voice="alloy", input="one [crash-once] two", response_format="flac"
        )
        again.join()
        assert abs(len(soundfile.read(io.BytesIO(sound.read()))[0]) - 18_000) < 10


def test_a_broken_stream_is_an_error_and_not_a_short_file(tmp_path: Path) -> None:
    with worker(tmp_path) as dying, page(dying.address) as server:
        body = {**GOOD, "input": "one two [crash]", "response_format": "wav"}
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(f"{server}/v1/audio/speech", json=body)


def test_a_client_that_hangs_up_cancels_whatever_the_format(tmp_path: Path) -> None:
    with worker(tmp_path, chunk_s=60.0) as slow, page(slow.address) as server:
        for count, audio_format in enumerate(("mp3", "wav"), 1):
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{server}/v1/audio/speech", json={**GOOD, "response_format": audio_format}, timeout=1.0)
            wait_until(lambda: slow.log().count("cancelled") == count, "the cancellation", 20)  # noqa: B023


def test_a_full_queue_is_429(tmp_path: Path) -> None:
    import concurrent.futures

    with worker(tmp_path, chunk_s=2.0) as slow, page(slow.address, queue_size=1) as server:
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            answers = list(pool.map(lambda _: httpx.post(f"{server}/v1/audio/speech", json=GOOD, timeout=60), range(5)))
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [200, 200, 429, 429, 429]
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.headers["retry-after"]
        assert refused.json()["error"]["type"] == "rate_limit_error"
