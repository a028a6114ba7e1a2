"""What a recording tells about a voice and an emotion, computed once and kept: in memory for several, on disk for all.

Invariants: a file is named by the content of its recording and lies in a folder named by what computed it (the model's
commits, the package, the precision), so that it never answers for another; a damaged file is computed anew; writing is
atomic and never stops speech.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)

#: Voices and emotions that stay in memory: about 6 MB of the device's each.
HOT = 16
#: Most bytes on disk; the ones unused for longest go first.
DISK_LIMIT_BYTES = 1024**3
SPEAKER, EMOTION = "speaker", "emotion"

Tensors = Mapping[str, Any]


class FeatureStore:
    """Features by kind (`SPEAKER`, `EMOTION`) and digest of the recording.

    Args:
        folder: of the files; made when the first is written.
        device: where the tensors are used.
        hot: how many stay in memory.
        disk_limit_bytes: of all files.
    """

    def __init__(self, folder: Path, device: str, *, hot: int = HOT, disk_limit_bytes: int = DISK_LIMIT_BYTES) -> None:
        self._folder = folder
        self._device = device
        self._hot_limit = hot
        self._disk_limit_bytes = disk_limit_bytes
        self._hot: OrderedDict[tuple[str, str], Tensors] = OrderedDict()

    def get(self, kind: str, digest: str) -> Tensors | None:
        """The features on the device, or ``None`` when nobody computed them."""
        found = self._hot.get((kind, digest))
        if found is None:
            found = self._read(self._path(kind, digest))
        if found is not None:
            self._keep(kind, digest, found)
        return found

    def put(self, kind: str, digest: str, tensors: Tensors) -> None:
        """Keeps features, in memory and on disk."""
        self._keep(kind, digest, tensors)
        self._write(self._path(kind, digest), tensors)

    def forget(self) -> None:
        """Gives the memory back; the files stay."""
        self._hot.clear()

    def _keep(self, kind: str, digest: str, tensors: Tensors) -> None:
        self._hot[kind, digest] = tensors
        self._hot.move_to_end((kind, digest))
        while len(self._hot) > self._hot_limit:
            self._hot.popitem(last=False)

    def _path(self, kind: str, digest: str) -> Path:
        return self._folder / f"{kind}-{digest}.safetensors"

    def _read(self, path: Path) -> Tensors | None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        if not path.is_file():
            return None
        try:
            tensors: Tensors = load_file(path, device=self._device)
            os.utime(path)
        except (SafetensorError, OSError, RuntimeError) as error:
            _log.warning("%s is damaged and is computed anew: %s", path, error)
            path.unlink(missing_ok=True)
            return None
        return tensors

    def _write(self, path: Path, tensors: Tensors) -> None:
        from safetensors.torch import save_file

        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, fresh)
            fresh.replace(path)
            self._prune()
        except OSError as error:
            fresh.unlink(missing_ok=True)
            _log.warning("the features of a voice were not kept in %s: %s", path.parent, error)

    def _prune(self) -> None:
        files = sorted(
            ((path.stat(), path) for path in self._folder.glob("*.safetensors")),
            key=lambda item: item[0].st_mtime,
            reverse=True,
        )
        total = 0
        for stat, path in files:
            total += stat.st_size
            if total > self._disk_limit_bytes:
                path.unlink(missing_ok=True)
