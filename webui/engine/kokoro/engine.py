"""The embedded voice as an engine: text in, int16 chunks out, on the CPU, offline.

Invariants: one request at a time; the same request gives the same samples, because nothing draws random numbers; a
cancelled request ends inside onnxruntime's run; after `unload` no session, dictionary or pack is held.
"""

from __future__ import annotations

import gc
import importlib.util
import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from launcher.errors import EngineError, SpeechError
from launcher.progress import Progress
from webui.engine.base import (
    AudioChunk,
    Cancellation,
    EngineInfo,
    Pcm,
    ReportProgress,
    Segment,
    SpeechRequest,
    WordReading,
)
from webui.engine.kokoro.chunking import ends_sentence, plan_segments
from webui.engine.kokoro.memory import return_large_blocks, trim
from webui.engine.kokoro.model_files import ModelFiles, prepare
from webui.engine.kokoro.network import SAMPLE_RATE_HZ, Run, SplitNetwork, WholeNetwork
from webui.engine.kokoro.phonemes import PhonemizerLike, Vocabulary, cut_phonemes
from webui.engine.kokoro.prosody import Prosody, prosody_of
from webui.engine.kokoro.speaker import Speaker, SplitSpeaker, Utterance, WholeSpeaker, find_world, finish
from webui.engine.kokoro.voices import VOICES, Recipe, StylePacks, find_recipe
from webui.engine.kokoro.weights import DATA_PACKAGE, KOKORO_INT8, ModelSource, package_folder
from webui.text import main_language, require_speakable, split_clauses, split_language

log = logging.getLogger(__name__)

MakePhonemizer = Callable[[Path, frozenset[str]], PhonemizerLike]

#: Silence after a segment at natural speed, in seconds: after a sentence, a clause, and inside one.
_SENTENCE_PAUSE_S, _CLAUSE_PAUSE_S, _INNER_PAUSE_S = 0.32, 0.14, 0.02
_TITLE = {"en": "Kokoro, embedded preview voice", "zh": "Kokoro 内置预览语音"}
_NOTES = {
    "en": "A small preview voice that runs on any computer; emotions move its pitch, rate and loudness. "
    "IndexTTS-2 and 2.5 add cloning a voice from a recording, acted emotions, emotion taken from a recording or "
    "a description, and a fuller sound; they need a GPU.",
    "zh": "可在任何电脑上运行的小型预览语音，情感通过音高、语速和响度体现。"
    "IndexTTS-2 与 2.5 还能用一段录音克隆音色、演绎真实情感、从参考录音或文字描述中获取情感，音质也更好，但需要 GPU。",
}


@dataclass
class _Loaded:
    """Everything that `KokoroEngine.unload` gives back."""

    speaker: Speaker
    phonemizer: PhonemizerLike
    vocabulary: Vocabulary
    styles: StylePacks


@dataclass(frozen=True)
class _Delivery:
    """How the segments of one request are spoken."""

    recipe: Recipe
    prosody: Prosody
    speed: float
    language: str


