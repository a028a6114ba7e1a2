"""What a hub says about a repository, as JSON values: the model, its tree, ModelScope's files.

Invariant: folders are listed as the real ones list them, so that a reader that takes every entry for a file fails.
"""

from __future__ import annotations

import hashlib
from typing import Any

from tests.servers.repos import Repo, RepoFile

#: A pointer file's size where nothing else is known; the Hub names it and nobody reads it.
_POINTER_BYTES = 134


def model_info(repo_id: str, repo: Repo) -> dict[str, Any]:
    """``/api/models/ID[/revision/REV]``."""
    return {
        "_id": repo.commit[:24],
        "id": repo_id,
        "modelId": repo_id,
        "sha": repo.commit,
        "private": False,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "createdAt": "2026-01-01T00:00:00.000Z",
        "lastModified": "2026-01-01T00:00:00.000Z",
        "siblings": [{"rfilename": path} for path in repo.files],
    }


def tree(
    repo: Repo, folder: str = "", *, recursive: bool, wrong_digest: bool = False, offers_xet: bool = False
) -> list[dict[str, Any]]:
    """``/api/models/ID/tree/REV[/FOLDER]``: files and folders, in the order of their paths."""
    entries: list[dict[str, Any]] = [
        {"type": "directory", "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0, "path": path}
        for path in _folders(repo)
    ]
    files = (file.other_digest() if wrong_digest else file for file in repo.files.values())
    entries += [_entry(file, offers_xet) for file in files]
    prefix = f"{folder}/" if folder else ""
    chosen = [entry for entry in entries if entry["path"].startswith(prefix)]
    if not recursive:
        chosen = [entry for entry in chosen if "/" not in entry["path"].removeprefix(prefix)]
    return sorted(chosen, key=lambda entry: entry["path"])


def _entry(file: RepoFile, offers_xet: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": file.oid, "size": file.size, "path": file.path}
    if file.large:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": _POINTER_BYTES}
        if offers_xet:
            entry["xetHash"] = file.sha256
    return entry


def _folders(repo: Repo) -> list[str]:
    found = {path.rsplit("/", depth)[0] for path in repo.files for depth in range(1, path.count("/") + 1)}
    return sorted(found)


def modelscope_files(repo: Repo, *, recursive: bool, wrong_digest: bool = False) -> dict[str, Any]:
    """``/api/v1/models/ID/repo/files``."""
    files: list[dict[str, Any]] = [
        {"Name": path.rpartition("/")[2], "Path": path, "Type": "tree", "Size": 0, "Sha256": ""}
        for path in _folders(repo)
    ]
    for file in repo.files.values():
        named = file.other_digest() if wrong_digest else file
        files.append(
            {
                "Name": file.path.rpartition("/")[2],
                "Path": file.path,
                "Type": "blob",
                "Size": file.size,
                "Sha256": named.sha256,
                "IsLFS": file.large,
                "Revision": repo.commit,
            }
        )
    if not recursive:
        files = [entry for entry in files if "/" not in entry["Path"]]
    return {"Code": 200, "Message": "success", "Success": True, "Data": {"Files": files}}
