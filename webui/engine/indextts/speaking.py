"""One built instance of upstream's class at work: conditioned, seeded, watched, and stopped when told.

Invariants: a voice is conditioned before the seed is set, because conditioning draws random numbers and happens once
per voice; a cancelled request ends within one token, one layer or one diffusion step; nothing of upstream's class is
replaced, hooks and stopping criteria are its libraries' own.
"""

from __future__ import annotations

import inspect
import random
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from launcher.errors import SpeechError
from launcher.progress import Progress
from webui.engine.base import Cancellation, Pcm, ReportProgress
from webui.engine.indextts.features import EMOTION, SPEAKER, FeatureStore, Tensors
from webui.engine.indextts.recordings import Recording
from webui.engine.indextts.upstream import Upstream

#: Seconds between two reports.
_REPORT_S = 0.2
#: Shares of a segment's time up to the end of drawing its codes and of making its spectrum; measured on a CPU.
_CODES_SHARE, _SPECTRUM_SHARE = 0.6, 0.95
_DIFFUSION_STEPS = 25
#: Names of the attributes in which the class keeps one voice, by our names of the features.
_SPEAKER_ATTRIBUTES = {
    "features": "cache_spk_cond",
    "style": "cache_s2mel_style",
    "prompt": "cache_s2mel_prompt",
    "mel": "cache_mel",
}


class _Conditioned(Exception):  # noqa: N818 - a signal, not an error
    """Conditioning is done; nothing after it is wanted."""


@dataclass
class Watch:
    """Looks whether the request was cancelled, and tells how far its segment is.

    Attributes:
        cancellation: of the request.
        report: told at most every `_REPORT_S`; ``None``: nobody.
        segment, segments: which one is spoken, of how many.
        expected_codes: estimated for this segment.
        diffusion_steps: of this request.
    """

    cancellation: Cancellation
    report: ReportProgress | None = None
    segment: int = 0
    segments: int = 1
    expected_codes: float = 100.0
    diffusion_steps: int = _DIFFUSION_STEPS
    _codes: int = 0
    _steps: int = 0
    _done: float = 0.0
    _told_at: float = 0.0

    def begin(self, segment: int, expected_codes: float) -> None:
        """A new segment."""
        self.segment, self.expected_codes = segment, max(expected_codes, 1.0)
        self._codes = self._steps = 0

    def check(self) -> None:
        """Raises `Cancelled` when the request was cancelled."""
        self.cancellation.check()

    def code(self) -> None:
        """One more code was drawn."""
        self.check()
        self._codes += 1
        self._tell(_CODES_SHARE * min(self._codes / self.expected_codes, 1.0))

    def diffusion_step(self) -> None:
        """One more step of the spectrum begins."""
        self.check()
        done = min(self._steps / self.diffusion_steps, 1.0)
        self._steps += 1
        self._tell(_CODES_SHARE + (_SPECTRUM_SHARE - _CODES_SHARE) * done)

    def _tell(self, share: float) -> None:
        # A segment that upstream cuts once more begins anew with every piece; what is shown does not go back.
        self._done = max(self._done, round(self.segment + share, 3))
        now = time.monotonic()
        if self.report is not None and now - self._told_at >= _REPORT_S:
            self._told_at = now
            self.report(Progress("speak", self._done, self.segments, "steps"))


