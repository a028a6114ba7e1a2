"""The model's files in the pinned cache: the two halves when the model can be cut, else the whole.

Invariants: halves are used only when their size and sha256 equal the manifest's, and the manifest names the source's
sha256 and the splitter's version; whatever is missing or damaged is made again from the packages.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from launcher.progress import Progress
from webui.engine.base import ReportProgress
from webui.engine.kokoro.artifact import Digest, is_intact, publish
from webui.engine.kokoro.graph import CUT, SPLIT_VERSION, Cut, GraphChangedError, split, total_bytes
from webui.engine.kokoro.weights import ModelSource, assemble

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelFiles:
    """What there is to load.

    Attributes:
        text: first half, or ``None`` when the model cannot be cut.
        decoder: second half, or ``None``.
        whole: the whole model, when it cannot be cut.
    """

    text: Path | None = None
    decoder: Path | None = None
    whole: Path | None = None


def prepare(folder: Path, source: ModelSource, report: ReportProgress, cut: Cut = CUT) -> ModelFiles:
    """Makes sure that the model's files are there and whole.

    Args:
        folder: where they are kept.
        source: the model.
        report: told of stages ``assemble`` and ``split`` in bytes.
        cut: where to cut the model.

    Raises:
        EngineError: when a package is missing.
        StorageError: when a file cannot be written or is damaged at its source.
    """
    stem = f"{source.name.removesuffix('.onnx')}-{source.digest.sha256[:12]}-split{SPLIT_VERSION}"
    files = ModelFiles(text=folder / f"{stem}-text.onnx", decoder=folder / f"{stem}-decoder.onnx")
    manifest = folder / f"{stem}.json"
    if _halves_intact(files, manifest, source):
        return files
    whole = assemble(folder, source, report)
    try:
        halves = _split(whole, cut)
    except GraphChangedError as error:
        log.warning("the voice speaks through its whole model, with coarser emotions: %s", error)
        return ModelFiles(whole=whole)
    digests = _write_halves(halves, files, report)
    data = {"source_sha256": source.digest.sha256, **{name: asdict(digest) for name, digest in digests.items()}}
    text = json.dumps(data, indent=1).encode()
    publish(manifest, [text], size_bytes=len(text))
    return files


def _halves_intact(files: ModelFiles, manifest: Path, source: ModelSource) -> bool:
    try:
        data: Any = json.loads(manifest.read_bytes())
        expected = {half: Digest(**data[half]) for half in ("text", "decoder")}
        known = data["source_sha256"] == source.digest.sha256
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return (
        known
        and files.text is not None
        and files.decoder is not None
        and is_intact(files.text, expected["text"])
        and is_intact(files.decoder, expected["decoder"])
    )


def _split(whole: Path, cut: Cut) -> dict[str, list[bytes | memoryview]]:
    text, decoder = split(memoryview(whole.read_bytes()), cut)
    return {"text": text, "decoder": decoder}


def _write_halves(
    halves: Mapping[str, Sequence[bytes | memoryview]], files: ModelFiles, report: ReportProgress
) -> dict[str, Digest]:
    total = sum(map(total_bytes, halves.values()))
    digests: dict[str, Digest] = {}
    for name, path in (("text", files.text), ("decoder", files.decoder)):
        assert path is not None
        before = sum(digest.size_bytes for digest in digests.values())
        digests[name] = _write_half(path, halves[name], before, total, report)
    return digests


def _write_half(
    path: Path, pieces: Sequence[bytes | memoryview], before: int, total: int, report: ReportProgress
) -> Digest:
    def on_bytes(done: int) -> None:
        report(Progress("split", before + done, total, "bytes"))

    return publish(path, _blocks(pieces), size_bytes=total_bytes(pieces), on_bytes=on_bytes)


def _blocks(pieces: Sequence[bytes | memoryview], block_bytes: int = 4 * 1024 * 1024) -> list[bytes]:
    """The same bytes in fewer, larger pieces: a model has thousands of small ones."""
    joined = memoryview(b"".join(pieces))
    return [bytes(joined[start : start + block_bytes]) for start in range(0, len(joined), block_bytes)]
