"""What is known of a repository on this disk without any network: its files, their digests, and who sent them.

A receipt is JSON: ``{"repo", "revision", "commit", "files": {path: {"sha256", "size_bytes", "hosts": {url: bytes}}},
"tree": {path: {"size_bytes", "git_sha1", "sha256"}}, "vouchers": [...], "seconds", "version", "whole"}``. ``files`` are
those that were fetched, or found and compared; ``tree`` is everything that the repository holds, unless ``whole`` is
false: then it is what was found without a list.

Invariants: a receipt that cannot be read is no receipt and never an error; what an earlier fetch of the same commit
received is kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher import __version__
from launcher.channel import from_json
from launcher.hub.placement import RepoFolder, write_text
from launcher.hub.remote_files import COMMIT, SHA256, Hash, RemoteFile, RepoTree, is_safe_path

_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Received:
    """One file of a receipt.

    Attributes:
        sha256: of the content.
        size: in bytes.
        hosts: address to bytes; empty for a file that was there already.
    """

    sha256: str
    size: int
    hosts: Mapping[str, int]


@dataclass(frozen=True)
class Receipt:
    """A repository at a commit, as it was fetched.

    Attributes:
        files: path to what was received.
        tree: everything that the repository holds.
        vouchers: who vouched for commit and digests.
        seconds: that fetching took, all times together.
        version: of the launcher that wrote it.
        whole: whether ``tree`` is all that the repository holds.
    """

    repo: str
    revision: str
    commit: str
    files: Mapping[str, Received]
    tree: tuple[RemoteFile, ...]
    vouchers: tuple[str, ...] = ()
    seconds: float = 0.0
    version: str = __version__
    whole: bool = True

    def to_json(self) -> dict[str, Any]:
        """The receipt as it is written."""
        return {
            "repo": self.repo,
            "revision": self.revision,
            "commit": self.commit,
            "files": {
                path: {"sha256": one.sha256, "size_bytes": one.size, "hosts": dict(one.hosts)}
                for path, one in sorted(self.files.items())
            },
            "tree": {
                file.path: {"size_bytes": file.size, "git_sha1": file.git_sha1, "sha256": file.sha256}
                for file in self.tree
            },
            "vouchers": list(self.vouchers),
            "seconds": round(self.seconds, 3),
            "version": self.version,
            "whole": self.whole,
        }


def read_receipt(folder: RepoFolder, commit: str) -> Receipt | None:
    """The receipt of a commit; ``None`` when there is none that can be read."""
    try:
        data = from_json((folder.receipts / f"{commit}.json").read_text(encoding="utf-8"))
        tree = tuple(
            RemoteFile(path, int(one["size_bytes"]), str(one["git_sha1"]), one["sha256"])
            for path, one in data["tree"].items()
        )
        files = {
            path: Received(str(one["sha256"]), int(one["size_bytes"]), dict(one["hosts"]))
            for path, one in data["files"].items()
        }
        receipt = Receipt(
            str(data["repo"]),
            str(data["revision"]),
            str(data["commit"]),
            files,
            tree,
            tuple(data["vouchers"]),
            float(data["seconds"]),
            str(data["version"]),
            data.get("whole", True) is True,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return receipt if receipt.commit == commit and all(is_safe_path(file.path) for file in tree) else None


def receipts_of(folder: RepoFolder) -> tuple[Receipt, ...]:
    """Every receipt of a repository that can be read."""
    found = (read_receipt(folder, path.stem) for path in sorted(folder.receipts.glob("*.json")))
    return tuple(receipt for receipt in found if receipt is not None)


def write_receipt(folder: RepoFolder, receipt: Receipt) -> Path:
    """Writes a receipt, with what an earlier one of the same commit says; returns its path.

    Raises:
        StorageError: when the disk cannot take it.
    """
    earlier = read_receipt(folder, receipt.commit)
    data = receipt.to_json()
    if earlier is not None:
        files = earlier.to_json()["files"]
        # What was only found this time says nothing new about where it came from.
        files.update({path: one for path, one in data["files"].items() if one["hosts"] or path not in files})
        data["files"] = files
        data["seconds"] = round(receipt.seconds + earlier.seconds, 3)
    path = folder.receipts / f"{receipt.commit}.json"
    with folder.storage_errors(f"the receipt of {receipt.repo}"):
        write_text(path, json.dumps(data, indent=1))
    return path


def known_tree(folder: RepoFolder, repo: str, revision: str) -> RepoTree | None:
    """What a repository holds as far as this disk knows, from a receipt or from huggingface_hub's record.

    Args:
        folder: of the repository.
        repo: ``org/name``.
        revision: a branch, tag or commit.

    Returns:
        ``None`` when nothing is known.
    """
    commit = revision if COMMIT.fullmatch(revision) else folder.commit_of(revision)
    if not COMMIT.fullmatch(commit):
        return None
    receipt = read_receipt(folder, commit)
    if receipt is not None and receipt.whole:
        return RepoTree(repo, revision, commit, receipt.tree, receipt.vouchers)
    try:
        data = from_json((folder.root / "trees" / f"{commit}.json").read_text(encoding="utf-8"))
        files = tuple(
            RemoteFile(path, int(one["size"]), str(one["blob_id"]), one.get("lfs_sha256"))
            for path, one in sorted(data["files"].items())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return RepoTree(repo, revision, commit, files) if all(_is_sound(file) for file in files) else None


def snapshot_tree(folder: RepoFolder, repo: str, revision: str) -> RepoTree | None:
    """What a snapshot without any record holds, by the names of the blobs that its links lead to.

    Returns:
        Only what is there, which need not be all; ``None`` where no links say what a content should be.
    """
    commit = revision if COMMIT.fullmatch(revision) else folder.commit_of(revision)
    snapshot = folder.snapshot(commit)
    if not COMMIT.fullmatch(commit) or not snapshot.is_dir():
        return None
    files = []
    for path in sorted(snapshot.rglob("*")):
        if path.is_dir():
            continue
        try:
            etag, size = path.readlink().name, path.stat().st_size
        except OSError:
            return None  # no link, or one that leads nowhere
        if not SHA256.fullmatch(etag) and not COMMIT.fullmatch(etag):
            return None
        large = bool(SHA256.fullmatch(etag))
        name = path.relative_to(snapshot).as_posix()
        files.append(RemoteFile(name, size, "" if large else etag, etag if large else None))
    return RepoTree(repo, revision, commit, tuple(files), whole=False)


def _is_sound(file: RemoteFile) -> bool:
    return is_safe_path(file.path) and (file.sha256 is None or bool(SHA256.fullmatch(file.sha256)))


def sha256_of(path: Path) -> str:
    """The sha256 of a file on this disk."""
    return digest_of(path, hashlib.sha256())


def digest_of(path: Path, found: Hash, read: Callable[[int], None] = lambda _size: None) -> str:
    """The digest of a file on this disk, made with the fresh hash ``found``; ``read`` is told each part's size."""
    with path.open("rb") as stream:
        while data := stream.read(_READ_BYTES):
            found.update(data)
            read(len(data))
    return found.hexdigest()
