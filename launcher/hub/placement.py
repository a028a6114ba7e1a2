"""The standard Hugging Face cache: where a verified file goes so that every library sees a complete hit.

::

    models--org--name/
    ├── blobs/<etag>                     the content
    ├── snapshots/<commit>/<path>        -> ../../blobs/<etag>, or the content itself where links are not possible
    ├── refs/<revision>                  the commit
    ├── trees/<commit>.json              huggingface_hub's own record of a complete repository
    ├── .partial/                        files on their way; libraries do not look here
    └── .receipts/<commit>.json          what was fetched from where

Invariants: a name appears only when its content is whole and verified, by one rename; what others have put there is
kept; a snapshot is complete before its ref names it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from launcher.hub.partial import storage_failure
from launcher.hub.remote_files import RemoteFile, RepoTree, folder_name

_TREE_FORMAT = 1


class RepoFolder:
    """A repository's folder in the cache.

    Args:
        cache: the Hub cache, ``HF_HUB_CACHE``.
        repo: ``org/name``.
        links: whether symbolic links may be used; ``None`` finds out.
    """

    def __init__(self, cache: Path, repo: str, *, links: bool | None = None) -> None:
        self.cache = cache
        self.root = cache / folder_name(repo)
        self.partial = self.root / ".partial"
        self.receipts = self.root / ".receipts"
        self._links = links

    def snapshot(self, commit: str) -> Path:
        """The folder of a commit's files."""
        return self.root / "snapshots" / commit

    def blob(self, file: RemoteFile) -> Path:
        """Where the content is kept."""
        return self.root / "blobs" / file.etag

    def commit_of(self, revision: str) -> str:
        """The commit that a revision was last; empty when it is not known."""
        try:
            return (self.root / "refs" / revision).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def holds(self, commit: str, path: str, size: int) -> bool:
        """Whether the file is there with its size."""
        try:
            return (self.snapshot(commit) / path).stat().st_size == size
        except OSError:
            return False

    def adopt(self, commit: str, file: RemoteFile) -> bool:
        """Links a content that is there already, fetched by whomever; returns whether it was."""
        blob = self.blob(file)
        try:
            if blob.stat().st_size != file.size:
                return False
        except OSError:
            return False
        with self.storage_errors(file.path):
            self._point(self.snapshot(commit) / file.path, blob)
        return True

    def place(self, commit: str, files: Iterable[RemoteFile], content: Path) -> None:
        """Gives a verified content its final names.

        Args:
            commit: 40 hex digits.
            files: the paths that have this content.
            content: a file of this folder's disk; it is moved.

        Raises:
            StorageError: when the disk cannot take it.
        """
        files = list(files)
        with self.storage_errors(files[0].path):
            if self._can_link():
                blob = self.blob(files[0])
                blob.parent.mkdir(parents=True, exist_ok=True)
                content.replace(blob)
                _sync_folder(blob.parent)
                for file in files:
                    self._point(self.snapshot(commit) / file.path, blob)
                return
            first, *others = [self.snapshot(commit) / file.path for file in files]
            first.parent.mkdir(parents=True, exist_ok=True)
            content.replace(first)
            _sync_folder(first.parent)
            for other in others:
                _copy(first, other, staging=self._staging())

    def write_ref(self, revision: str, commit: str) -> None:
        """Notes which commit a revision is; a commit needs no note."""
        if revision != commit:
            with self.storage_errors(f"refs/{revision}"):
                write_text(self.root / "refs" / revision, commit, staging=self._staging())

    def write_tree(self, tree: RepoTree) -> None:
        """Writes huggingface_hub's record of all files of a commit.

        Only for a snapshot that holds all of them: where there is no record, the library takes a part for the whole.
        """
        files = {
            file.path: {
                "size": file.size,
                "blob_id": file.git_sha1,
                **({"lfs_sha256": file.sha256, "lfs_size": file.size} if file.sha256 else {}),
            }
            for file in tree.files
        }
        with self.storage_errors(f"trees/{tree.commit}.json"):
            text = json.dumps({"format_version": _TREE_FORMAT, "files": files}, indent=1)
            write_text(self.root / "trees" / f"{tree.commit}.json", text, staging=self._staging())

    def _point(self, pointer: Path, blob: Path) -> None:
        if not self._can_link():
            _copy(blob, pointer, staging=self._staging())
            return
        pointer.parent.mkdir(parents=True, exist_ok=True)
        target = os.path.relpath(blob, pointer.parent)
        with contextlib.suppress(OSError):
            if str(pointer.readlink()) == target:
                return
        fresh = _unused(self._staging(), pointer)
        fresh.symlink_to(target)
        fresh.replace(pointer)

    def _staging(self) -> Path:
        """Where a file is until it has its name: the library stumbles on what a kill leaves elsewhere."""
        self.partial.mkdir(parents=True, exist_ok=True)
        return self.partial

    def _can_link(self) -> bool:
        if self._links is None:
            probe = _unused(self._staging(), self.root / "link")
            try:
                probe.symlink_to("target")
                probe.unlink()
                self._links = True
            except OSError:  # FAT, some network and container mounts, Windows without the right
                self._links = False
        return self._links

    @contextlib.contextmanager
    def storage_errors(self, what: str) -> Iterator[None]:
        """Turns the system's failures while ``what`` is written into one sentence."""
        try:
            yield
        except OSError as error:
            raise storage_failure(error, self.root, what) from None


def write_text(path: Path, text: str, *, staging: Path | None = None) -> None:
    """Writes a small file in one step: readers see the old text or the new.

    ``staging`` is a folder of the same disk for what is not finished; without one it is the file's own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = _unused(staging or path.parent, path)
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def _unused(folder: Path, path: Path) -> Path:
    """A name in ``folder`` that nobody uses, for what will be ``path``."""
    return folder / f".{path.name}.{uuid.uuid4().hex[:8]}.tmp"


def _copy(source: Path, target: Path, *, staging: Path) -> None:
    """A second file with the same content: a hard link where possible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = _unused(staging, target)
    try:
        os.link(source, fresh)
    except OSError:
        shutil.copyfile(source, fresh)
    fresh.replace(target)


def copy_into(folder: Path, snapshot: Path, paths: Iterable[str]) -> None:
    """Copies files of a snapshot into a plain folder; no links, because people change what is in their own folders.

    Raises:
        StorageError: when the folder cannot take them.
    """
    for path in paths:
        target = folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = _unused(target.parent, target)
            shutil.copyfile(snapshot / path, fresh)
            fresh.replace(target)
        except OSError as error:
            raise storage_failure(error, folder, path) from None


def _sync_folder(folder: Path) -> None:
    """Makes a rename survive a power cut; Windows does that by itself."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
