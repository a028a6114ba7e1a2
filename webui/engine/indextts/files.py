"""The files that IndexTTS reads: found in the Hub cache, checked, and laid out as upstream expects them.

Invariants: nothing is fetched and no hub is asked; a file that is missing, cut short or of another kind is named
before anything is built; the folder of links is ours, and what it links to is never written.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher.errors import EngineError, StorageError
from webui.hub_cache import find_snapshot

W2V_BERT, CAMPPLUS = "facebook/w2v-bert-2.0", "funasr/campplus"
MASKGCT, BIGVGAN = "amphion/MaskGCT", "nvidia/bigvgan_v2_22khz_80band_256x"
QWEN_DIR = "qwen0.6bemo4-merge"
#: What both engines read besides their own repository.
_SHARED: dict[str, tuple[str, ...]] = {
    W2V_BERT: ("config.json", "preprocessor_config.json", "model.safetensors"),
    CAMPPLUS: ("campplus_cn_common.bin",),
    BIGVGAN: ("config.json", "bigvgan_generator.pt"),
}
#: Where upstream's own layout of a model folder has the files of other repositories.
_LAYOUT: dict[str, str] = {
    W2V_BERT: "hf_cache/w2v-bert-2.0",
    CAMPPLUS: "hf_cache",
    BIGVGAN: "hf_cache/bigvgan",
    MASKGCT: "hf_cache/MaskGCT",
}
_TORCH_SUFFIXES, _SAFETENSORS_SUFFIX = {".pth", ".pt", ".bin"}, ".safetensors"
#: First bytes of a pickle, which torch wrote before it wrote zip files.
_PICKLE = b"\x80"


@dataclass(frozen=True)
class ModelFiles:
    """Which files a model needs.

    Attributes:
        model: the catalog's name, as `launcher fetch` takes it.
        repo: its own repository.
        own: the files of that repository that it cannot do without.
        others: files of other repositories, by repository.
    """

    model: str
    repo: str
    own: tuple[str, ...]
    others: Mapping[str, tuple[str, ...]]

    def repos(self) -> dict[str, tuple[str, ...]]:
        """Every repository and its files; the model's own first."""
        return {self.repo: self.own, **self.others}


INDEXTTS_2 = ModelFiles(
    "indextts-2",
    "IndexTeam/IndexTTS-2",
    ("config.yaml", "bpe.model", "gpt.pth", "s2mel.pth", "feat1.pt", "feat2.pt", "wav2vec2bert_stats.pt"),
    {**_SHARED, MASKGCT: ("semantic_codec/model.safetensors",)},
)
INDEXTTS_2_5 = ModelFiles(
    "indextts-2.5",
    "IndexTeam/IndexTTS-2.5",
    (
        *("config.yaml", "gpt.pth", "s2mel.pth", "codec.pth", "multilingual_zh_ja_yue_char_del.tiktoken"),
        *("feat1.pt", "feat2.pt", "wav2vec2bert_stats.pt"),
    ),
    _SHARED,
)


@dataclass(frozen=True)
class FoundFiles:
    """Where the files are.

    Attributes:
        folders: the folder of each repository's files.
        needed: what was asked for.
        commits: the commit of each repository; its folder's name where there is none.
    """

    folders: Mapping[str, Path]
    needed: ModelFiles
    commits: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """The model's own files."""
        return self.folders[self.needed.repo]

    @property
    def qwen_dir(self) -> Path | None:
        """The language model that reads emotions from text, when it is there."""
        folder = self.folder / QWEN_DIR
        return folder if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")) else None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every needed file, largest reads in the order of use."""
        return tuple(self.folders[repo] / name for repo, names in self.needed.repos().items() for name in names)

    @property
    def identity(self) -> str:
        """What is cached from these files is theirs alone: the commits, in the order of the repositories."""
        return "-".join(commit[:12] for commit in self.commits.values())


