"""What each file of a package is, by its name and its first bytes: needed, left over from training, or a danger.

Invariants: a file is opened for reading and nothing else; a link that leads out of the package is never followed; the
verdict of a package is that of its worst file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.audit.pickles import Imports, scan_file
from launcher.hub.remote_files import RemoteFile
from launcher.hub.selection import Selection, select

CLEAN = "clean"
SURPLUS = "surplus"
SUSPICIOUS = "suspicious"
DANGEROUS = "dangerous"
#: The worst last; the exit code is 0, 1, 1, 2.
VERDICTS = (CLEAN, SURPLUS, SUSPICIOUS, DANGEROUS)

#: Larger tables are data that something was trained with; a model's own (vocabulary, merges, statistics) are smaller.
_LARGE_TABLE_BYTES = 20_000_000
#: A model brings a handful of example recordings at most.
_MANY_RECORDINGS = 20
_TABLES = {".csv", ".tsv", ".jsonl", ".txt"}
_DATASETS = {".parquet", ".arrow", ".tfrecord", ".tfrecords", ".lmdb", ".mdb", ".feather", ".hdf5"}
_RECORDINGS = {".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".aac", ".mp4", ".mkv"}
_SCRIPTS = {
    ".py",
    ".pyc",
    ".sh",
    ".bash",
    ".bat",
    ".cmd",
    ".ps1",
    ".js",
    ".rb",
    ".pl",
    ".ipynb",
    ".lua",
    ".vbs",
    ".jar",
}
_PROGRAMS = {".exe", ".dll", ".so", ".dylib", ".msi", ".com", ".scr", ".apk", ".deb", ".rpm", ".whl", ".egg"}
_ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".xz", ".zst", ".bz2"}
_PROGRAM_MAGIC = {
    b"\x7fELF": "a Linux program",
    b"MZ": "a Windows program",
    b"\xcf\xfa\xed\xfe": "a macOS program",
    b"\xca\xfe\xba\xbe": "a macOS or Java program",
    b"#!": "a script",
}
#: Names in a checkpoint that only training needs (torch.optim: Adam's moments; Lightning's and transformers' keys).
_OPTIMIZER_KEYS = {
    "exp_avg",
    "exp_avg_sq",
    "optimizer_state_dict",
    "optimizer_states",
    "lr_schedulers",
    "momentum_buffer",
}
_DATASET_FOLDER = re.compile(r"(^|/)(data_?sets?|corpus|corpora|train(ing)?_data|raw_data)/", re.IGNORECASE)
_MAX_HEADER_BYTES = 100_000_000  # of safetensors, by its own format


@dataclass(frozen=True)
class Remark:
    """Something about one file.

    Attributes:
        path: inside the package, with ``/``.
        verdict: ``surplus`` (not needed), ``suspicious`` (look before use) or ``dangerous``.
        kind: a stable word for programs, such as ``training`` or ``import``.
        detail: a clause that continues the file's name.
        size_bytes: of the file.
    """

    path: str
    verdict: str
    kind: str
    detail: str
    size_bytes: int = 0

    def to_json(self) -> dict[str, Any]:
        """The value as a JSON object."""
        return {
            "path": self.path,
            "verdict": self.verdict,
            "kind": self.kind,
            "detail": self.detail,
            "size_bytes": self.size_bytes,
        }


def worst(verdicts: Iterator[str]) -> str:
    """The worst verdict; ``clean`` without any."""
    return max(verdicts, key=VERDICTS.index, default=CLEAN)


def files_below(folder: Path) -> dict[str, Path]:
    """Every file and link of a package by its path with ``/``; the folders of hub libraries (``.cache``) left out."""
    found = {}
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(one for one in folders if one not in (".cache", ".git"))
        links = [one for one in folders if Path(place, one).is_symlink()]
        for name in sorted([*names, *links]):
            path = Path(place, name)
            found[path.relative_to(folder).as_posix()] = path
    return found


def inspect(folder: Path, paths: Mapping[str, Path], inside: Path, tell: Callable[[str], None]) -> list[Remark]:
    """Looks at every file.

    Args:
        folder: the package.
        paths: of `files_below`.
        inside: links may lead to files in this folder (the cache's own, for a snapshot).
        tell: gets the path that is being read.
    """
    remarks: list[Remark] = []
    for name, path in paths.items():
        tell(name)
        remarks += _remarks(name, path, inside)
    recordings = [name for name in paths if Path(name).suffix.lower() in _RECORDINGS]
    if len(recordings) > _MANY_RECORDINGS:
        size = sum(paths[name].stat().st_size for name in recordings)
        where = os.path.commonpath(recordings) or "."
        text = f"holds {len(recordings)} recordings, samples of a dataset more than examples"
        remarks.append(Remark(where, SURPLUS, "dataset", text, size))
    if (folder / ".git").exists():
        remarks.append(Remark(".git", SURPLUS, "history", "is the history of a clone, as large as all files again"))
    return remarks


def _remarks(name: str, path: Path, inside: Path) -> Iterator[Remark]:
    try:
        if path.is_symlink() and not path.resolve().is_relative_to(inside.resolve()):
            yield Remark(name, SUSPICIOUS, "link", "is a link that leads out of the package")
            return
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(8)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "links in a circle"
        yield Remark(name, SUSPICIOUS, "unreadable", f"cannot be read: {reason}")
        return
    suffix = Path(name).suffix.lower()
    yield from _by_name(name, suffix, size)
    yield from _by_content(name, suffix, size, head, path)


def _by_name(name: str, suffix: str, size: int) -> Iterator[Remark]:
    for _, reason in select([RemoteFile(name, size, "")], Selection()).skipped:
        yield Remark(name, SURPLUS, "training", reason, size)
    if suffix in _DATASETS or _DATASET_FOLDER.search(name) or (suffix in _TABLES and size > _LARGE_TABLE_BYTES):
        yield Remark(name, SURPLUS, "dataset", "is data that something was trained with", size)
    if suffix in _SCRIPTS:
        yield Remark(name, SUSPICIOUS, "script", "is code; nothing here runs it, trust_remote_code=True would", size)
    elif suffix in _PROGRAMS:
        yield Remark(name, SUSPICIOUS, "program", "is a program or a library, which no weights need", size)
    elif suffix in _ARCHIVES:
        yield Remark(name, SURPLUS, "archive", "is an archive; unpack it elsewhere and audit that folder", size)


def _by_content(name: str, suffix: str, size: int, head: bytes, path: Path) -> Iterator[Remark]:
    if size == 0:
        if Path(name).name not in (".gitkeep", "__init__.py"):
            yield Remark(name, SUSPICIOUS, "damaged", "is empty")
        return
    for magic, what in _PROGRAM_MAGIC.items():
        if head.startswith(magic) and suffix not in _SCRIPTS | _PROGRAMS:
            yield Remark(name, DANGEROUS, "program", f"is {what} under the name of something else", size)
            return
    if suffix == ".safetensors":
        problem = safetensors_problem(path, size)
        if problem:
            yield Remark(name, SUSPICIOUS, "damaged", problem, size)
        return
    yield from _by_imports(name, size, scan_file(path))


def _by_imports(name: str, size: int, found: Imports) -> Iterator[Remark]:
    if found.dangerous:
        text = f"would run {', '.join(sorted(found.dangerous)[:4])} when it is loaded"
        yield Remark(name, DANGEROUS, "import", text, size)
    if found.unknown:
        text = f"imports what is neither known to be harmless nor dangerous: {', '.join(sorted(found.unknown)[:4])}"
        yield Remark(name, SUSPICIOUS, "import", text, size)
    if found.unreadable:
        yield Remark(name, SUSPICIOUS, "damaged", f"cannot be read to its end: {found.unreadable}", size)
    keys = sorted(found.strings & _OPTIMIZER_KEYS)
    if keys:
        yield Remark(name, SURPLUS, "training", f"holds an optimizer's state ({', '.join(keys)})", size)


def safetensors_problem(path: Path, size: int) -> str:
    """Why a file is no whole safetensors file, as a clause; empty when it is one by its header."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(_MAX_HEADER_BYTES, size - 8):
            return "is no safetensors file: its header is longer than the file"
        try:
            header = json.loads(file.read(length))
            ends = [one["data_offsets"][1] for name, one in header.items() if name != "__metadata__"]
            end = max(ends, default=0)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            return "is no safetensors file: its header makes no sense"
    if 8 + length + end != size:
        return f"is cut or has something behind its tensors: {8 + length + end:,} bytes expected, {size:,} there"
    return ""
