"""The tone engine as one that clones: it says which recordings, glossary and seed it was given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.engine.tone_engine import ToneEngine
from webui.engine.base import AudioChunk, Cancellation, EngineInfo, SpeechRequest, WordReading


class CloningEngine(ToneEngine):
    def info(self) -> EngineInfo:
        named = ("clone", "emotion_vector", "emotion_reference", "seed", "glossary", "readings")
        return replace(super().info(), name="cloner", capabilities=named, weights={"some/model": "c0ffee"})

    def readings(self, text: str, language: str) -> list[WordReading]:
        return [WordReading(word, language, "cmu", word.upper()) for word in text.split()]

    def synthesize(self, request: SpeechRequest, cancellation: Cancellation) -> Iterator[AudioChunk]:
        terms = ",".join(f"{term}>{reading}" for term, reading in request.glossary)
        self._note(f"given {request.voice}|{request.reference}|{request.emotion_reference}|{terms}|{request.seed}")
        yield from super().synthesize(request, cancellation)
