"""A package as a whole: a model of the catalog in the cache, or any folder; its files, its origin, the verdict.

Invariants: nothing is changed and nobody is asked; what no receipt vouches for has an unknown origin, which is said
and is no fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launcher.audit.contents import DANGEROUS, SURPLUS, SUSPICIOUS, Remark, files_below, inspect, worst
from launcher.errors import ConfigError
from launcher.hub.catalog import Part, catalog
from launcher.hub.placement import RepoFolder
from launcher.hub.receipts import Receipt, read_receipt
from launcher.hub.remote_files import COMMIT, RemoteFile
from launcher.hub.selection import select

Tell = Callable[[str], None]
#: A cache's word for a kind of repository, and what stands before such a repository's name.
_KINDS = {"models": "", "spaces": "spaces/", "datasets": "datasets/"}
#: What every repository brings and no model loads; harmless and small.
_PAPERS = re.compile(
    r"(.*/)?(\.gitattributes|\.gitignore|README[^/]*|LICEN[SC]E[^/]*|NOTICE[^/]*|[^/]*\.md)", re.IGNORECASE
)


@dataclass(frozen=True)
class Report:
    """What was found in one folder.

    Attributes:
        name: the repository, or the folder's path.
        folder: that was read.
        commit: empty when it is not known.
        files, size_bytes: how many and how large.
        hosts: address to bytes that it sent; empty when nobody noted it.
        vouchers: who vouched for commit and digests.
        unvouched: files that no receipt names.
        remarks: the worst first.
    """

    name: str
    folder: Path
    commit: str
    files: int
    size_bytes: int
    hosts: dict[str, int]
    vouchers: tuple[str, ...]
    unvouched: tuple[str, ...]
    remarks: tuple[Remark, ...]

    @property
    def verdict(self) -> str:
        """``clean``, ``surplus``, ``suspicious`` or ``dangerous``."""
        return worst(one.verdict for one in self.remarks)

    def to_json(self) -> dict[str, Any]:
        """The value as a JSON object."""
        return {
            "name": self.name,
            "folder": str(self.folder),
            "commit": self.commit,
            "verdict": self.verdict,
            "files": self.files,
            "size_bytes": self.size_bytes,
            "hosts": self.hosts,
            "vouchers": list(self.vouchers),
            "unvouched": list(self.unvouched),
            "remarks": [one.to_json() for one in self.remarks],
        }


def exit_code(reports: Sequence[Report]) -> int:
    """0 for clean packages, 1 when something is surplus or suspicious, 2 when something is dangerous."""
    verdicts = {one.verdict for one in reports}
    return 2 if DANGEROUS in verdicts else 1 if verdicts & {SURPLUS, SUSPICIOUS} else 0


def merged(parts: Iterable[Part]) -> list[Part]:
    """The parts with one for each repository: what several models need of it is needed."""
    found: dict[str, Part] = {}
    for part in parts:
        other = found.setdefault(part.repo, part)
        if other is not part:
            # No pattern at all means everything.
            include = (*other.include, *part.include) if other.include and part.include else ()
            found[part.repo] = replace(other, include=include, sizes={**other.sizes, **part.sizes})
    return list(found.values())


def audit_part(cache: Path, part: Part, tell: Tell) -> Report | None:
    """A repository in the cache; ``None`` when nothing of it is there."""
    folder = RepoFolder(cache, part.repo)
    commit = part.revision if COMMIT.fullmatch(part.revision) else folder.commit_of(part.revision)
    if not commit or not folder.snapshot(commit).is_dir():
        commits = sorted(folder.snapshot("x").parent.glob("*"), key=lambda path: path.stat().st_mtime)
        if not commits:
            return None
        commit = commits[-1].name
    return _audit(folder.snapshot(commit), part.repo, tell, folder=folder, commit=commit, part=part)


def audit_folder(path: Path, tell: Tell) -> Report:
    """Any folder; a snapshot of a cache is recognised and compared with its receipt and the catalog.

    Raises:
        ConfigError: when it is no folder.
    """
    if not path.is_dir():
        raise ConfigError(f"There is no folder {path}.", fix="Name a model (see: models), a repository or a folder.")
    path = path.absolute()
    snapshots, repo_folder = path.parent, path.parent.parent
    kind, _, name = repo_folder.name.partition("--")
    if snapshots.name == "snapshots" and kind in _KINDS and COMMIT.fullmatch(path.name):
        repo = _KINDS[kind] + name.replace("--", "/", 1)
        parts = merged(part for entry in catalog() for part in entry.parts if part.repo == repo)
        part = parts[0] if parts else Part(repo)
        return _audit(path, repo, tell, folder=RepoFolder(repo_folder.parent, repo), commit=path.name, part=part)
    return _audit(path, str(path), tell)


def _audit(
    snapshot: Path,
    name: str,
    tell: Tell,
    *,
    folder: RepoFolder | None = None,
    commit: str = "",
    part: Part | None = None,
) -> Report:
    paths = files_below(snapshot)
    receipt = read_receipt(folder, commit) if folder is not None else None
    remarks = inspect(snapshot, paths, snapshot if folder is None else folder.root, tell)
    sizes = {one: _size(path) for one, path in paths.items()}
    if part is not None:
        remarks += _against_catalog(sizes, part)
    if receipt is not None:
        remarks += _against_receipt(sizes, receipt)
    hosts: dict[str, int] = {}
    for one in receipt.files.values() if receipt is not None else ():
        for url, size in one.hosts.items():
            hosts[url] = hosts.get(url, 0) + size
    return Report(
        name=name,
        folder=snapshot,
        commit=commit,
        files=len(paths),
        size_bytes=sum(sizes.values()),
        hosts=hosts,
        vouchers=receipt.vouchers if receipt is not None else (),
        unvouched=tuple(one for one in paths if receipt is None or one not in receipt.files),
        remarks=tuple(sorted(remarks, key=lambda one: (one.verdict != DANGEROUS, one.verdict != SUSPICIOUS, one.path))),
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, RuntimeError):
        return 0


def _against_catalog(sizes: dict[str, int], part: Part) -> list[Remark]:
    """Files that the model does not need, and those that are larger than they should be."""
    remarks = []
    if part.include:
        listed = [RemoteFile(path, size, "") for path, size in sizes.items()]
        for file, reason in select(listed, part.wanted.selection).skipped:
            if reason == "not included" and not _PAPERS.fullmatch(file.path):
                remarks.append(Remark(file.path, SURPLUS, "unexpected", "is not needed by this model", file.size))
    for path, expected in part.sizes.items():
        size = sizes.get(path)
        if size is not None and size != expected:
            text = f"has {size:,} bytes where the catalog names {expected:,}"
            remarks.append(Remark(path, SUSPICIOUS, "size", text, size))
    return remarks


def _against_receipt(sizes: dict[str, int], receipt: Receipt) -> list[Remark]:
    known = {file.path: file.size for file in receipt.tree}
    remarks = []
    for path, size in sizes.items():
        if path not in known:
            remarks.append(Remark(path, SUSPICIOUS, "foreign", "is not part of the repository at this commit", size))
        elif known[path] != size:
            text = f"has {size:,} bytes where the repository has {known[path]:,}"
            remarks.append(Remark(path, SUSPICIOUS, "size", text, size))
    return remarks
