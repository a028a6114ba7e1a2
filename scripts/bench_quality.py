#!/usr/bin/env python
"""Measures the quality checks: how often they are wrong about good speech, and which defects they find.

Good speech is the embedded voice on `quality_corpus` (which thresholds were chosen on) and on sentences of the
documentation (which they never saw), in every voice, with emotions and speeds. Defects are made out of it: samples are
cut, doubled, silenced, clipped, held; and the voice says other words than the text has. The ear, which reads speech
back, is measured where the extras ``listen`` and ``bench`` are installed.

    python scripts/bench_quality.py --sounds FOLDER [--seconds N] [--ear] [--json]

Speech is made once and kept in FOLDER; ``--seconds`` ends the making after a while, and the next run goes on.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent
sys.path[0:1] = [str(ROOT), str(ROOT / "scripts")]

import quality_corpus as corpus  # noqa: E402 - found through the path above

from webui.emotion import EmotionVector  # noqa: E402
from webui.engine.base import Cancellation, SpeechRequest  # noqa: E402
from webui.quality.inspection import Asked, inspect  # noqa: E402
from webui.quality.pace import Pace  # noqa: E402
from webui.quality.sound import Sound  # noqa: E402
from webui.quality.syllables import count_syllables, repeats_itself  # noqa: E402

RATE_HZ = 24_000
Audio = npt.NDArray[np.int16]
EMOTIONS = (
    *(EmotionVector(), EmotionVector(happy=1.0), EmotionVector(sad=1.0), EmotionVector(angry=0.8)),
    *(EmotionVector(melancholic=0.7), EmotionVector(surprised=1.0), EmotionVector(), EmotionVector(calm=1.0)),
)
SPEEDS = (1.0, 1.0, 1.3, 0.8, 1.0, 1.6, 0.6)
#: Sentences of each page of the documentation.
HELD_OUT = 40


@dataclass(frozen=True)
class Said:
    """One segment and its sound; ``wrong``: the sound of other words than the text has, by what was done to them."""

    source: str
    text: str
    language: str
    speed: float
    pcm: Audio
    wrong: dict[str, Audio]


def documents() -> list[tuple[str, str]]:
    """Sentences of the documentation, in both languages."""
    found = []
    for language, pattern, ends in (("en", "*[a-z].md", r"(?<=[.!?]) "), ("zh", "*.zh.md", r"(?<=[。！？])")):
        sentences = []
        for path in sorted((ROOT / "docs").glob(pattern)):
            if (language == "zh") != path.name.endswith(".zh.md"):
                continue
            for block in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
                if block.startswith(("#", "|", "`", "-", "!", "[", "<")):
                    continue
                plain = re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", " ".join(block.split()))
                sentences += [one.strip() for one in re.split(ends, plain) if 12 <= len(one.strip()) <= 160]
        random.Random(7).shuffle(sentences)
        found += [(sentence, language) for sentence in sentences[:HELD_OUT]]
    return found


def texts() -> list[tuple[str, str, str]]:
    """Source, text and language of everything that is spoken."""
    own = [("corpus", text, "zh") for text in corpus.CHINESE] + [("corpus", text, "en") for text in corpus.ENGLISH]
    return own + [("documents", text, language) for text, language in documents()]


def make(folder: Path, seconds: float) -> bool:
    """Speaks what is not there yet; whether all of it is there now."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [(n, one) for n, one in enumerate(texts()) if not (folder / f"{n:04}.npz").exists()]
    if not missing:
        return True
    from webui.engine.kokoro.engine import KokoroEngine

    engine = KokoroEngine(cache_dir=folder / "voice", device="cpu", threads=2)
    engine.load(lambda progress: None)
    voices = [voice.id for voice in engine.info().voices]
    until = time.monotonic() + seconds
    for number, (source, text, language) in missing:
        if time.monotonic() > until:
            return False
        values: dict[str, Any] = {"source": source}
        wishes = [(voices[number % len(voices)], EmotionVector(), 1.0)]
        if source == "corpus":
            other = voices[(number + 2) % len(voices)]
            wishes.append((other, EMOTIONS[number % len(EMOTIONS)], SPEEDS[number % len(SPEEDS)]))
        for turn, (voice, emotion, speed) in enumerate(wishes):
            request = SpeechRequest(text, voice=voice, emotion=emotion, speed=speed)
            for segment, pcm in spoken(engine, request):
                name = f"{turn}_{segment.index}"
                values |= {f"{name}_text": segment.text, f"{name}_pcm": pcm, f"{name}_speed": speed}
                values[f"{name}_language"] = segment.language
                if turn == 0 and (other_words := wrong_words(segment.text, language, number)):
                    for defect, words in other_words.items():
                        parts = [part for _, part in spoken(engine, SpeechRequest(words, voice=voice))]
                        values[f"{name}_{defect}"] = np.concatenate(parts)
        np.savez(folder / f"{number:04}.npz", **values)
    return True


