"""Whether every file in a cache is what it should be: against what is known of it, its blob's name, and its shape.

A content that several names share is read once. Files are read by as many threads as there are cores, the largest
first.

Invariants: nothing is changed, not even the time of the last use; what cannot be judged is counted and never called
right or wrong; the order of the findings does not depend on the threads.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from launcher.cache.shape import misshapen
from launcher.cache.usage import Content, Entry, Repo, Revision
from launcher.progress import Progress

#: So little that what was read is still in the core's own cache when it is hashed, so much that the calls do not count:
#: measured, 1 MiB is at least as fast as 256 KiB from memory, and faster than 4 MiB from the disk.
_READ_BYTES = 1 << 20
_TELL_S = 0.2
#: Flaws of a repository's layout that its library stumbles over; one that holds nothing yet is no damage.
_FLAWS = {"ref": "ref", "stranger": "layout", "unreadable": "layout"}
_SHA256_CHARS, _SHA1_CHARS = 64, 40
_EMPTY_NAMES = frozenset((hashlib.sha256().hexdigest(), hashlib.sha1(b"blob 0\0", usedforsecurity=False).hexdigest()))


@dataclass(frozen=True)
class Expected:
    """What a file should be.

    Attributes:
        size: in bytes; ``None`` when nobody knows.
        etag: sha256 of a large file, git's name of a small one; empty when nobody knows.
        sha256: of the content; empty when nobody knows.
        source: who says so, such as ``its receipt``.
        is_required: whether it must be there.
    """

    size: int | None
    etag: str
    sha256: str
    source: str
    is_required: bool = False


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: ``content``, ``size``, ``empty``, ``shape``, ``link`` (wrong or nowhere), ``missing``, ``unreadable``,
            ``ref`` or ``layout``.
        repo_kind: of the repository.
        repo: ``org/name``, with the kind before it when it is no model.
        commit, path: of the file; empty for a ref and a layout.
        place: on the disk.
        reason: a clause that continues the path.
        size: bytes that fetching it again would take, as far as known.
    """

    kind: str
    repo_kind: str
    repo: str
    commit: str
    path: str
    place: str
    reason: str
    size: int = 0


@dataclass(frozen=True)
class Report:
    """The outcome of a check.

    Attributes:
        findings: what is wrong, by repository, commit and path.
        checked_files: contents that were read and judged.
        checked_bytes: their size.
        unjudged: names whose content nothing is known about.
        seconds: that it took.
    """

    findings: tuple[Finding, ...]
    checked_files: int
    checked_bytes: int
    unjudged: tuple[str, ...]
    seconds: float


class Hash(Protocol):
    """The part of `hashlib`'s objects that is used here."""

    def update(self, data: memoryview, /) -> None:
        """Adds bytes."""

    def hexdigest(self) -> str:
        """The digest of the bytes so far."""


@dataclass
class _Task:
    """One content to read, with all the names that it has."""

    content: Content
    names: list[tuple[Repo, Revision, Entry, Expected | None]] = field(default_factory=list)

    @property
    def algorithms(self) -> set[str]:
        """The digests that somebody has named."""
        found: set[str] = set()
        for _, _, entry, expected in self.names:
            found.add(_algorithm(_blob_name(entry)))
            if expected is not None:
                found |= {_algorithm(expected.etag), _algorithm(expected.sha256)}
        return found - {""}


Knowledge = Callable[[Repo, Revision], Mapping[str, Expected]]


