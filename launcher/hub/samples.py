"""The beginning of a file as one endpoint sends it, and what its headers and bytes say against its own list.

Invariant: what is wrong is a clause that continues the endpoint's name; nothing here waits longer than it is told to.
"""

from __future__ import annotations

import time

from launcher.hub.client import Opened
from launcher.hub.endpoints import Endpoint
from launcher.hub.judgement import Look
from launcher.hub.remote_files import COMMIT, SHA256, RemoteFile

_READ_BYTES = 1 << 18


def read_sample(opened: Opened, wanted: int, most_s: float) -> tuple[bytes, float, bool]:
    """Up to ``wanted`` bytes, read for at most ``most_s`` seconds.

    Returns:
        The bytes, the seconds from the answer's head to the last of them, and whether no more were to come.
    """
    data, started = bytearray(), time.monotonic()
    complete = False
    while not complete and time.monotonic() - started < most_s:
        part = opened.read(min(_READ_BYTES, wanted - len(data))) if len(data) < wanted else b""
        complete = not part
        data += part
    return bytes(data), max(time.monotonic() - started, 1e-4), complete


def contradiction(endpoint: Endpoint, opened: Opened, look: Look, file: RemoteFile) -> str:
    """What the headers of a file say against the list; empty when they agree."""
    commit = opened.named.get("x-repo-commit", "")
    if endpoint.speaks_hub and commit and commit != look.commit:
        return f"names commit {look.commit[:8]} in its list and {commit[:8]} with its files"
    own_etag = opened.headers.get("ETag", "") if endpoint.owns(opened.url) else ""
    etag = (opened.named.get("x-linked-etag") or own_etag).removeprefix("W/").strip('"')
    if endpoint.speaks_hub and (SHA256.fullmatch(etag) or COMMIT.fullmatch(etag)) and etag != file.etag:
        return f"names another digest for {file.path} in its headers than in its list"
    total = opened.headers.get("Content-Range", "").rpartition("/")[2]
    if opened.status == 200:
        total = opened.headers.get("Content-Length", "")
    if total.isdigit() and int(total) != file.size:
        return f"says that {file.path} has {total} bytes, and its list {file.size}"
    return ""


def wrong_bytes(file: RemoteFile, data: bytes, expected: int) -> str:
    """What is wrong with a sample that should have at least ``expected`` bytes; empty when nothing is."""
    if len(data) < expected:
        return f"sends {len(data)} bytes of {file.path} when asked for {expected}"
    if len(data) == file.size:
        digest = file.start_hash()
        digest.update(data)
        if digest.hexdigest() != file.etag:
            return f"sends wrong bytes for {file.path}"
    return ""


def shortcomings(endpoint: Endpoint, opened: Opened) -> list[str]:
    """What can be lived with but should be known, one clause each."""
    notes = []
    if endpoint.speaks_hub and "x-repo-commit" not in opened.named:
        notes.append("names no commit with its files, so huggingface_hub itself refuses it")
    if opened.status == 200:
        notes.append("sends whole files only, so it cannot share one with others")
    return notes
