"""Which old caches there are, and of which kind: Hugging Face, PyTorch, ModelScope, or a folder of checkpoints.

Invariants: nothing is changed; a link is followed to where the files are; what cannot be read is one sentence.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.config.home import whole_path
from launcher.errors import ConfigError, StorageError

#: A repository's folder in a Hub cache starts so.
REPO_PREFIXES = ("models--", "datasets--", "spaces--")
_WEIGHTS = (".pth", ".pt", ".bin", ".safetensors", ".onnx", ".ckpt", ".tiktoken", ".model")
#: Checkpoints lie at most this deep below the folder that a person names.
_MAX_DEPTH = 4
_MAX_FILES = 20_000


@dataclass(frozen=True)
class OldCache:
    """A folder whose content belongs into the pinned place.

    Attributes:
        kind: ``hub``, ``torch``, ``modelscope`` or ``checkpoints``.
        root: the folder itself, links followed.
        target: where its content belongs; for ``checkpoints`` the Hub cache.
    """

    kind: str
    root: Path
    target: Path


def find(given: Path, targets: Mapping[str, Path]) -> list[OldCache]:
    """The caches in a folder that a person names.

    Args:
        given: the folder.
        targets: kind to pinned folder, for ``hub``, ``torch`` and ``modelscope``.

    Returns:
        One for each cache in it, those that are in their place already left out.

    Raises:
        StorageError: when it cannot be read.
        ConfigError: when it holds no cache.
    """
    root = _real(given)
    found = list(_recognise(root, targets))
    if not found:
        raise ConfigError(
            f"{given} holds no cache that is known: no models--* folders, no PyTorch hub, no checkpoints.",
            fix="Name the folder that holds the models, such as ~/.cache/huggingface or index-tts/checkpoints.",
        )
    old = [one for one in found if one.root != Path(os.path.realpath(one.target))]
    for one in old:
        target = Path(os.path.realpath(one.target))
        if one.kind != "checkpoints" and (target.is_relative_to(one.root) or one.root.is_relative_to(target)):
            raise ConfigError(
                f"{one.root} and {one.target} lie one in the other.",
                fix="Set LAUNCHER_DATA_DIR to a folder outside of it.",
            )
    return old


def usual_places(home: Path | None, here: Path, environ: Mapping[str, str]) -> list[Path]:
    """Where old caches usually lie, as far as there are such folders.

    Args:
        home: the user's folder; ``None`` when there is none.
        here: the current folder.
        environ: ``HF_HOME`` and the like as they were before the launcher pinned them.
    """
    caches = [Path(environ["XDG_CACHE_HOME"])] if environ.get("XDG_CACHE_HOME") else [home / ".cache"] if home else []
    # One that starts with a ~ that nobody has is no folder, and left out for that.
    named = [
        Path(os.path.expanduser(environ[name]))  # noqa: PTH111
        for name in ("HF_HOME", "TORCH_HOME", "HF_HUB_CACHE")
        if environ.get(name)
    ]
    places = [
        *named,
        *(cache / name for cache in caches for name in ("huggingface", "torch", "modelscope")),
        *(here / name for name in ("cache_hub", "checkpoints", "hf_cache")),
        *(parent / "index-tts" / "checkpoints" for parent in (here, here.parent, home) if parent),
    ]
    real = {os.path.realpath(place): place for place in reversed(places) if place.is_dir()}
    return [place for place in places if real.pop(os.path.realpath(place), None)]


def _real(given: Path) -> Path:
    try:
        root = Path(os.path.realpath(whole_path(given), strict=True))
        if not root.is_dir():
            raise OSError(errno.ENOTDIR, "it is no folder")
        os.listdir(root)  # noqa: PTH208 - the first name alone would not tell what is wrong
    except OSError as error:
        reason = {
            errno.ENOENT: "is not there",
            errno.ELOOP: "goes through symbolic links in a circle",
            errno.ENOTDIR: "is no folder",
            errno.EACCES: "may not be read by you",
        }.get(error.errno or 0, f"cannot be read ({error.strerror})")
        raise StorageError(f"{given} {reason}.", fix="Name another folder, or make it readable for you.") from None
    return root


def _recognise(root: Path, targets: Mapping[str, Path]) -> Iterable[OldCache]:
    """What ``root`` is, and what the folders in it are that belong elsewhere."""
    if is_hub(root):
        yield OldCache("hub", root, targets["hub"])
        return
    if is_hub(root / "hub"):
        yield OldCache("hub", _real(root / "hub"), targets["hub"])
    elif is_torch(root):
        yield OldCache("torch", root, targets["torch"])
    elif is_modelscope(root):
        yield OldCache("modelscope", root, targets["modelscope"])
    else:
        # ~/.cache, an old launcher's cache_hub/ or data folder hold several.
        several = [
            _real(root / name) for name in ("huggingface", "torch", "modelscope", "cache") if (root / name).is_dir()
        ]
        inner = [one for folder in several for one in _recognise(folder, targets)]
        yield from inner
        if inner:
            return
        if (root / "hf_cache").is_dir() and is_hub(root / "hf_cache"):
            yield OldCache("hub", _real(root / "hf_cache"), targets["hub"])
        if any(path.name.endswith(_WEIGHTS) for path in loose_files(root)):
            yield OldCache("checkpoints", root, targets["hub"])


def is_hub(folder: Path) -> bool:
    """Whether a folder is a Hub cache."""
    return any(name.startswith(REPO_PREFIXES) for name in _names(folder))


def is_torch(folder: Path) -> bool:
    """Whether a folder is a ``TORCH_HOME``."""
    return (folder / "hub" / "checkpoints").is_dir() or (folder / "hub" / "trusted_list").is_file()


def is_modelscope(folder: Path) -> bool:
    """Whether a folder is a ModelScope cache."""
    return (folder / "hub" / "models").is_dir() or (folder.name == "modelscope" and (folder / "hub").is_dir())


def _is_cache(folder: Path) -> bool:
    return is_hub(folder) or is_hub(folder / "hub") or is_torch(folder) or is_modelscope(folder)


def _names(folder: Path) -> Sequence[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except OSError:
        return ()


def loose_files(root: Path) -> list[Path]:
    """Files that somebody downloaded into a plain folder: at most `_MAX_DEPTH` deep, caches left out, no links."""
    found: list[Path] = []
    for folder, names, files in os.walk(root):
        depth = len(Path(folder).relative_to(root).parts)
        names[:] = sorted(
            name
            for name in names
            if depth < _MAX_DEPTH and not name.startswith((".", *REPO_PREFIXES)) and not _is_cache(Path(folder) / name)
        )
        found += [path for name in sorted(files) if not (path := Path(folder) / name).is_symlink()]
        if len(found) > _MAX_FILES:
            raise StorageError(
                f"{root} holds more than {_MAX_FILES:,} files.", fix="Name the folder that holds the checkpoints."
            )
    return found


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder; a file with several names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for parent, _folders, files in os.walk(folder):
        for name in files:
            try:
                facts = (Path(parent) / name).lstat()
            except OSError:
                continue
            seen[facts.st_dev, facts.st_ino] = facts.st_size
    return sum(seen.values())
