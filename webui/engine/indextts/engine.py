"""IndexTTS-2 and IndexTTS-2.5 as engines.

Invariants: one request at a time; the same request with the same seed gives the same samples, also in another process;
nothing stays half loaded; no file outside the pinned caches is written and no hub is asked.
"""

from __future__ import annotations

import functools
import gc
import importlib
import importlib.util
import logging
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from launcher.errors import EngineError, LauncherError
from launcher.progress import Progress
from webui.engine.base import (
    AudioChunk,
    Cancellation,
    EngineInfo,
    Pcm,
    ReportProgress,
    Segment,
    SpeechRequest,
)
from webui.engine.glossary import apply_glossary
from webui.engine.halving import speak_or_halve
from webui.engine.indextts.device import give_back, is_full, losses_named
from webui.engine.indextts.files import INDEXTTS_2, INDEXTTS_2_5, FoundFiles, ModelFiles, find_files, lay_out
from webui.engine.indextts.guidance import Emotion, emotion_of, generation_arguments
from webui.engine.indextts.kernels import Kernel, kernel_for
from webui.engine.indextts.options import Options, Placement, place
from webui.engine.indextts.plan import CODES_PER_TOKEN, SEGMENT_TOKENS, plan_segments, tokens
from webui.engine.indextts.recordings import Recording, find_recording, stored_voices
from webui.engine.indextts.text_emotion import LazyTextEmotion, limited_scores
from webui.text import main_language, require_speakable

if TYPE_CHECKING:
    from webui.engine.indextts.speaking import Speaker, Watch
    from webui.engine.indextts.upstream import Upstream

_log = logging.getLogger(__name__)

SAMPLE_RATE_HZ = 22_050
#: What upstream imports only while its constructor or its first request runs; those that are installed.
_IMPORTED_LATE = (
    "webui.engine.indextts.speaking",
    "webui.engine.indextts.features",
    "webui.engine.indextts.coverage",
    "nemo_text_processing.text_normalization.normalize",
    "nemo_text_processing.text_normalization.zh.taggers.tokenize_and_classify",
    "nemo_text_processing.text_normalization.zh.verbalizers.verbalize_final",
    "torch.utils.serialization",
)
#: Until a word is on its way, before something that hardly lets another thread run.
_WORD_S = 0.05
#: Silence between two segments: upstream's own.
PAUSE_S = 0.2


