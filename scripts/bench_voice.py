#!/usr/bin/env python
"""Measures the embedded voice: speed, first sound, memory, cancellation, intelligibility, and what emotion does.

Every speed stands beside the same model run whole in one piece (as its own package runs it), measured in the same
run. The recogniser and the pitch tracker come from the ``bench`` extra.

    python scripts/bench_voice.py [--only rtf,first_audio,memory,cancel,asr,prosody] [--voice ID] [--json] [--markdown]
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent
sys.path[0:1] = [str(ROOT), str(ROOT / "scripts")]

import voice_judges as judges  # noqa: E402 - found through the path above

from webui.emotion import EMOTIONS, NEUTRAL, EmotionVector  # noqa: E402
from webui.engine.base import Cancellation, Cancelled, SpeechRequest  # noqa: E402
from webui.engine.kokoro.engine import KokoroEngine  # noqa: E402
from webui.engine.kokoro.weights import DATA_PACKAGE, package_folder  # noqa: E402

SENTENCES = {
    "en": (
        "The morning train was late again, so we walked along the river.",
        "She put the letter back into the drawer and closed the window.",
        "Nobody knew why the old lighthouse was still shining at night.",
        "Please turn off the lights before you leave the building.",
        "A small boat moved slowly across the quiet lake.",
        "My brother bought fresh bread and a bottle of milk.",
        "The teacher asked every student to read one page aloud.",
        "We planted three apple trees behind the yellow house.",
        "The weather will be warm and sunny until the weekend.",
        "He laughed so loudly that the whole room turned around.",
    ),
    "zh": (
        "今天早上的火车又晚点了，我们只好沿着河边走回家。",
        "她把那封信放回抽屉里，然后轻轻关上了窗户。",
        "没有人知道那座旧灯塔为什么夜里还亮着。",
        "离开大楼以前，请把所有的灯都关掉。",
        "一条小船慢慢地穿过安静的湖面。",
        "我哥哥买了新鲜的面包和一瓶牛奶。",
        "老师让每个学生都大声朗读一页课文。",
        "我们在黄色的房子后面种了三棵苹果树。",
        "这个周末以前，天气会一直温暖晴朗。",
        "他笑得那么大声，整个房间的人都转过头来。",
    ),
}
#: 200 characters each, as somebody might paste them.
PASSAGES = {
    "zh": "".join(SENTENCES["zh"])[:200],
    "en": " ".join(SENTENCES["en"])[:200],
}
#: Which way each measure goes as the slider rises: +1 up, -1 down, 0 no claim. Sources: Scherer 2003 (Speech
#: Communication 40, table 2), Juslin & Laukka 2003 (Psychological Bulletin 129, table 7), Murray & Arnott 1993
#: (JASA 93, table I), Burkhardt & Sendlmeier 2000 (ISCA workshop on speech and emotion).
DIRECTIONS: dict[str, dict[str, int]] = {
    "happy": {"f0_hz": 1, "f0_range_st": 1, "rate_per_s": 1, "level_db": 1},
    "angry": {"f0_hz": 1, "f0_range_st": 1, "rate_per_s": 1, "level_db": 1},
    "sad": {"f0_hz": -1, "f0_range_st": -1, "rate_per_s": -1, "level_db": -1},
    "afraid": {"f0_hz": 1, "f0_range_st": 0, "rate_per_s": 1, "level_db": 0},
    "disgusted": {"f0_hz": -1, "f0_range_st": 0, "rate_per_s": -1, "level_db": 0},
    "melancholic": {"f0_hz": -1, "f0_range_st": -1, "rate_per_s": -1, "level_db": -1},
    "surprised": {"f0_hz": 1, "f0_range_st": 1, "rate_per_s": 0, "level_db": 0},
    "calm": {"f0_hz": -1, "f0_range_st": -1, "rate_per_s": 0, "level_db": 0},
}
#: How far a measure may turn back: what the pitch tracker and the frame grid add to a few sentences.
NOISE = {"f0_hz": 1.5, "f0_range_st": 0.7, "rate_per_s": 0.03, "level_db": 0.1}
LEVELS = (0.5, 1.0)
#: Sentences a language for each emotion; neutral is also judged on all of them.
EMOTION_SENTENCES = 5
Audio = npt.NDArray[np.int16]
Report = dict[str, Any]


class Bench:
    """One loaded engine and what is measured with it."""

    def __init__(self, cache_dir: Path, voice: str) -> None:
        self.cache_dir = cache_dir
        self.engine = self.load(threads=2)
        self.voice = voice or self.engine.info().voices[0].id
        self.rate_hz = self.engine.info().sample_rate_hz
        self._spoken: dict[tuple[str, EmotionVector], Audio] = {}

    def load(self, threads: int) -> KokoroEngine:
        """An engine that has spoken once."""
        engine = KokoroEngine(cache_dir=self.cache_dir, device="cpu", threads=threads)
        engine.load(lambda progress: None)
        return engine

    def speak(self, text: str, emotion: EmotionVector = NEUTRAL, engine: KokoroEngine | None = None) -> Audio:
        """The whole utterance."""
        request = SpeechRequest(text, voice=self.voice, emotion=emotion)
        chunks = (engine or self.engine).synthesize(request, Cancellation())
        return np.concatenate([chunk.pcm for chunk in chunks])

    def rtf(self) -> Report:
        """Seconds of work per second of sound, with two threads and one, beside the whole graph's."""
        report: Report = {}
        for threads, rounds in ((2, 3), (1, 1)):
            engine = self.engine if threads == 2 else self.load(threads)
            for language, passage in PASSAGES.items():
                ratios = []
                for _ in range(rounds):
                    began = time.perf_counter()
                    samples = len(self.speak(passage[:100], engine=engine))
                    ratios.append((time.perf_counter() - began) / (samples / self.rate_hz))
                report[f"{language}, {threads} threads"] = statistics.median(ratios)
        report["whole graph, 2 threads"] = self._whole_graph_rtf()
        report["ours / whole graph"] = report["en, 2 threads"] / report["whole graph, 2 threads"]
        return report

    def _whole_graph_rtf(self) -> float:
        """The same model and sentences through its unsplit graph, as the package that carries it would."""
        import onnxruntime as ort

        from webui.engine.kokoro.g2p import Phonemizer

        options = ort.SessionOptions()
        options.intra_op_num_threads = 2
        path = next(self.cache_dir.rglob("kokoro-v1.0.int8.onnx"))
        session = ort.InferenceSession(str(path), sess_options=options, providers=["CPUExecutionProvider"])
        data = package_folder(DATA_PACKAGE) / "data"
        vocabulary: dict[str, int] = json.loads((data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
        styles = np.load(data / "voices_ja.npz")["jf_gongitsune"]
        phonemizer = Phonemizer(self.cache_dir, frozenset(vocabulary))
        seconds = sound = 0.0
        for sentence in SENTENCES["en"][:5]:
            tokens = [vocabulary[symbol] for symbol in phonemizer.phonemize(sentence, "en").symbols]
            feeds = {
                "tokens": np.array([[0, *tokens, 0]], dtype=np.int64),
                "style": styles[len(tokens) - 1].reshape(1, 256),
                "speed": np.ones(1, dtype=np.float32),
            }
            began = time.perf_counter()
            audio = session.run(None, feeds)[0]
            seconds += time.perf_counter() - began
            sound += np.asarray(audio).size / self.rate_hz
        return seconds / sound

    def first_audio(self) -> Report:
        """Seconds to the first chunk of a 200-character text, and how close a player came to running dry."""
        report: Report = {}
        for language, passage in PASSAGES.items():
            self.speak(SENTENCES[language][0])
            firsts, margins, totals = zip(*(self._play(passage) for _ in range(2)), strict=True)
            report[f"{language} first audio s"] = statistics.median(firsts)
            report[f"{language} smallest buffer s"] = min(margins)
            report[f"{language} underrun"] = min(margins) < 0
            report[f"{language} whole text s"] = statistics.median(totals)
            report[f"{language} first audio / whole text"] = statistics.median(firsts) / statistics.median(totals)
        return report

    def _play(self, text: str) -> tuple[float, float, float]:
        """Seconds to the first sound, least sound a player had left when a chunk arrived, seconds to the end."""
        request = SpeechRequest(text, voice=self.voice)
        began = time.perf_counter()
        buffered_s, first_s, least_s, now = 0.0, 0.0, float("inf"), 0.0
        for chunk in self.engine.synthesize(request, Cancellation()):
            now = time.perf_counter() - began
            if not first_s:
                first_s = now
            else:
                least_s = min(least_s, buffered_s - (now - first_s))
            buffered_s += len(chunk.pcm) / self.rate_hz
        return first_s, least_s, now

    def memory(self) -> Report:
        """Peak resident bytes of a process that speaks long texts, beside one that has only imported the runtime."""
        sizes = {}
        for name in ("_speak_long", "_import_only"):
            command = [sys.executable, __file__, "--child", name, "--cache", str(self.cache_dir)]
            sizes[name] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return {
            "peak MB": sizes["_speak_long"] / 1e6,
            "imports alone MB": sizes["_import_only"] / 1e6,
        }

    def cancel(self) -> Report:
        """Seconds from the wish to the end, at several moments of a long segment."""
        delays = []
        for wait_s in (0.1, 0.4, 0.9, 1.6, 2.5, 3.3):
            cancellation, asked = Cancellation(), [0.0]

            def ask(cancellation: Cancellation = cancellation, asked: list[float] = asked) -> None:
                asked[0] = time.perf_counter()
                cancellation.cancel()

            timer = threading.Timer(wait_s, ask)
            timer.start()
            try:
                for _ in self.engine.synthesize(SpeechRequest(PASSAGES["en"] * 3, voice=self.voice), cancellation):
                    pass
            except Cancelled:
                delays.append(time.perf_counter() - asked[0])
            timer.join()
        return {"median ms": statistics.median(delays) * 1e3, "worst ms": max(delays) * 1e3}

    def asr(self) -> Report:
        """Error rates: neutral over all sentences, each emotion at 0.5 and 1 over some, beside neutral over those."""
        report: Report = {}
        with judges.recogniser() as recogniser:
            for name, emotion in [("neutral, all sentences", NEUTRAL), *_settings(LEVELS)]:
                count = None if "all" in name else EMOTION_SENTENCES
                row: Report = {}
                for language, sentences in SENTENCES.items():
                    heard = [
                        recogniser.transcribe(self.spoken(sentence, emotion), self.rate_hz, language)
                        for sentence in sentences[:count]
                    ]
                    row |= _error_rates(language, sentences[:count], heard)
                report[name] = row
        return report

    def prosody(self) -> Report:
        """Pitch, range, rate and level per emotion and slider position, and whether each goes one way."""
        report: Report = {}
        for language, sentences in SENTENCES.items():
            table = {
                name: self._acoustics(language, sentences[:EMOTION_SENTENCES], emotion)
                for name, emotion in _settings(LEVELS)
            }
            report[language] = {name: vars(row) for name, row in table.items()}
            report[f"{language} monotone"] = {
                emotion: _verdict([table["neutral"], *(table[f"{emotion} {level:g}"] for level in LEVELS)], emotion)
                for emotion in EMOTIONS
            }
        return report

    def spoken(self, text: str, emotion: EmotionVector) -> Audio:
        """As `speak`, but each utterance is made once: the same request always gives the same samples."""
        key = (text, emotion)
        if key not in self._spoken:
            self._spoken[key] = self.speak(text, emotion)
        return self._spoken[key]

    def _acoustics(self, language: str, sentences: tuple[str, ...], emotion: EmotionVector) -> judges.Acoustics:
        count = judges.words if language == "en" else judges.characters
        rows = [judges.measure(self.spoken(text, emotion), self.rate_hz, len(count(text))) for text in sentences]
        return judges.Acoustics(*(float(np.mean([getattr(row, name) for row in rows])) for name in vars(rows[0])))


def _settings(levels: tuple[float, ...]) -> Iterator[tuple[str, EmotionVector]]:
    yield "neutral", NEUTRAL
    for emotion in EMOTIONS:
        for level in levels:
            yield f"{emotion} {level:g}", EmotionVector(**{emotion: level})


def _error_rates(language: str, sentences: tuple[str, ...], heard: list[str]) -> Report:
    if language == "en":
        return {"en WER": _mean_rate(judges.words, sentences, heard)}
    return {
        "zh CER": _mean_rate(judges.characters, sentences, heard),
        "zh syllables": _mean_rate(lambda text: judges.syllables(text, tones=False), sentences, heard),
        "zh with tone": _mean_rate(lambda text: judges.syllables(text, tones=True), sentences, heard),
    }


def _mean_rate(cut: Callable[[str], list[str]], sentences: tuple[str, ...], heard: list[str]) -> float:
    """One error rate over all sentences together: longer ones count more."""
    pairs = [(cut(wanted), cut(got)) for wanted, got in zip(sentences, heard, strict=True)]
    errors = sum(judges.error_rate(wanted, got) * len(wanted) for wanted, got in pairs)
    return errors / sum(len(wanted) for wanted, _ in pairs)


def _verdict(rows: list[judges.Acoustics], emotion: str) -> str:
    """``yes``, or the measures that turn back by more than `NOISE`."""
    wrong = []
    for measure, way in DIRECTIONS[emotion].items():
        values = [getattr(row, measure) for row in rows]
        if any((after - before) * way < -NOISE[measure] for before, after in itertools.pairwise(values)):
            wrong.append(f"{measure} {' '.join(f'{value:.2f}' for value in values)}")
    return "; ".join(wrong) or "yes"


def _child(name: str, cache_dir: Path) -> None:
    if name == "_speak_long":
        bench = Bench(cache_dir, "")
        for language in ("zh", "en", "zh"):
            bench.speak(PASSAGES[language] * 2, EmotionVector(sad=1.0))
    print(_peak_bytes())


def _peak_bytes() -> int:
    """The largest resident size of this process; the kernel's own rusage also counts what it was forked from."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _render(report: dict[str, Report], *, markdown: bool) -> str:
    lines: list[str] = []
    for part, values in report.items():
        lines += [f"## {part}" if markdown else part]
        nested = {name: row for name, row in values.items() if isinstance(row, dict)}
        lines += [
            f"{'- ' if markdown else '  '}{name}: {_show(row)}" for name, row in values.items() if name not in nested
        ]
        for name, row in nested.items():
            lines.append(f"{'- ' if markdown else '  '}{name}: " + ", ".join(f"{k} {_show(v)}" for k, v in row.items()))
    return "\n".join(lines)


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_show(inner)}" for name, inner in value.items()) + ")"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def main() -> None:
    """Runs the parts that were asked for and prints them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("rtf", "first_audio", "memory", "cancel", "asr", "prosody")
    parser.add_argument("--only", default=",".join(parts))
    parser.add_argument("--voice", default="")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "bench-voice-cache")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--child", choices=("_speak_long", "_import_only"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(options.child, options.cache)
        return
    bench = Bench(options.cache, options.voice)
    report = {}
    for part in options.only.split(","):
        if part not in parts:
            parser.error(f"--only {part!r} is not one of {', '.join(parts)}")
        report[part] = getattr(bench, part)()
        if not options.json:
            print(_render({part: report[part]}, markdown=options.markdown), flush=True)
    if options.json:
        print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
