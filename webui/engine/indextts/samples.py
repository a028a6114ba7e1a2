"""The voices that come with the engines: recordings of the embedded voice (``scripts/make_samples.py`` makes them).

Invariants: whoever has no recording of their own can speak at once; a voice has the same name here as in the embedded
engine, so that a request names it alike on both; a recording of the user's with the same name takes its place.
"""

from __future__ import annotations

from pathlib import Path

from webui.engine.base import Voice

FOLDER = Path(__file__).parent / "samples"
#: The embedded engine's voices, in its order: the first is the default.
SAMPLES = (
    Voice("lian", {"en": "Lian, clear", "zh": "莲，清亮"}, "female"),
    Voice("yun", {"en": "Yun, deep", "zh": "云，低沉"}, "male"),
    Voice("ping", {"en": "Ping, even", "zh": "平，平和"}, "neutral"),
    Voice("ming", {"en": "Ming, young", "zh": "明，少年"}, "male"),
    Voice("xue", {"en": "Xue, soft", "zh": "雪，轻柔"}, "female"),
)


def sample_path(voice: str) -> Path:
    """Where the recording of a voice of `SAMPLES` lies."""
    return FOLDER / f"{voice}.ogg"