class _Codes(StoppingCriteria):  # type: ignore[misc]  # transformers has no types
    """Called by ``generate`` after every code; never stops by itself, but a cancelled request raises."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __call__(self, input_ids: torch.Tensor, scores: object, **_options: Any) -> torch.Tensor:
        self._watch.code()
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


class Speaker:
    """A built instance and how to make it speak.

    Args:
        instance: upstream's.
        upstream: which one it is.
        store: of what is known about recordings.
    """

    def __init__(self, instance: Any, upstream: Upstream, store: FeatureStore) -> None:
        self.instance = instance
        self._upstream = upstream
        self._store = store
        self._parameters = inspect.signature(instance.infer_generator).parameters
        self._watch: Watch | None = None
        self._hooks: list[Any] = []
        _quiet_bars(upstream)
        self._hook()

    def close(self) -> None:
        """Takes the hooks away, which hold the instance, and gives the voices back."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._store.forget()
        self.instance = None

    def speak(self, text: str, language: str, arguments: dict[str, Any], watch: Watch) -> Iterator[Pcm]:
        """The sound of one segment, in as many pieces as upstream makes of it; `prepare` comes first.

        Args:
            text: of the segment.
            language: ``zh``, ``en``...
            arguments: of upstream's ``infer``, among them the recordings of `prepare`.
            watch: of the request.
        """
        self._watch = watch
        given = {
            **arguments,
            "text": text,
            "output_path": None,
            "stream_return": True,
            "interval_silence": 0,
            "verbose": False,
            "stopping_criteria": StoppingCriteriaList([_Codes(watch)]),
            **self._language(language),
        }
        sound = self.instance.infer_generator(**given)
        try:
            while True:
                with torch.no_grad():
                    piece = next(sound, None)
                if piece is None:
                    return
                watch.check()
                # With no silence asked for, one class still yields an empty list between two segments.
                if isinstance(piece, torch.Tensor) and piece.numel():
                    yield self._pcm(piece)
        finally:
            sound.close()
            self._watch = None

    def prepare(self, voice: Recording, emotion: Recording, watch: Watch) -> None:
        """Conditions the instance on two recordings, from the store where they are known.

        Raises:
            SpeechError: when a recording cannot be read.
            Cancelled: when the request was cancelled meanwhile.
        """
        speaker, acted = self._store.get(SPEAKER, voice.digest), self._store.get(EMOTION, emotion.digest)
        self._set(voice.path, speaker, emotion.path, acted)
        if speaker is not None and acted is not None:
            return
        self._condition(voice, emotion, watch)
        found = self._get(voice.path, emotion.path)
        if speaker is None:
            self._store.put(SPEAKER, voice.digest, found[0])
        if acted is None:
            self._store.put(EMOTION, emotion.digest, found[1])

    def seed(self, seed: int | None) -> int:
        """Sets every generator that upstream draws from; returns the seed, a fresh one for ``None``."""
        seed = secrets.randbits(32) if seed is None else seed
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        return seed

    @contextmanager
    def randomness_kept(self) -> Iterator[None]:
        """While the block runs anything may be drawn; afterwards every generator stands where it stood before."""
        before = (random.getstate(), np.random.get_state(), torch.get_rng_state())
        cards = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
            torch.set_rng_state(before[2])
            if cards:
                torch.cuda.set_rng_state_all(cards)

    def accepts(self, name: str) -> bool:
        """Whether upstream's ``infer`` has this argument."""
        return name in self._parameters

    def _condition(self, voice: Recording, emotion: Recording, watch: Watch) -> None:
        """Lets upstream condition itself on what it does not know yet, and stops it right after."""
        self._watch = watch

        def stop(*_arguments: object, **_options: object) -> None:
            raise _Conditioned

        self._model.merge_emovec = stop  # the first thing that upstream does with what it has heard
        try:
            with torch.no_grad():
                for _ in self.instance.infer_generator(
                    spk_audio_prompt=str(voice.path),
                    text="好",
                    output_path=None,
                    emo_audio_prompt=str(emotion.path),
                    stream_return=True,
                    **self._language("zh"),
                ):
                    pass
        except _Conditioned:
            pass
        except (OSError, ValueError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise SpeechError(
                f"the recording {voice.path.name} cannot be used: {str(error).splitlines()[0][:120]}.",
                fix="Use a WAV or FLAC file of 3 to 15 s of speech.",
                param="reference",
                code="unusable_recording",
            ) from error
        finally:
            del self._model.merge_emovec
            self._watch = None

    @property
    def _model(self) -> Any:
        return self.instance.gpt

    def _get(self, voice: Path, emotion: Path) -> tuple[Tensors, Tensors]:
        """What the instance keeps about the last two recordings."""
        if hasattr(self.instance, "_spk_cache"):
            values = self.instance._spk_cache[self._key(voice)]
            return dict(zip(_SPEAKER_ATTRIBUTES, values, strict=True)), {
                "features": self.instance._emo_cache[self._key(emotion)]
            }
        speaker = {name: getattr(self.instance, attribute) for name, attribute in _SPEAKER_ATTRIBUTES.items()}
        return speaker, {"features": self.instance.cache_emo_cond}

    def _set(self, voice: Path, speaker: Tensors | None, emotion: Path, acted: Tensors | None) -> None:
        """Makes the instance believe that it has heard these recordings, and no others; ``None``: not this one."""
        if hasattr(self.instance, "_spk_cache"):
            for name in ("_spk_cache", "_emo_cache", "_emovec_cache"):
                getattr(self.instance, name).clear()
            if speaker is not None:
                self.instance._spk_cache[self._key(voice)] = tuple(speaker[name] for name in _SPEAKER_ATTRIBUTES)
            if acted is not None:
                self.instance._emo_cache[self._key(emotion)] = acted["features"]
            return
        for name, attribute in _SPEAKER_ATTRIBUTES.items():
            setattr(self.instance, attribute, speaker[name] if speaker else None)
        self.instance.cache_spk_audio_prompt = str(voice) if speaker else None
        self.instance.cache_emo_cond = acted["features"] if acted else None
        self.instance.cache_emo_audio_prompt = str(emotion) if acted else None

    def _key(self, path: Path) -> Any:
        module: Any = sys.modules[self._upstream.module]
        return module._audio_key(str(path))

    def _language(self, language: str) -> dict[str, Any]:
        """Tells the instance the language; what its ``infer`` takes for it."""
        if self.accepts("lang"):
            return {"lang": language}
        normalizer = self.instance.normalizer
        if hasattr(normalizer, "preferred_language"):
            normalizer.preferred_language = language
            normalizer.load()
        return {}

    def _pcm(self, piece: torch.Tensor) -> Pcm:
        """int16 samples, cut to whole numbers as upstream does it."""
        samples = piece.detach().float().reshape(-1) * (32767.0 / self._upstream.peak)
        pcm: Pcm = samples.clamp(-32767, 32767).to(torch.int16).cpu().numpy()
        return pcm

    def _hook(self) -> None:
        """Looks for a cancelled request before every layer that takes long, and counts the diffusion steps."""
        instance = self.instance
        estimator = instance.s2mel.models["cfm"].estimator
        self._hooks.append(estimator.register_forward_pre_hook(lambda *_: self._step()))
        for module in (
            *getattr(instance.bigvgan, "resblocks", ()),
            *getattr(getattr(instance.semantic_model, "encoder", None), "layers", ()),
        ):
            self._hooks.append(module.register_forward_pre_hook(lambda *_: self._look()))

    def _step(self) -> None:
        if self._watch is not None:
            self._watch.diffusion_step()

    def _look(self) -> None:
        if self._watch is not None:
            self._watch.check()


def _quiet_bars(upstream: Upstream) -> None:
    """No bars of diffusion steps in the log: the steps are counted by a hook."""
    module: Any = sys.modules.get(f"{upstream.module.partition('.')[0]}.s2mel.modules.flow_matching")
    if module is not None and hasattr(module, "tqdm"):
        plain: Callable[[Any], Any] = iter
        module.tqdm = plain