def spoken(engine: Any, request: SpeechRequest) -> list[tuple[Any, Audio]]:
    """Segments and their sound."""
    parts: dict[int, tuple[Any, list[Audio]]] = {}
    for chunk in engine.synthesize(request, Cancellation()):
        parts.setdefault(chunk.segment.index, (chunk.segment, []))[1].append(chunk.pcm)
    return [(segment, np.concatenate(sound)) for segment, sound in parts.values()]


def wrong_words(text: str, language: str, number: int) -> dict[str, str]:
    """The text with a few words said twice, and with half of them missing; nothing for what is short or has digits."""
    if re.search(r"\d", text) or repeats_itself(text) or count_syllables(text, language).low < 8:
        return {}
    draw = random.Random(number)
    if language == "zh":
        spans = [match.span() for match in re.finditer(r"[\u4e00-\u9fff]{5,}", text)]
        if not spans:
            return {}
        start, end = draw.choice(spans)
        length = draw.randint(3, min(8, end - start))
        at = draw.randint(start, end - length)
        return {"words twice": text[: at + length] + text[at:], "half the words": text[: len(text) // 2] + "。"}
    words = text.split()
    length = draw.randint(2, 4)
    if len(words) < length + 2:
        return {}
    at = draw.randint(0, len(words) - length)
    twice = [*words[: at + length], *words[at:]]
    return {"words twice": " ".join(twice), "half the words": " ".join(words[: len(words) // 2]) + "."}


def read(folder: Path) -> Iterator[list[Said]]:
    """What was spoken, take by take."""
    for path in sorted(folder.glob("[0-9]*.npz")):
        with np.load(path) as values:
            takes: dict[str, list[Said]] = {}
            for name in values.files:
                if not name.endswith("_pcm"):
                    continue
                stem = name.removesuffix("_pcm")
                wrong = {w: values[f"{stem}_{w}"] for w in ("words twice", "half the words") if f"{stem}_{w}" in values}
                facts = (str(values[f"{stem}_text"]), str(values[f"{stem}_language"]), float(values[f"{stem}_speed"]))
                said = Said(str(values["source"]), *facts, values[name], wrong)
                takes.setdefault(stem.split("_")[0], []).append(said)
        yield from takes.values()


# --- defects of the sound ------------------------------------------------------------------------------------------


def _voiced(pcm: Audio, draw: random.Random, low: float = 0.25, high: float = 0.75) -> int:
    """A sample in the midst of speech, in the middle half."""
    frames = np.flatnonzero(Sound(pcm, RATE_HZ).levels_dbfs > Sound(pcm, RATE_HZ).loud_dbfs - 12)
    inner = [frame for frame in frames if low * len(pcm) < frame * 480 < high * len(pcm)]
    return int(draw.choice(inner or list(frames))) * 480


def _silence_inside(pcm: Audio, draw: random.Random) -> Audio:
    at = _voiced(pcm, draw)
    return np.concatenate([pcm[:at], np.zeros(int(2.5 * RATE_HZ), np.int16), pcm[at:]])


def _silence_before(pcm: Audio, draw: random.Random) -> Audio:
    return np.concatenate([np.zeros(int(1.5 * RATE_HZ), np.int16), pcm])


def _clipped(pcm: Audio, draw: random.Random) -> Audio:
    return np.clip(pcm.astype(np.int32) * 8, -32768, 32767).astype(np.int16)


def _cut_in_half(pcm: Audio, draw: random.Random) -> Audio:
    return pcm[: _voiced(pcm, draw, 0.4, 0.6)]


def _stretch_twice(pcm: Audio, draw: random.Random) -> Audio:
    length = min(int(draw.uniform(0.6, 1.5) * RATE_HZ), len(pcm) // 2)
    at = min(_voiced(pcm, draw), len(pcm) - length)
    return np.concatenate([pcm[: at + length], pcm[at:]])


def _held(pcm: Audio, draw: random.Random) -> Audio:
    """A vowel's 80 ms again and again, faded into each other."""
    at, size, fade = _voiced(pcm, draw), int(0.08 * RATE_HZ), int(0.02 * RATE_HZ)
    piece = pcm[at : at + size].astype(np.float64)
    if len(piece) < size:
        return pcm[:at]
    up = np.sqrt(np.linspace(0, 1, fade))
    out = np.zeros(int(2.0 * RATE_HZ) + size)
    for start in range(0, len(out) - size, size - fade):
        shaped = piece.copy()
        shaped[:fade] *= up
        shaped[-fade:] *= up[::-1]
        out[start : start + size] += shaped
    return np.concatenate([pcm[:at], np.clip(out, -32768, 32767).astype(np.int16), pcm[at:]])


def _offset(pcm: Audio, draw: random.Random) -> Audio:
    return np.clip(pcm.astype(np.int32) + 4000, -32768, 32767).astype(np.int16)


DEFECTS: dict[str, Callable[[Audio, random.Random], Audio]] = {
    "all silent": lambda pcm, draw: np.zeros_like(pcm),
    "2.5 s of silence inside": _silence_inside,
    "1.5 s of silence before": _silence_before,
    "clipped (18 dB over)": _clipped,
    "cut in half": _cut_in_half,
    "a stretch of 0.6 to 1.5 s doubled": _stretch_twice,
    "a vowel held for 2 s": _held,
    "12 % offset": _offset,
}


def measure(folder: Path, ear: Any) -> dict[str, Any]:
    """Shares of segments with a finding."""
    good: dict[tuple[str, str], Counter[str]] = {}
    found: dict[str, Counter[str]] = {}
    spent_s = 0.0
    for take_number, take in enumerate(read(folder)):
        paces: dict[str, Pace] = {}
        for number, said in enumerate(take):
            asked = Asked(said.text, said.language, said.speed)
            pace = paces.get(said.language)
            before = time.perf_counter()
            findings, paces[said.language] = inspect(said.pcm, RATE_HZ, asked, pace)
            spent_s += time.perf_counter() - before
            kinds = [finding.kind for finding in findings] + _heard(ear, said.pcm, asked)
            for source in (said.source, "both"):
                _count(good.setdefault((source, said.language), Counter()), kinds)
            if said.speed != 1.0 or count_syllables(said.text, said.language).low < 6:
                continue
            draw = random.Random(take_number * 100 + number)
            made = {name: defect(said.pcm, draw) for name, defect in DEFECTS.items()}
            made |= {f"the voice says {name}": pcm for name, pcm in said.wrong.items()}
            for name, pcm in made.items():
                kinds = [one.kind for one in inspect(pcm, RATE_HZ, asked, pace)[0]]
                by_words = name.startswith("the voice")
                _count(found.setdefault(name, Counter()), kinds + (_heard(ear, pcm, asked) if by_words else []))
    total = sum(counts["segments"] for (source, _), counts in good.items() if source == "both")
    return {
        "good": {f"{source} {language}": dict(counts) for (source, language), counts in sorted(good.items())},
        "defects": {name: dict(counts) for name, counts in found.items()},
        "ms_per_segment": round(1000 * spent_s / max(total, 1), 2),
    }


def _count(counts: Counter[str], kinds: list[str]) -> None:
    counts["segments"] += 1
    counts["marked"] += bool(kinds)
    counts.update(dict.fromkeys(kinds, 1))


def _heard(ear: Any, pcm: Audio, asked: Asked) -> list[str]:
    found = ear.listen(pcm, RATE_HZ, asked).result() if ear is not None else None
    return [] if found is None else [found.kind]


def table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = ["| speech | segments | marked | as |", "| --- | --- | --- | --- |"]
    for part in ("good", "defects"):
        for name, counts in report[part].items():
            kinds = ", ".join(f"{k} {v}" for k, v in sorted(counts.items()) if k not in ("segments", "marked"))
            share = counts["marked"] / counts["segments"]
            lines.append(f"| {name} | {counts['segments']} | {counts['marked']} ({share:.1%}) | {kinds} |")
    return "\n".join([*lines, "", f"{report['ms_per_segment']} ms a segment"])


def main() -> int:
    """Makes what is missing, measures what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sounds", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--ear", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not make(options.sounds, options.seconds):
        print("Not all of it is spoken yet; run it again.")
        return 0
    if not options.ear:
        report = measure(options.sounds, None)
    else:
        import voice_judges

        from webui.quality.ear import REPOSITORY, ListeningProcess

        with voice_judges.recogniser_folder() as model:
            cache = model / "hub"
            snapshot = cache / f"models--{REPOSITORY.replace('/', '--')}" / "snapshots" / "here"
            snapshot.mkdir(parents=True)
            for file in filter(Path.is_file, model.iterdir()):
                (snapshot / file.name).symlink_to(file)
            (snapshot.parent.parent / "refs").mkdir()
            (snapshot.parent.parent / "refs" / "main").write_text("here", encoding="ascii")
            ear = ListeningProcess((sys.executable, "-u", "-m", "webui.quality.recogniser"), cache, 2)
            report = measure(options.sounds, ear)
            ear.close()
    print(json.dumps(report, indent=1) if options.json else table(report))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