def find_files(needed: ModelFiles, hub_cache: Path, model_dir: Path | None) -> FoundFiles:
    """Finds and checks every file.

    Args:
        needed: by the model.
        hub_cache: the Hub cache (the folder of ``models--org--name``).
        model_dir: a folder in upstream's own layout; what it lacks is looked for in the Hub cache.

    Raises:
        EngineError: when files are missing.
        StorageError: when one is damaged.
    """
    folders: dict[str, Path] = {}
    commits: dict[str, str] = {}
    missing: list[str] = []
    for repo, names in needed.repos().items():
        laid_out = _laid_out(needed, repo, names, model_dir)
        folder, lacking = (laid_out, []) if laid_out else find_snapshot(hub_cache, repo, names)
        missing += [f"{repo}/{name}" for name in lacking]
        folders[repo] = folder
        commits[repo] = folder.name if laid_out is None else _stamp(folder, names)
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise EngineError(
            f"{missing[0]}{others} of {needed.model} is not in {model_dir or hub_cache}.", fix=_fetch(needed)
        )
    found = FoundFiles(folders, needed, commits)
    for path in found.paths:
        check_file(path, needed)
    return found


def _laid_out(needed: ModelFiles, repo: str, names: tuple[str, ...], model_dir: Path | None) -> Path | None:
    if model_dir is None:
        return None
    folder = model_dir if repo == needed.repo else model_dir / _LAYOUT[repo]
    return folder if all((folder / name).is_file() for name in names) else None


def _stamp(folder: Path, names: tuple[str, ...]) -> str:
    """Stands for a commit where there is none: sizes and times of the files."""
    stats = [(folder / name).stat() for name in names]
    return hashlib.sha256(repr([(stat.st_size, stat.st_mtime_ns) for stat in stats]).encode()).hexdigest()


def check_file(path: Path, needed: ModelFiles) -> None:
    """Whether a checkpoint is whole, by its own directory or header; a second at most, nothing is read through.

    Raises:
        StorageError: when it is cut short or holds something else.
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
        if path.suffix == _SAFETENSORS_SUFFIX:
            whole = _whole_safetensors(path, start)
        elif path.suffix in _TORCH_SUFFIXES:
            whole = zipfile.is_zipfile(path) if start.startswith(b"PK") else start.startswith(_PICKLE)
        else:
            whole = bool(start)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.", fix="Check the disk and the rights.") from error
    if not whole:
        raise StorageError(
            f"{path} is damaged or was cut short ({path.stat().st_size} bytes).",
            fix=f"Repair it: tts-launcher cache repair, or {_fetch(needed, bare=True)}",
        )


def _whole_safetensors(path: Path, start: bytes) -> bool:
    size = path.stat().st_size
    if len(start) < 9:
        return False
    header_size = struct.unpack("<Q", start[:8])[0]
    if start[8:9] != b"{" or 8 + header_size > size:
        return False
    with path.open("rb") as file:
        file.seek(8)
        header = json.loads(file.read(header_size))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return bool(8 + header_size + max(ends, default=0) == size)


def _fetch(needed: ModelFiles, *, bare: bool = False) -> str:
    command = f"tts-launcher fetch {needed.model}"
    return f"{command}." if bare else f"Fetch it: {command}."


def lay_out(found: FoundFiles, root: Path) -> Path:
    """A folder of links in upstream's own layout, so that upstream needs no hub to find its files.

    Args:
        found: the files.
        root: a private folder; one folder is made in it for each set of files.

    Raises:
        StorageError: when it cannot be written.
    """
    folder = root / found.identity
    try:
        for repo, base in found.folders.items():
            place = folder if repo == found.needed.repo else folder / _LAYOUT[repo]
            for name in found.needed.repos()[repo]:
                _link(base / name, place / name)
        for extra in (found.qwen_dir, found.folder / "glossary.yaml"):
            if extra is not None and extra.exists():
                _link(extra, folder / extra.name)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written: {error.strerror}.", fix="Free space or mend its rights."
        ) from error
    return folder


def _link(source: Path, link: Path) -> None:
    source = source.resolve()
    if link.is_symlink() and link.readlink() == source:
        return
    if link.exists() and not link.is_symlink() and link.samefile(source):
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    try:
        fresh.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:
        os.link(source, fresh)  # Windows without the right to make links
    fresh.replace(link)