class KokoroEngine:
    """Kokoro-82M on the CPU; see `webui.engine.base.Engine` for what each method promises.

    Args:
        cache_dir: root of the pinned cache; the model is kept in ``cache_dir/kokoro``.
        device: taken for the sake of the registry; this engine always runs on the CPU.
        threads: of onnxruntime; 0 takes the usable cores, at most four.
        options: none is read.
        source: the model; tests pass an altered one.
        make_phonemizer: makes the text front end from its cache folder and the symbols that the model knows.
    """

    def __init__(
        self,
        cache_dir: Path,
        device: str = "auto",
        threads: int = 0,
        *,
        options: Mapping[str, str] | None = None,
        source: ModelSource = KOKORO_INT8,
        make_phonemizer: MakePhonemizer | None = None,
    ) -> None:
        self._folder = Path(cache_dir) / "kokoro"
        self._text_cache_dir = Path(cache_dir)
        if device not in ("auto", "cpu"):
            log.warning("the embedded voice runs on the CPU; device %s is left alone.", device)
        self._threads = threads
        self._source = source
        self._make_phonemizer = make_phonemizer or _default_phonemizer
        self._loaded: _Loaded | None = None

    def load(self, report: ReportProgress) -> None:
        """Stages ``assemble``, ``split`` (bytes), ``load`` and ``warm_up`` (steps)."""
        if self._loaded is not None:
            return
        return_large_blocks()
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="phonemizer") as pool:
            vocabulary = Vocabulary.load(package_folder(DATA_PACKAGE) / "data" / "vocab.json")
            warming = pool.submit(self._warm_phonemizer, vocabulary)
            files = prepare(self._folder, self._source, report)
            report(Progress("load", 0, 2))
            styles = StylePacks.load()
            speaker = self._open(files)
            report(Progress("load", 1, 2))
            phonemizer = warming.result()
            report(Progress("load", 2, 2))
        loaded = _Loaded(speaker, phonemizer, vocabulary, styles)
        report(Progress("warm_up", 0, 1))
        self._warm_up(loaded)
        self._loaded = loaded
        report(Progress("warm_up", 1, 1))

    def info(self) -> EngineInfo:
        """May be called before `load`."""
        return EngineInfo(
            name="kokoro",
            title=_TITLE,
            sample_rate_hz=SAMPLE_RATE_HZ,
            voices=VOICES,
            languages=self._languages(),
            device="cpu",
            capabilities=("emotion_vector", "readings"),
            notes=_NOTES,
            weights={self._source.name: f"sha256:{self._source.digest.sha256}"},
        )

    def segments(self, request: SpeechRequest) -> list[Segment]:
        """The first is short, later ones grow to about 7 s."""
        require_speakable(request.text)
        texts = plan_segments(split_clauses(request.text), request.speed)
        language = _leading_language(request)
        return [Segment(index, text, _language(text, language)) for index, text in enumerate(texts)]

    def readings(self, text: str, language: str) -> list[WordReading]:
        """See `webui.engine.base.Reader.readings`."""
        return self._require_loaded().phonemizer.readings(text, language)

    def synthesize(self, request: SpeechRequest, cancellation: Cancellation) -> Iterator[AudioChunk]:
        """See `webui.engine.base.Engine.synthesize`."""
        loaded = self._require_loaded()
        languages = loaded.phonemizer.languages
        if request.language != "auto" and request.language not in languages:
            raise SpeechError(
                f"language {request.language!r} is not one that this voice speaks here.",
                fix=f"Use auto or one of {', '.join(languages)}.",
                param="language",
                code="unknown_language",
            )
        prosody = prosody_of(request.effective_emotion)
        delivery = _Delivery(find_recipe(request.voice), prosody, request.speed, _leading_language(request))
        run = Run(cancellation)
        spoken = False
        for segment in self.segments(request):
            whole = False
            for pcm in _speak_segment(loaded, segment, delivery, run):
                cancellation.check()
                spoken = whole = True
                yield AudioChunk(pcm, segment)
            if whole:
                yield AudioChunk(_silence(0.0), segment, ends=True)
        if not spoken:
            raise SpeechError(
                "text holds nothing that this voice can say.",
                fix="Write Chinese or English words.",
                param="input",
                code="nothing_to_say",
            )

    def symbols(self, request: SpeechRequest, segment: Segment) -> tuple[int, str]:
        """See `webui.engine.base.ShowsSymbols`; nothing before `load`."""
        if self._loaded is None:
            return 0, ""
        symbols = self._loaded.phonemizer.phonemize(segment.text, _leading_language(request)).symbols
        return len(symbols), symbols

    def unload(self) -> None:
        """Gives sessions, packs and dictionaries back to the system."""
        self._loaded = None
        gc.collect()
        trim()

    def _require_loaded(self) -> _Loaded:
        if self._loaded is None:
            raise EngineError("the embedded voice is not loaded.", fix="Load the engine first.")
        return self._loaded

    def _open(self, files: ModelFiles) -> Speaker:
        if files.text is not None and files.decoder is not None:
            return SplitSpeaker(SplitNetwork(files.text, files.decoder, self._threads))
        assert files.whole is not None
        return WholeSpeaker(WholeNetwork(files.whole, self._threads), find_world())

    def _warm_phonemizer(self, vocabulary: Vocabulary) -> PhonemizerLike:
        phonemizer = self._make_phonemizer(self._text_cache_dir, vocabulary.symbols)
        phonemizer.warm_up()
        return phonemizer

    def _warm_up(self, loaded: _Loaded) -> None:
        """Says a short word, so that the first request does not pay for onnxruntime's first run."""
        segment = Segment(0, "好。", "zh")
        delivery = _Delivery(find_recipe(""), Prosody(), 1.0, "zh")
        for _ in _speak_segment(loaded, segment, delivery, Run(Cancellation())):
            pass

    def _languages(self) -> tuple[str, ...]:
        if self._loaded is not None:
            return self._loaded.phonemizer.languages
        return ("zh", "en", "ja") if importlib.util.find_spec("pyopenjtalk") else ("zh", "en")


def _speak_segment(loaded: _Loaded, segment: Segment, delivery: _Delivery, run: Run) -> Iterator[Pcm]:
    """The sound of a segment, in more than one piece when its phonemes would make too long a run."""
    recipe, prosody = delivery.recipe, delivery.prosody
    phonemes = loaded.phonemizer.phonemize(segment.text, delivery.language)
    rate = delivery.speed * recipe.rates.get(segment.language, 1.0)
    pieces = cut_phonemes(phonemes, rate * prosody.rate)
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        tokens = loaded.vocabulary.tokens(piece.symbols)
        utterance = Utterance(
            tokens=tokens,
            style=loaded.styles.style(recipe, len(tokens) - 2),
            syllables=piece.syllables,
            rate=rate,
            prosody=prosody,
            gain_db=recipe.gain_db,
            tonal=segment.language in ("zh", "mixed"),
            final=last and ends_sentence(segment.text),
        )
        pcm = finish(loaded.speaker.speak(utterance, run), utterance)
        if len(pcm):
            pause_s = _pause_s(segment.text) if last else _INNER_PAUSE_S
            yield np.concatenate([pcm, _silence(pause_s / min(max(rate, 0.5), 2.0))])


def _pause_s(text: str) -> float:
    if ends_sentence(text):
        return _SENTENCE_PAUSE_S
    return _INNER_PAUSE_S if text.rstrip()[-1:].isalnum() else _CLAUSE_PAUSE_S


def _silence(seconds: float) -> Pcm:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.int16)


def _leading_language(request: SpeechRequest) -> str:
    """The language of what could be several: a segment of digits alone is read as the whole text is."""
    return main_language(request.text) if request.language == "auto" else request.language


def _language(text: str, requested: str) -> str:
    languages = {run.language for run in split_language(text, requested)}
    return languages.pop() if len(languages) == 1 else "mixed"


def _default_phonemizer(cache_dir: Path, symbols: frozenset[str]) -> PhonemizerLike:
    # Imported here, because its dictionaries take time that belongs to `load`.
    from webui.engine.kokoro.g2p import Phonemizer

    phonemizer: Any = Phonemizer(cache_dir, symbols)
    made: PhonemizerLike = phonemizer
    return made
