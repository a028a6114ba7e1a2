"""What one mirror says about a repository: its commit and its files.

Invariants: a listing that cannot be used is a fault of the mirror; pages are followed on its own address only; the
files are in the order of their paths.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urljoin

from launcher.hub.client import Client, MirrorFault
from launcher.hub.endpoints import Endpoint
from launcher.hub.listing import BadListing, hub_files, modelscope_files, next_page
from launcher.hub.remote_files import COMMIT, RemoteFile

#: A thousand files each.
_MOST_PAGES = 500
_TRIES = 3
_FIRST_PAUSE_S = 0.3
_LONGEST_PAUSE_S = 5.0

T = TypeVar("T")


@dataclass(frozen=True)
class Word:
    """What one mirror says.

    Attributes:
        endpoint: who says it.
        commit: 40 hex digits; empty from one that knows no commits.
        files: sorted by path.
    """

    endpoint: Endpoint
    commit: str
    files: tuple[RemoteFile, ...]


def ask(client: Client, endpoint: Endpoint, repo: str, revision: str) -> Word:
    """What ``endpoint`` says about ``repo`` at ``revision``; a transient fault is tried again twice.

    Raises:
        MirrorFault: when it says nothing useful.
    """
    try:
        if not endpoint.speaks_hub:
            answer, _ = _get(client, endpoint, endpoint.listing_url(repo, revision))
            return Word(endpoint, "", _sorted(modelscope_files(answer)))
        commit = revision
        if not COMMIT.fullmatch(revision):
            answer, _ = _get(client, endpoint, endpoint.model_url(repo, revision))
            commit = str(answer.get("sha", "")) if isinstance(answer, Mapping) else ""
            if not COMMIT.fullmatch(commit):
                raise MirrorFault("nonsense", f"names no commit for {revision}")
        return Word(endpoint, commit, _all_pages(client, endpoint, repo, commit))
    except BadListing as bad:
        raise MirrorFault("nonsense", f"sends a list that cannot be used: {bad}") from None


def _all_pages(client: Client, endpoint: Endpoint, repo: str, commit: str) -> tuple[RemoteFile, ...]:
    url = endpoint.listing_url(repo, commit)
    found: list[RemoteFile] = []
    for _ in range(_MOST_PAGES):
        entries, headers = _get(client, endpoint, url)
        told = headers.get("x-repo-commit", commit)
        if told != commit:
            raise MirrorFault("nonsense", f"lists commit {told[:12]} when asked for {commit[:12]}")
        found += hub_files(entries)
        following = next_page(headers.get("link", ""))
        if not following:
            return _sorted(found)
        url = urljoin(url, following)
        if not endpoint.owns(url):
            raise MirrorFault("nonsense", "continues its listing at another address")
    raise MirrorFault("nonsense", "lists files without end")


def _sorted(files: list[RemoteFile]) -> tuple[RemoteFile, ...]:
    return tuple(sorted(files, key=lambda file: file.path))


def _get(client: Client, endpoint: Endpoint, url: str) -> tuple[Any, Mapping[str, str]]:
    return _patiently(lambda: client.get_json(url, token=endpoint.token))


def _patiently(request: Callable[[], T]) -> T:
    for attempt in range(_TRIES):
        try:
            return request()
        except MirrorFault as fault:
            pause = fault.retry_after_s if fault.retry_after_s is not None else _FIRST_PAUSE_S * 3**attempt
            # One that went silent has taken its time already.
            if attempt == _TRIES - 1 or not fault.is_transient or fault.kind == "silent" or pause > _LONGEST_PAUSE_S:
                raise
        time.sleep(pause)
    raise AssertionError("the loop returns or raises")