class Verifier:
    """One check of some revisions.

    Args:
        knowledge: what is known of a revision's files, by path.
        contents: read and compare contents; otherwise names, sizes and shapes alone, which is quick.
        threads: that read; 0 for one per core.
        progress: told a few times a second.
    """

    def __init__(
        self,
        knowledge: Knowledge,
        *,
        contents: bool = True,
        threads: int = 0,
        progress: Callable[[Progress], None] = lambda _progress: None,
    ) -> None:
        self._knowledge = knowledge
        self._contents = contents
        self._threads = threads or _cores()
        self._progress = progress
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._read_bytes = 0

    def check(self, revisions: Sequence[tuple[Repo, Revision]], repos: Sequence[Repo] = ()) -> Report:
        """Checks the revisions, and the layout of ``repos``."""
        started = time.monotonic()
        findings = [
            Finding(_FLAWS[flaw.kind], repo.kind, repo.full_name, "", "", flaw.path, flaw.reason)
            for repo in repos
            for flaw in repo.flaws
            if flaw.kind in _FLAWS
        ]
        tasks: dict[tuple[int, int], _Task] = {}
        for repo, revision in revisions:
            known = self._knowledge(repo, revision)
            there = set()
            for entry in revision.entries:
                there.add(entry.path)
                expected = known.get(entry.path)
                found = _structure(repo, revision, entry, expected)
                if found is not None:
                    findings.append(found)
                elif entry.content is not None:
                    task = tasks.setdefault(entry.content.identity, _Task(entry.content))
                    task.names.append((repo, revision, entry, expected))
            findings += _missing(repo, revision, known, there)
        judged, unjudged = self._read_all(list(tasks.values()))
        findings += judged
        findings.sort(key=lambda one: (one.repo, one.commit, one.path, one.place))
        files = [task.content.size for task in tasks.values()] if self._contents else []
        return Report(tuple(findings), len(files), sum(files), tuple(sorted(unjudged)), time.monotonic() - started)

    def _read_all(self, tasks: list[_Task]) -> tuple[list[Finding], list[str]]:
        from concurrent.futures import ThreadPoolExecutor, wait

        tasks.sort(key=lambda task: -task.content.size)
        total = sum(task.content.size for task in tasks)
        findings: list[Finding] = []
        unjudged: list[str] = []
        begun = told = time.monotonic()
        with ThreadPoolExecutor(self._threads) as pool:
            try:
                pending = [pool.submit(self._judge, task) for task in tasks]
                for task, future in zip(tasks, pending, strict=True):
                    while not future.done():
                        wait([future], timeout=_TELL_S)
                        if self._contents and time.monotonic() - told >= _TELL_S:
                            told = time.monotonic()
                            self._progress(_progress(self._read_bytes, total, told - begun))
                    found, is_judged = future.result()
                    findings += found
                    if not is_judged:
                        unjudged += [entry.place for _, _, entry, _ in task.names]
            except BaseException:
                self._stop.set()  # threads that read gigabytes would keep Ctrl-C waiting
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return findings, unjudged

    def _judge(self, task: _Task) -> tuple[list[Finding], bool]:
        """What is wrong with one content under each of its names, and whether anything could be known."""
        algorithms = task.algorithms
        try:
            digests = self._digests(task.content, algorithms) if self._contents else {}
            bad_shape = "" if digests and self._fits(task, digests) else _shape(task)
        except OSError as error:
            reason = f"cannot be read ({error.strerror or error})"
            return [_finding("unreadable", name, reason) for name in task.names], True
        findings = []
        for name in task.names:
            wrong = _wrong_digest(_blob_name(name[2]), name[3], digests)
            if wrong and bad_shape:
                findings.append(_finding("shape", name, f"{bad_shape}; it {wrong}"))
            elif wrong or bad_shape:
                findings.append(_finding("content" if wrong else "shape", name, wrong or bad_shape))
        return findings, bool(algorithms)

    def _fits(self, task: _Task, digests: Mapping[str, str]) -> bool:
        return not any(_wrong_digest(_blob_name(entry), expected, digests) for _, _, entry, expected in task.names)

    def _digests(self, content: Content, algorithms: set[str]) -> dict[str, str]:
        hashes: dict[str, Hash] = {}
        if "sha256" in algorithms:
            hashes["sha256"] = hashlib.sha256()
        if "sha1" in algorithms:
            hashes["sha1"] = hashlib.sha1(b"blob %d\0" % content.size, usedforsecurity=False)
        if not hashes:
            return {}
        for part in read_parts(Path(content.path)):
            for one in hashes.values():
                one.update(part)
            with self._lock:
                self._read_bytes += len(part)
            if self._stop.is_set():
                return {}
        return {name: one.hexdigest() for name, one in hashes.items()}


