"""Who is to blame when a file that is complete has the wrong digest.

First the disk: a block that no longer has the digest it was written with is fetched again, and nobody is blamed. Then
the mirrors: blocks are fetched a second time from somebody else; where two differ a third decides, or whoever is
trusted, or the next digest.

Invariants: every audit either takes bytes back or raises, so that it ends; only a mirror that differs from another
one is banned; nothing that an audit fetches is written.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest

from launcher.errors import FetchError
from launcher.hub.client import Client, MirrorFault
from launcher.hub.jobs import Job
from launcher.hub.journal import Block
from launcher.hub.mirrors import Mirror
from launcher.hub.receiving import Request, Source, check_answer

#: Fetching everything anew helps against a fault on the way, once; a second time shows that it was none.
_MOST_FRESH_STARTS = 1
AUDIT_THREADS = 8
_READ_BYTES = 1 << 18


@dataclass(frozen=True)
class _Dispute:
    """Two mirrors that give different bytes for the same block."""

    block: Block
    ours: str
    checker: Mirror
    theirs: str


class Auditor:
    """Audits of one transfer.

    Args:
        source: the repository at its commit.
        client: HTTP.
        lock: the transfer's.
    """

    def __init__(self, source: Source, client: Client, lock: threading.Condition) -> None:
        self._source = source
        self._client = client
        self._lock = lock

    def audit(self, job: Job, mirrors: Sequence[Mirror]) -> dict[Mirror, str]:
        """Finds out why the job's digest is wrong and takes the wrong bytes back.

        Args:
            job: complete, with nobody fetching.
            mirrors: all of the transfer.

        Returns:
            The mirrors that lied, each with the proof; the caller takes back all that came from them.

        Raises:
            FetchError: when nobody can be blamed and a fresh start has not helped.
        """
        blocks = job.partial.blocks
        damaged = [block for block in blocks if not job.partial.is_intact(block)]
        if damaged:
            self._take_back(job, damaged)
            return {}
        by_url = {mirror.url: mirror for mirror in mirrors}
        unknown = [block for block in blocks if block.host not in by_url]
        if unknown:  # from an earlier run with other mirrors
            self._take_back(job, unknown)
            return {}
        able = [one for one in mirrors if not one.out and one not in job.excluded and not one.is_rangeless]
        contributors = {by_url[block.host] for block in blocks}
        if len(contributors) == 1:
            return self._blame_the_only_one(job, contributors.pop(), able)
        return self._compare(job, by_url, able)

    def _take_back(self, job: Job, blocks: Sequence[Block]) -> None:
        with self._lock:
            job.drop(list(blocks))

    def _start_afresh(self, job: Job) -> None:
        job.fresh_starts += 1
        if job.fresh_starts > _MOST_FRESH_STARTS:
            hosts = ", ".join(sorted(job.bytes_by_host()))
            raise FetchError(
                f"{job.file.path} of {self._source.repo} has the wrong content, twice, and {hosts} agree on it.",
                fix="Add a mirror that is right, such as https://huggingface.co.",
            )
        self._take_back(job, job.partial.blocks)

    def _blame_the_only_one(self, job: Job, only: Mirror, able: list[Mirror]) -> dict[Mirror, str]:
        others = [one for one in able if one is not only] + job.suspects
        if not others and job.fresh_starts < _MOST_FRESH_STARTS:
            self._start_afresh(job)
            return {}
        with self._lock:
            job.forgive()
            job.drop(list(job.partial.blocks))
        return {only: f"served wrong bytes of {job.file.path}: they are not what {job.file.etag[:12]} names"}

    def _compare(self, job: Job, by_url: dict[str, Mirror], able: list[Mirror]) -> dict[Mirror, str]:
        liars: dict[Mirror, str] = {}
        while True:
            dispute = self._find_dispute(job, [one for one in able if one not in liars])
            if dispute is None:
                if not liars:
                    self._start_afresh(job)
                return liars
            origin = by_url[dispute.block.host]
            liar = self._decide(job, dispute, origin, [one for one in able if one not in liars])
            where = f"bytes {dispute.block.start}-{dispute.block.end - 1} of {job.file.path}"
            if liar is None:
                with self._lock:
                    job.excluded[origin] = f"is suspected: {dispute.checker.url} has other {where}"
                    job.suspects.append(origin)
                self._take_back(job, [block for block in job.partial.blocks if block.host == origin.url])
                return liars
            other = dispute.checker if liar is origin else origin
            liars[liar] = f"served wrong bytes: its {where} are not those of {other.url}"
            if any(block.host == liar.url for block in job.partial.blocks):
                return liars

    def _find_dispute(self, job: Job, able: list[Mirror]) -> _Dispute | None:
        """The first block that somebody else has otherwise."""
        found: list[_Dispute] = []

        def check(block: Block) -> None:
            for checker in sorted(able, key=lambda one: (not one.endpoint.trusted, one.strikes)):
                if found or checker.url == block.host:
                    continue
                with suppress(MirrorFault):
                    ours, theirs = job.partial.digest_of(block, hashlib.sha256()), self._digest(job, block, checker)
                    if ours != theirs:
                        found.append(_Dispute(block, ours, checker, theirs))
                    return

        with ThreadPoolExecutor(AUDIT_THREADS) as pool:
            list(pool.map(check, _taking_turns(job.partial.blocks)))
        return found[0] if found else None

    def _decide(self, job: Job, dispute: _Dispute, origin: Mirror, able: list[Mirror]) -> Mirror | None:
        for third in able:
            if third in (origin, dispute.checker):
                continue
            with suppress(MirrorFault):
                digest = self._digest(job, dispute.block, third)
                if digest == dispute.ours:
                    return dispute.checker
                if digest == dispute.theirs:
                    return origin
        if origin.endpoint.trusted != dispute.checker.endpoint.trusted:
            return dispute.checker if origin.endpoint.trusted else origin
        return None

    def _digest(self, job: Job, block: Block, mirror: Mirror) -> str:
        """The digest of a block as this mirror has it."""
        request = Request.part(mirror, self._source, job, block.start, block.end)
        found, left = hashlib.sha256(), block.end - block.start
        try:
            with self._client.open(request.url, token=request.token, headers=request.headers) as opened:
                if check_answer(opened, request, job.file, self._source.commit):
                    raise MirrorFault("nonsense", "answers with the whole file")
                while left and (data := opened.read(min(left, _READ_BYTES))):
                    found.update(data)
                    left -= len(data)
                    mirror.received_bytes += len(data)
                if not left:
                    opened.read(1)  # the answer's end, so that its connection can be used again
        except MirrorFault as fault:
            if request.is_located and fault.kind in ("refused", "missing"):
                with self._lock:
                    job.locations.pop(mirror, None)
                return self._digest(job, block, mirror)
            raise
        if left:
            raise MirrorFault("broken", f"ended {left} bytes early")
        return found.hexdigest()


def _taking_turns(blocks: Sequence[Block]) -> Iterator[Block]:
    """The blocks so that every mirror's first one comes early."""
    by_host: dict[str, list[Block]] = {}
    for block in blocks:
        by_host.setdefault(block.host, []).append(block)
    for turn in zip_longest(*by_host.values()):
        yield from (block for block in turn if block is not None)