class IndexTTS:
    """What both have in common.

    Args:
        cache_dir: root of the pinned cache.
        device: ``auto``, ``cpu`` or ``cuda:N``.
        threads: of torch; 0 lets it choose.
        options: see `webui.engine.indextts.options.Options`.
    """

    name: ClassVar[str]
    title: ClassVar[dict[str, str]]
    notes: ClassVar[dict[str, str]]
    needed: ClassVar[ModelFiles]
    speed_range: ClassVar[tuple[float, float]]

    def __init__(
        self, cache_dir: Path, device: str = "auto", threads: int = 0, *, options: Mapping[str, str] | None = None
    ) -> None:
        self._cache_dir = Path(cache_dir)
        self._device = device
        self._threads = threads
        self._options = Options.read(options or {}, self._cache_dir)
        self._placement = Placement("cpu" if device == "auto" else device)
        self._files: FoundFiles | None = None
        self._speaker: Speaker | None = None
        self._report: ReportProgress | None = None
        self._compiling: subprocess.Popen[bytes] | None = None

    def info(self) -> EngineInfo:
        """May be called before `load`."""
        return EngineInfo(
            name=self.name,
            title=self.title,
            sample_rate_hz=SAMPLE_RATE_HZ,
            voices=stored_voices(self._options.voices_dir, self._languages()),
            languages=self._languages(),
            device=self._placement.device,
            capabilities=self._capabilities(),
            notes=self.notes,
            speed_range=self.speed_range,
            weights={} if self._files is None else dict(self._files.commits),
        )

    def load(self, report: ReportProgress) -> None:
        """Stages ``import``, ``weights`` (bytes) and ``warm_up``."""
        if self._speaker is not None:
            return
        try:
            self._load(report)
        except BaseException:
            self.unload()
            raise

    def segments(self, request: SpeechRequest) -> list[Segment]:
        """The first is short, later ones are as long as upstream's limit allows."""
        require_speakable(request.text)
        self._check(request)
        texts = plan_segments(request.text, request.generation.segment_tokens or SEGMENT_TOKENS)
        return [Segment(index, text, self._language(request, text)) for index, text in enumerate(texts)]

    def symbols(self, request: SpeechRequest, segment: Segment) -> tuple[int, str]:
        """See `webui.engine.base.ShowsSymbols`; the tokens are those by which the text is cut, estimated."""
        return round(tokens(apply_glossary(segment.text, request.glossary))), ""

    def synthesize(self, request: SpeechRequest, cancellation: Cancellation) -> Iterator[AudioChunk]:
        """See `webui.engine.base.Engine.synthesize`."""
        with losses_named():
            yield from self._spoken(request, self.segments(request), cancellation)

    def respeak(self, request: SpeechRequest, segment: Segment, cancellation: Cancellation) -> Iterator[AudioChunk]:
        """See `webui.engine.base.Respeaker`."""
        with losses_named(), self._require_speaker().randomness_kept():
            yield from self._spoken(request, [segment], cancellation)

    def _spoken(
        self, request: SpeechRequest, segments: list[Segment], cancellation: Cancellation
    ) -> Iterator[AudioChunk]:
        """The sound of some of a request's segments."""
        from webui.engine.indextts.speaking import Watch

        speaker = self._require_speaker()
        count = len(self.segments(request))
        watch = Watch(cancellation, self._report, segments=count)
        watch.diffusion_steps = request.generation.diffusion_steps or watch.diffusion_steps
        arguments = self._arguments(request, speaker, watch)
        _log.info("speaking %d segments with seed %d", len(segments), speaker.seed(request.seed))
        for segment in segments:
            watch.begin(segment.index, tokens(segment.text) * CODES_PER_TOKEN)
            text = apply_glossary(segment.text, request.glossary)
            say = functools.partial(_say, speaker, segment.language, arguments, watch)
            for pcm in speak_or_halve(text, say, is_full=is_full, make_room=give_back):
                last = segment.index == count - 1
                yield AudioChunk(pcm if last else np.concatenate([pcm, _PAUSE]), segment)
            yield AudioChunk(_PAUSE[:0], segment, ends=True)

    def unload(self) -> None:
        """Gives weights, voices and the card's memory back."""
        if self._speaker is not None:
            self._speaker.close()
        self._speaker = self._files = None
        gc.collect()
        give_back()

    def report_speech_to(self, report: ReportProgress | None) -> None:
        """See `webui.engine.base.ReportsWhileSpeaking`."""
        self._report = report

    def _tell_grammar(self, language: str) -> None:
        _log.info("the rules for reading numbers in %r are built, once; this takes up to a minute or two", language)
        if self._report is not None:
            self._report(Progress("grammar", 0, None, "steps"))
            time.sleep(_WORD_S)

    def release_text_emotion(self) -> None:
        """Gives back the memory of the language model that reads emotions; it is loaded again when it is needed."""
        reader = self._text_emotion()
        if reader is not None:
            reader.release()

    def import_packages(self) -> None:
        """Imports what `load` imports and touches no device; for `webui.engine.forkserver`."""
        from webui.engine.indextts.upstream import find_upstream, import_class
        from webui.engine.preload import construct, importing

        with importing():
            import_class(find_upstream(self.name, self._options.engine_dir), self._options.engine_dir)
            for name in (*_IMPORTED_LATE, construct.__module__):
                if importlib.util.find_spec(name.partition(".")[0]) is not None:
                    importlib.import_module(name)

    # --- loading -----------------------------------------------------------------------------------------------

    def _load(self, report: ReportProgress) -> None:
        from webui.engine.indextts.upstream import Plan, find_upstream, import_class, keep_grammars_in
        from webui.engine.preload import importing, warm_files

        upstream = find_upstream(self.name, self._options.engine_dir)
        self._files = find_files(self.needed, self._hub_cache(), self._options.model_dir)
        folder = self._cache_dir / "indextts"
        layout = lay_out(self._files, folder / self.name)
        warm_up = warm_files(self._files.paths)
        report(Progress("import", 0, 1))
        with importing(self._device):
            engine_class = import_class(upstream, self._options.engine_dir)
            import torch
        report(Progress("import", 1, 1))
        if self._threads:
            torch.set_num_threads(self._threads)
        self._placement = place(torch, self._device, self._options, upstream.half)
        keep_grammars_in(folder / "grammars", upstream, self._tell_grammar)
        kernel = self._kernel(torch, upstream)
        plan = Plan(upstream, self._files, layout, self._placement, kernel)
        self._speaker = self._construct(engine_class, plan, warm_up, report)
        self._speak_once(report)
        if kernel is not None:
            self._compiling = kernel.compile_later()

    def _kernel(self, torch: Any, upstream: Upstream) -> Kernel | None:
        if self._options.cuda_kernel == "no" or self._placement.device == "cpu":
            return None
        return kernel_for(torch, upstream.module.partition(".")[0], self._placement.device, self._cache_dir)

    def _construct(self, engine_class: Any, plan: Any, warm_up: Any, report: ReportProgress) -> Speaker:
        from webui.engine.indextts.coverage import check_shapes, explain
        from webui.engine.indextts.features import FeatureStore
        from webui.engine.indextts.speaking import Speaker
        from webui.engine.indextts.upstream import build, version_of
        from webui.engine.preload import construct

        assert self._files is not None
        try:
            made = construct(
                lambda: build(engine_class, plan),
                files=self._files.paths,
                device=self._placement.device,
                report=report,
                warm_up=warm_up,
            )
        except LauncherError:
            raise
        except Exception as error:  # torch and transformers raise anything for a checkpoint that does not fit
            raise explain(error, self._files, plan.upstream) from error
        if not made.fast:
            _log.warning("loaded upstream's own way: %s", made.why_not)
        check_shapes(made.value, self._files)
        precision = "half" if self._placement.half else "fp32"
        kept = f"{plan.upstream.module}-{version_of(plan.upstream)}-{precision}-{self._files.identity}"
        store = FeatureStore(self._cache_dir / "indextts" / "features" / kept, self._placement.device)
        return Speaker(made.value, plan.upstream, store)

    def _speak_once(self, report: ReportProgress) -> None:
        """On a GPU the first run picks kernels and fills the allocator; a request should not pay for that."""
        wanted = self._options.warm_up
        if wanted == "no" or (wanted == "auto" and self._placement.device == "cpu"):
            return
        import soundfile

        report(Progress("warm_up", 0, 1))
        path = self._cache_dir / "indextts" / "warm_up.wav"
        times = np.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
        soundfile.write(
            path, 0.2 * np.sin(2 * np.pi * 150 * times) * np.sin(2 * np.pi * 3 * times) ** 2, SAMPLE_RATE_HZ
        )
        speaker = self._require_speaker()
        from webui.engine.indextts.speaking import Watch

        watch = Watch(Cancellation())
        recording = Recording(path.resolve(), "warm-up")
        speaker.prepare(recording, recording, watch)
        arguments = {"spk_audio_prompt": str(recording.path), "max_mel_tokens": 60}
        for _ in speaker.speak("你好。", "zh", arguments, watch):
            pass
        report(Progress("warm_up", 1, 1))

    def _hub_cache(self) -> Path:
        return Path(os.environ.get("HF_HUB_CACHE") or self._cache_dir / "huggingface" / "hub")

    # --- requests ----------------------------------------------------------------------------------------------

    def _check(self, request: SpeechRequest) -> None:
        """Refuses before anything is spoken what the request could not be spoken with."""
        generation_arguments(request.generation, spectrum=self.name != "indextts2")
        self._recordings(request)

    def _recordings(self, request: SpeechRequest) -> tuple[Recording, Recording]:
        """Whose voice, and whose emotion."""
        voice = self._recording(request.reference or request.voice, "reference")
        if request.emotion_source != "recording":
            return voice, voice
        return voice, self._recording(request.emotion_reference, "emotion_reference")

    def _arguments(self, request: SpeechRequest, speaker: Speaker, watch: Watch) -> dict[str, Any]:
        """Everything of upstream's ``infer`` but the text; the voice is conditioned."""
        spectrum = self.name != "indextts2"
        arguments = generation_arguments(request.generation, spectrum=spectrum)
        voice, acted = self._recordings(request)
        emotion = self._emotion(request)
        speaker.prepare(voice, acted, watch)
        arguments |= {"spk_audio_prompt": str(voice.path), **emotion.arguments()}
        if acted is not voice:
            arguments["emo_audio_prompt"] = str(acted.path)
        if speaker.accepts("duration_factor"):
            arguments["duration_factor"] = request.duration_factor / request.speed
        return arguments

    def _recording(self, name: str, param: str) -> Recording:
        return find_recording(name, self._options.voices_dir, self._options.reference_dirs, param)

    def _emotion(self, request: SpeechRequest) -> Emotion:
        if request.emotion_source != "text":
            return emotion_of(request)
        reader = self._text_emotion()
        assert reader is not None, "check_offer refuses a text without its reader"
        read = limited_scores(reader.inference(request.emotion_text.strip() or request.text))
        if self._placement.vram_bytes and self._options.qwen == "yes" and self._placement.half:
            reader.release()  # a small card: the room is needed for speech
        return emotion_of(request, read)

    def _text_emotion(self) -> LazyTextEmotion | None:
        reader = getattr(self._speaker.instance, "qwen_emo", None) if self._speaker is not None else None
        return reader if isinstance(reader, LazyTextEmotion) else None

    def _language(self, request: SpeechRequest, text: str) -> str:
        if request.language != "auto":
            return request.language
        language = main_language(text)
        return language if language in self._languages() else "zh"

    def _require_speaker(self) -> Speaker:
        if self._speaker is None:
            raise EngineError(f"{self.name} is not loaded.", fix="Load the engine first.")
        return self._speaker

    def _capabilities(self) -> tuple[str, ...]:
        named = ["clone", "emotion_vector", "emotion_reference", "random_emotion", "seed", "redo", "glossary"]
        named.append("generation_parameters")
        ready = self._files is not None and self._files.qwen_dir is not None and self._text_emotion() is not None
        if ready and self._placement.text_emotion:
            named.append("emotion_text")
        return tuple(named)

    def _languages(self) -> tuple[str, ...]:
        return ("zh", "en")


