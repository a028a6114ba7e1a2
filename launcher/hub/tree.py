"""Asks all mirrors at once what a repository holds, and settles what to believe.

Invariants: as soon as the answer is settled the slow ones get only a moment more; a mirror whose newest commit is
another one is asked for the right one before it is left out.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from launcher.errors import FetchError
from launcher.hub.agreement import agree, lacking
from launcher.hub.asking import Word, ask
from launcher.hub.client import Client, MirrorFault
from launcher.hub.endpoints import Endpoint
from launcher.hub.remote_files import RemoteFile, RepoTree

#: Longer than three tries at a mirror that resets, shorter than a person's patience.
_LONGEST_S = 30.0
#: What the others get once the answer is settled.
_GRACE_S = 2.0

Settle = Callable[[Sequence[Word], Mapping[str, str]], RepoTree]


@dataclass(frozen=True)
class Resolved:
    """A tree and who can serve what of it.

    Attributes:
        tree: what the mirrors agree on.
        holders: endpoints that may serve bytes.
        lacks: address to paths that it does not have; only for those without commits.
    """

    tree: RepoTree
    holders: tuple[Endpoint, ...]
    lacks: Mapping[str, frozenset[str]]


def resolve(
    client: Client,
    endpoints: Sequence[Endpoint],
    repo: str,
    revision: str,
    *,
    pinned: Mapping[str, str] | None = None,
    needed: Callable[[tuple[RemoteFile, ...]], Sequence[RemoteFile]] = lambda files: files,
    longest_s: float = _LONGEST_S,
) -> Resolved:
    """What ``repo`` is at ``revision``.

    Args:
        client: HTTP.
        endpoints: whom to ask.
        repo: ``org/name``.
        revision: a branch, tag or commit.
        pinned: path to sha256 of files that are known beforehand.
        needed: those of the files that are wanted.
        longest_s: how long to wait for answers.

    Raises:
        FetchError: when nobody answers, or nobody is to be believed; says who said what.
    """
    is_only = len(endpoints) == 1

    def settle(words: Sequence[Word], silent: Mapping[str, str]) -> RepoTree:
        return agree(repo, revision, words, silent, pinned=pinned, needed=needed, is_only=is_only)

    words, silent = _gather(client, endpoints, repo, revision, settle=settle, longest_s=longest_s)
    tree = settle(words, silent)
    stale = [word.endpoint for word in words if word.commit not in ("", tree.commit)]
    if stale:
        older, _ = _gather(client, stale, repo, tree.commit, settle=None, longest_s=_GRACE_S)
        words = [*(word for word in words if word.endpoint not in stale), *older]
        kept = {word.endpoint.url for word in older}
        tree = settle(words, {url: why for url, why in tree.rejected.items() if url not in kept})
    by_url = {endpoint.url: endpoint for endpoint in endpoints}
    lacks = {word.endpoint.url: lacking(word, tree.files) for word in words if not word.commit}
    return Resolved(tree, tuple(by_url[url] for url in tree.holders), lacks)


def _gather(
    client: Client,
    endpoints: Sequence[Endpoint],
    repo: str,
    revision: str,
    *,
    settle: Settle | None,
    longest_s: float,
) -> tuple[list[Word], dict[str, str]]:
    """What each says, in the order of ``endpoints``, and why the others say nothing."""
    answers: queue.Queue[tuple[Endpoint, Word | MirrorFault]] = queue.Queue()

    def work(endpoint: Endpoint) -> None:
        try:
            answers.put((endpoint, ask(client, endpoint, repo, revision)))
        except MirrorFault as fault:
            answers.put((endpoint, fault))

    for endpoint in endpoints:
        threading.Thread(target=work, args=(endpoint,), daemon=True).start()
    words: dict[str, Word] = {}
    silent = {endpoint.url: "did not answer in time" for endpoint in endpoints}
    answered, deadline = 0, time.monotonic() + longest_s
    while answered < len(endpoints) and (left := deadline - time.monotonic()) > 0:
        try:
            endpoint, answer = answers.get(timeout=left)
        except queue.Empty:
            break
        answered += 1
        silent.pop(endpoint.url)
        if isinstance(answer, MirrorFault):
            silent[endpoint.url] = answer.message
        else:
            words[endpoint.url] = answer
        if settle is not None and _is_settled(settle, list(words.values())):
            deadline = min(deadline, time.monotonic() + _GRACE_S)
            settle = None
    return [words[endpoint.url] for endpoint in endpoints if endpoint.url in words], silent


def _is_settled(settle: Settle, words: Sequence[Word]) -> bool:
    try:
        settle(words, {})
    except FetchError:
        return False
    return True