def read_parts(path: Path) -> Iterator[memoryview]:
    """A file's bytes in parts that are only good until the next one; leaves no trace in its time of last use.

    Raises:
        OSError: when it cannot be read.
    """
    descriptor = _open_quietly(path)
    try:
        size = os.fstat(descriptor).st_size
        buffer = memoryview(bytearray(min(_READ_BYTES, size) or 1))
        # No advice: the system reads ahead by itself, and was measured slower with POSIX_FADV_SEQUENTIAL or WILLNEED.
        while length := os.readv(descriptor, [buffer]) if hasattr(os, "readv") else _read(descriptor, buffer):
            yield buffer[:length]
    finally:
        os.close(descriptor)


def _read(descriptor: int, buffer: memoryview) -> int:
    data = os.read(descriptor, len(buffer))
    buffer[: len(data)] = data
    return len(data)


def _open_quietly(path: Path) -> int:
    """Opens without noting the use, which only owners may; otherwise every check would look like use to `prune`."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    if hasattr(os, "O_NOATIME"):
        try:
            return os.open(path, flags | os.O_NOATIME)
        except PermissionError:
            pass
    return os.open(path, flags)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _progress(done: int, total: int, seconds: float) -> Progress:
    rate = done / seconds if seconds > 0 and done else None
    return Progress("verify", float(done), float(total), "bytes", rate, (total - done) / rate if rate else None)


def _algorithm(digest: str) -> str:
    if digest and all(one in "0123456789abcdef" for one in digest):
        return {_SHA256_CHARS: "sha256", _SHA1_CHARS: "sha1"}.get(len(digest), "")
    return ""


def _finding(kind: str, name: tuple[Repo, Revision, Entry, Expected | None], reason: str) -> Finding:
    repo, revision, entry, expected = name
    size = expected.size if expected and expected.size is not None else entry.content.size if entry.content else 0
    return Finding(kind, repo.kind, repo.full_name, revision.commit, entry.path, entry.place, reason, size)


def _structure(repo: Repo, revision: Revision, entry: Entry, expected: Expected | None) -> Finding | None:
    """What can be seen without reading."""
    name = (repo, revision, entry, expected)
    content = entry.content
    if content is None:
        return _finding("link", name, "leads nowhere" if entry.target else "is no file")
    if expected is not None and expected.size is not None and content.size != expected.size:
        return _finding("size", name, f"has {content.size} of {expected.size} bytes, as {expected.source} says")
    if not content.size and _algorithm(content.name) and content.name not in _EMPTY_NAMES:
        return _finding("empty", name, "is empty")
    known = expected.etag if expected is not None else ""
    if known and _algorithm(content.name) and content.name != known and not _is_sha256_of(expected, content.name):
        return _finding("link", name, f"leads to {content.name[:12]} and should to {known[:12]}")
    return None


def _is_sha256_of(expected: Expected | None, name: str) -> bool:
    return expected is not None and bool(expected.sha256) and expected.sha256 == name


def _missing(repo: Repo, revision: Revision, known: Mapping[str, Expected], there: set[str]) -> list[Finding]:
    return [
        Finding(
            "missing",
            repo.kind,
            repo.full_name,
            revision.commit,
            path,
            str(revision.folder / path),
            f"is not there, and {expected.source} names it",
            expected.size or 0,
        )
        for path, expected in sorted(known.items())
        if expected.is_required and path not in there
    ]


def _shape(task: _Task) -> str:
    names = {entry.path.rpartition("/")[2] for _, _, entry, _ in task.names}
    return next(filter(None, (misshapen(Path(task.content.path), name) for name in sorted(names))), "")


def _blob_name(entry: Entry) -> str:
    return entry.content.name if entry.content is not None else ""


def _wrong_digest(blob_name: str, expected: Expected | None, digests: Mapping[str, str]) -> str:
    """A clause when the content is not what is known of it; empty when it is, or nothing is known."""
    known = [(blob_name, "its name")]
    if expected is not None:
        known += [(expected.etag, expected.source), (expected.sha256, expected.source)]
    for digest, source in known:
        algorithm = _algorithm(digest)
        if algorithm in digests and digests[algorithm] != digest:
            return f"has other content than {source} says ({digest[:12]})"
    return ""
