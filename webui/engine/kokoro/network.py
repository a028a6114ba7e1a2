"""The neural network through onnxruntime: plan (durations, pitch, energy, features), then decode to sound.

Invariants: no random numbers are in the graph, so the same input gives the same sound; a run ends soon after its
`RunOptions.terminate` is set; a plan is a value that may be edited by making another.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from launcher.errors import EngineError
from webui.engine.base import Cancellation
from webui.engine.kokoro.graph import DURATIONS, ENERGY, F0, FEATURES

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

SAMPLE_RATE_HZ = 24_000
#: One frame of durations and features is 25 ms (600 samples); F0 and energy have two values a frame.
FRAME_SAMPLES = 600
F0_PER_FRAME = 2
F0_RATE_HZ = SAMPLE_RATE_HZ / FRAME_SAMPLES * F0_PER_FRAME
#: The network's own limit: 512 positions with a start and an end token; style packs have as many rows.
MAX_TOKENS = 510
#: More threads than this gain nothing: throughput saturates at 2.9 times real time.
_MAX_AUTO_THREADS = 4


@dataclass(frozen=True)
class Plan:
    """What the first half says about an utterance.

    Attributes:
        durations: frames of each token before any stretching, start and end token included; shape (tokens + 2,).
        f0_hz: pitch, shape (2 * frames,); below about 40 Hz means unvoiced.
        energy: shape (2 * frames,), in the network's own unit.
        features: shape (1, 512, frames).
    """

    durations: Ints
    f0_hz: Floats
    energy: Floats
    features: Floats

    @property
    def frames(self) -> int:
        """Length in frames of 25 ms."""
        return int(self.features.shape[2])


class Run:
    """The cancellation of one request, as onnxruntime understands it; used for every call of that request."""

    def __init__(self, cancellation: Cancellation) -> None:
        self._cancellation = cancellation
        self._options = onnxruntime.RunOptions()
        # The arena grows with the longest run; given back after each, it costs no measurable time and saves 170 MB.
        self._options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._options.log_severity_level = 4  # a terminated run is no error that belongs in the log
        cancellation.on_cancel(self._terminate)

    def __call__(self, session: onnxruntime.InferenceSession, outputs: list[str], feed: dict[str, Any]) -> list[Any]:
        """Runs ``session``.

        Raises:
            Cancelled: when the request was cancelled before or meanwhile.
        """
        self._cancellation.check()
        try:
            results: list[Any] = session.run(outputs, feed, self._options)
        except Exception:  # onnxruntime has no class of its own for a terminated run
            self._cancellation.check()
            raise
        return results

    def _terminate(self) -> None:
        self._options.terminate = True


class SplitNetwork:
    """The two halves, between which a plan can be edited."""

    def __init__(self, text: Path, decoder: Path, threads: int) -> None:
        self._text = open_session(text, threads)
        self._decoder = open_session(decoder, threads)

    def plan(self, tokens: Ints, style: Floats, rates: Floats, run: Run) -> Plan:
        """Durations and pitch of an utterance.

        Args:
            tokens: with the start and end token, shape (n,).
            style: a row of a style pack, shape (256,).
            rates: speed of each token, shape (n,); 2 halves its duration.
            run: the request's cancellation.
        """
        names = [DURATIONS, F0, ENERGY, FEATURES]
        feed = {"tokens": tokens[None, :], "style": style[None, :], "speed": rates}
        durations, f0_hz, energy, features = run(self._text, names, feed)
        return Plan(durations[0], f0_hz[0], energy[0], features)

    def decode(self, plan: Plan, style: Floats, run: Run) -> Floats:
        """The sound of a plan: float samples, about -1 to 1, shape (600 * frames,)."""
        feed = {F0: plan.f0_hz[None, :], ENERGY: plan.energy[None, :], FEATURES: plan.features, "style": style[None, :]}
        audio: Floats = run(self._decoder, ["audio"], feed)[0]
        return audio


class WholeNetwork:
    """The model in one piece, when it cannot be cut: one rate for all tokens, no plan to edit."""

    def __init__(self, whole: Path, threads: int) -> None:
        self._session = open_session(whole, threads)

    def speak(self, tokens: Ints, style: Floats, rate: float, run: Run) -> Floats:
        """The sound of an utterance; arguments as for `SplitNetwork.plan`."""
        feed = {"tokens": tokens[None, :], "style": style[None, :], "speed": np.array([rate], np.float32)}
        audio: Floats = run(self._session, ["audio"], feed)[0]
        return audio.reshape(-1)


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """A CPU session with ``threads`` threads (0 chooses) that do not spin while they wait.

    Raises:
        EngineError: when onnxruntime cannot load the file.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or default_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise EngineError(
            f"the voice model {path.name} cannot be loaded: {error}.",
            fix=f"Delete {path.parent}; it is made again at the next start.",
        ) from error


def default_threads() -> int:
    """As many threads as there are usable cores, at most four."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MAX_AUTO_THREADS, usable))
