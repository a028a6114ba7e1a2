"""Runs the installed IndexTTS package on many emotion vectors and writes down what it makes of them.

    python tests/engine/indextts/make_emotion_numbers.py > tests/engine/indextts/emotion_numbers.json

To be run in an environment that has the package (`launcher engine install indextts2`); the numbers are compared with
`webui.emotion` wherever the tests run. No weights are needed: `normalize_emo_vec` is called as it is, and
`infer_generator` runs up to where it asks for the device on which its weights of the eight emotions shall lie.
"""

from __future__ import annotations

import importlib.metadata
import json
import random
import sys
from types import TracebackType
from typing import Any

COUNT = 200


class _Reached(Exception):  # noqa: N818 - a signal
    """Upstream is done with its arithmetic."""


class _Bare:
    """As much of an instance as the arithmetic needs."""

    def _get_speaker_conditioning(self, *_arguments: object) -> tuple[None, ...]:
        return None, None, None, None

    @property
    def device(self) -> str:
        raise _Reached


def weights(upstream: Any, vector: list[float], alpha: float) -> list[float]:
    """What the class speaks with when it is given a vector and a strength."""
    try:
        for _ in upstream.infer_generator(_Bare(), "voice.wav", "text", None, emo_vector=vector, emo_alpha=alpha):
            pass
    except _Reached as reached:
        trace: TracebackType | None = reached.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_name == "infer_generator":
                return list(trace.tb_frame.f_locals["emo_vector"])
            trace = trace.tb_next
    raise SystemExit("The package has changed: its arithmetic was not reached.")


def vectors() -> list[list[float]]:
    """Single emotions, sums around the limit, slider positions, and any numbers."""
    draw = random.Random(6)
    singles = [[value if at == one else 0.0 for at in range(8)] for one in range(8) for value in (0.05, 0.5, 0.8, 1.0)]
    sliders = [[draw.randrange(21) / 20 if draw.random() < 0.4 else 0.0 for _ in range(8)] for _ in range(COUNT // 2)]
    anything = [[draw.random() ** 2 for _ in range(8)] for _ in range(COUNT - COUNT // 2)]
    return [[0.0] * 8, [1.0] * 8, [0.1] * 8, *singles, *sliders, *anything]


def main() -> None:
    """Prints the numbers."""
    from indextts.infer_v2 import IndexTTS2

    draw = random.Random(7)
    rows = []
    for vector in vectors():
        alpha = draw.choice([0.0, 0.3, 0.65, 1.0, round(draw.random(), 2)])
        limited = IndexTTS2.normalize_emo_vec(None, list(vector), apply_bias=True)
        rows.append(
            {"vector": vector, "limited": limited, "alpha": alpha, "weights": weights(IndexTTS2, limited, alpha)}
        )
    package = next(name for name in ("indextts2-inference", "indextts") if _version(name))
    heading = {"package": package, "version": _version(package)}
    lines = ",\n".join(json.dumps(row) for row in rows)
    sys.stdout.write(f'{json.dumps(heading)[:-1]}, "rows": [\n{lines}\n]}}\n')


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


if __name__ == "__main__":
    main()
