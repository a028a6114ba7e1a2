"""Makes the recordings in ``webui/engine/indextts/samples``: each voice of the embedded engine says the same sentences.

Run it again when the embedded voices change: ``python scripts/make_samples.py``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from webui.engine.base import Cancellation, SpeechRequest
from webui.engine.indextts.samples import SAMPLES, sample_path
from webui.engine.kokoro.engine import KokoroEngine

#: About 8 s with most sounds of both languages; engines listen to 3 to 15 s.
TEXT = "今天天气真好，我们一起去公园散步，听听鸟叫，看看花开。The quick brown fox jumps over the lazy dog, then rests."
PEAK = 0.7


def main() -> int:
    """Writes one Ogg Vorbis file per voice."""
    with tempfile.TemporaryDirectory() as cache:
        engine = KokoroEngine(cache_dir=Path(cache), device="cpu", threads=0)
        engine.load(lambda *_args, **_kwargs: None)
        for voice in SAMPLES:
            chunks = engine.synthesize(SpeechRequest(TEXT, voice=voice.id, seed=1), Cancellation())
            pcm = np.concatenate([chunk.pcm for chunk in chunks]).astype(np.float32)
            path = sample_path(voice.id)
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, pcm / np.abs(pcm).max() * PEAK, engine.info().sample_rate_hz, subtype="VORBIS")
            print(f"{path.name}: {len(pcm) / engine.info().sample_rate_hz:.1f} s, {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