class IndexTTS2Engine(IndexTTS):
    """IndexTTS-2."""

    name = "indextts2"
    title: ClassVar = {"en": "IndexTTS-2", "zh": "IndexTTS-2"}
    notes: ClassVar = {
        "en": "Clones a voice from a recording and acts emotions, from sliders, another recording or a description.",
        "zh": "用一段录音克隆音色，情感可来自滑块、另一段录音或文字描述。",
    }
    needed = INDEXTTS_2
    speed_range = (1.0, 1.0)

    def _languages(self) -> tuple[str, ...]:
        # Spanish is what the package adds for fine-tuned weights; the published ones speak these two.
        return ("zh", "en")


class IndexTTS25Engine(IndexTTS):
    """IndexTTS-2.5."""

    name = "indextts2.5"
    title: ClassVar = {"en": "IndexTTS-2.5", "zh": "IndexTTS-2.5"}
    notes: ClassVar = {
        "en": "Clones a voice from a recording in several languages, acts emotions and sets the pace.",
        "zh": "多语言克隆音色，可演绎情感、调节语速。",
    }
    needed = INDEXTTS_2_5
    #: Lengths below 0.78 of the natural one change nothing any more (the package's documentation).
    speed_range = (0.5, 1.28)

    def _capabilities(self) -> tuple[str, ...]:
        return (*super()._capabilities(), "duration")

    def _languages(self) -> tuple[str, ...]:
        japanese = ("ja",) if importlib.util.find_spec("fugashi") else ()
        return ("zh", "en", *japanese, "es", "ar")


def _say(speaker: Speaker, language: str, arguments: dict[str, Any], watch: Watch, text: str) -> Iterator[Pcm]:
    return speaker.speak(text, language, arguments, watch)


_PAUSE: Pcm = np.zeros(round(PAUSE_S * SAMPLE_RATE_HZ), np.int16)
