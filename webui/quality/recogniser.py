"""A process that reads speech back: Whisper on the processor, through CTranslate2. The other side is `ear`.

Standard input: for each stretch the event ``listen`` {rate_hz, text, language} and its PCM, then the event ``end``, as
`launcher.frames` has them. Standard output: one event ``heard`` {text, words, errors} for each.

Invariants: the packages of the extra ``listen`` are imported here and nowhere else; the end of standard input ends the
process; nothing is fetched.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from launcher.frames import PCM, FrameReader, encode_event
from webui.audio import Pcm, resample
from webui.quality.wording import compare

#: What Whisper was trained with (A. Radford et al., "Robust speech recognition via large-scale weak supervision",
#: 2022, section 2.2): rate, window and hop in samples, and the stretch of sound that it looks at.
_RATE_HZ, _WINDOW, _HOP, _STRETCH_S = 16_000, 400, 160, 30
#: Tokens of one stretch at most; half of the decoder's context.
_MOST_TOKENS = 224
_READ_BYTES = 1 << 16

_Features = npt.NDArray[np.float32]


class Recogniser:
    """Whisper.

    Args:
        folder: with ``model.bin``, ``config.json``, ``tokenizer.json`` and ``vocabulary.txt``, as CTranslate2's
            converter writes them.
        threads: of the processor; 0 lets the library choose.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        import ctranslate2
        from tokenizers import Tokenizer

        self._model: Any = ctranslate2.models.Whisper(
            str(folder), device="cpu", compute_type="int8", intra_threads=threads
        )
        self._view: Any = ctranslate2.StorageView.from_array
        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._filters = mel_filters(int(self._model.n_mels))

    def transcribe(self, pcm: Pcm, rate_hz: int, language: str) -> str:
        """What is said.

        Args:
            pcm: shape (samples,), int16, mono.
            rate_hz: samples per second.
            language: a code that Whisper knows.
        """
        samples = resample(pcm, rate_hz, _RATE_HZ).astype(np.float32) / 32768.0
        words = ["<|startoftranscript|>", f"<|{language}|>", "<|transcribe|>", "<|notimestamps|>"]
        prompt = [self._tokenizer.token_to_id(word) for word in words]
        heard = []
        for start in range(0, len(samples), _STRETCH_S * _RATE_HZ):
            features = log_mel(samples[start : start + _STRETCH_S * _RATE_HZ], self._filters)
            answer = self._model.generate(self._view(features[None]), [prompt], beam_size=1, max_length=_MOST_TOKENS)
            heard.append(self._tokenizer.decode(answer[0].sequences_ids[0], skip_special_tokens=True))
        return " ".join(heard).strip()


def log_mel(samples: _Features, filters: _Features) -> _Features:
    """What Whisper's encoder gets: shape (bands, 3000), scaled as in its paper.

    Args:
        samples: up to 30 s at 16 kHz, -1 to 1.
        filters: `mel_filters`.
    """
    whole = np.zeros(_STRETCH_S * _RATE_HZ, np.float32)
    whole[: len(samples)] = samples
    padded = np.pad(whole, _WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:-1]
    window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    levels = np.log10(np.maximum(power @ filters, 1e-10))
    levels = np.maximum(levels, levels.max() - 8.0)
    scaled: _Features = np.ascontiguousarray(((levels + 4.0) / 4.0).T, dtype=np.float32)
    return scaled


def mel_filters(bands: int) -> _Features:
    """Shape (201, bands): triangles of equal area on Slaney's scale (Auditory Toolbox, 1998), as Whisper's own are."""
    per_band, corner_hz, step = 200.0 / 3, 1000.0, np.log(6.4) / 27.0
    corner = corner_hz / per_band
    top = corner + np.log(_RATE_HZ / 2 / corner_hz) / step
    mels = np.linspace(0.0, top, bands + 2)
    edges = np.where(mels < corner, mels * per_band, corner_hz * np.exp(step * (mels - corner)))
    frequencies = np.fft.rfftfreq(_WINDOW, 1 / _RATE_HZ)[:, None]
    rising = (frequencies - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - frequencies) / np.diff(edges)[1:]
    areas = 2.0 / (edges[2:] - edges[:-2])
    filters: _Features = (np.maximum(0.0, np.minimum(rising, falling)) * areas).astype(np.float32)
    return filters


def serve(recogniser: Recogniser, source: BinaryIO, target: BinaryIO) -> None:
    """Answers until ``source`` ends."""
    for asked, pcm in _questions(source):
        language = str(asked["language"])
        heard = recogniser.transcribe(pcm, int(asked["rate_hz"]), language if language in ("en", "es") else "zh")
        found = compare(str(asked["text"]), heard)
        target.write(encode_event("heard", text=heard, words=found.words, errors=found.errors))
        target.flush()


def _questions(source: BinaryIO) -> Iterator[tuple[dict[str, Any], Pcm]]:
    reader, asked, pcm = FrameReader(), {}, bytearray()
    read = getattr(source, "read1", source.read)
    while data := read(_READ_BYTES):
        for frame in reader.feed(data):
            if frame.kind == PCM:
                pcm += frame.payload
            elif frame.event.get("event") == "listen":
                asked, pcm = frame.event, bytearray()
            else:
                yield asked, np.frombuffer(bytes(pcm), "<i2")


def main() -> None:
    """Serves on standard input and output; arguments: the model's folder, and how many threads."""
    serve(Recogniser(Path(sys.argv[1]), int(sys.argv[2])), sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
