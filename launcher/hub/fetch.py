"""From a repository's name to files in the cache: what is there, what is missing, who serves it, and the receipt.

Invariants: what is complete costs no request; a file appears under its final name only when its digest is right; of
several processes that want the same, one fetches and the others find it there.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launcher.errors import ConfigError, FetchError, StorageError
from launcher.hub.audit import AUDIT_THREADS
from launcher.hub.client import Client, Timeouts
from launcher.hub.endpoints import Endpoint
from launcher.hub.jobs import Job
from launcher.hub.locks import lock_path, try_lock, wait_for_lock
from launcher.hub.meter import JobsMeter, Meter
from launcher.hub.mirrors import Mirror, Patience
from launcher.hub.partial import PartialFile
from launcher.hub.placement import RepoFolder
from launcher.hub.receipts import Receipt, Received, known_tree, sha256_of, write_receipt
from launcher.hub.receiving import Source
from launcher.hub.remote_files import RemoteFile, RepoTree, is_safe_path
from launcher.hub.selection import Selected, Selection, select
from launcher.hub.transfer import Transfer
from launcher.hub.tree import Resolved, resolve
from launcher.progress import Progress

#: Left free on the disk for everybody else's logs and temporary files.
SPARE_BYTES = 64 << 20
#: Between two words about progress: more often nobody can read.
_TELL_S = 0.2


@dataclass(frozen=True)
class Wanted:
    """What to fetch.

    Attributes:
        repo: ``org/name``.
        revision: a branch, tag or commit.
        selection: which of its files.
        pinned: path to sha256, as far as known beforehand.
    """

    repo: str
    revision: str = "main"
    selection: Selection = field(default_factory=Selection)
    pinned: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class State:
    """What of a `Wanted` is on this disk.

    Attributes:
        tree: everything that the repository holds.
        selected: the files that are wanted, and those that are not.
        missing: the wanted ones that are not there.
        snapshot: the folder that holds them.
    """

    tree: RepoTree
    selected: Selected
    missing: tuple[RemoteFile, ...]
    snapshot: Path

    @property
    def missing_bytes(self) -> int:
        """What is still to come."""
        return sum(file.size for file in self.missing)


@dataclass(frozen=True)
class Fetched:
    """What a fetch did.

    Attributes:
        state: afterwards.
        received: paths that were fetched now.
        hosts: address to bytes that ended in files.
        rates: address to bytes per second of one connection, as far as they were measured.
        rejected: mirrors that were left out, with the reason.
        seconds: that it took.
        requests_made: whether any mirror was asked.
    """

    state: State
    received: tuple[str, ...] = ()
    hosts: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    requests_made: bool = False
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Reporting:
    """Where a fetch says how it is doing.

    Attributes:
        progress: gets bytes, speed and time left about five times a second.
        note: gets one sentence when something is worth a person's attention.
    """

    progress: Callable[[Progress], None] = lambda _progress: None
    note: Callable[[str], None] = lambda _text: None


def look(cache: Path, wanted: Wanted) -> State | None:
    """What is on this disk, without any request; ``None`` when it does not even know the list of files."""
    _check_names(wanted)
    folder = RepoFolder(cache, wanted.repo)
    tree = known_tree(folder, wanted.repo, wanted.revision)
    return None if tree is None else _state(folder, tree, wanted.selection)


def _check_names(wanted: Wanted) -> None:
    parts = wanted.repo.split("/")
    if len(parts) != 2 or not is_safe_path(wanted.repo) or any(part.startswith(("-", ".")) for part in parts):
        raise ConfigError(f"{wanted.repo!r} is not the name of a repository.", fix="Write it as org/name.")
    if not is_safe_path(wanted.revision):
        raise ConfigError(f"{wanted.revision!r} is not a revision.", fix="Use a branch, a tag or a commit.")


def _state(folder: RepoFolder, tree: RepoTree, selection: Selection) -> State:
    selected = select(tree.files, selection)
    missing = tuple(file for file in selected.files if not folder.holds(tree.commit, file.path, file.size))
    return State(tree, selected, missing, folder.snapshot(tree.commit))


class Fetcher:
    """Fetches repositories into one cache.

    Args:
        cache: the Hub cache, ``HF_HUB_CACHE``.
        endpoints: who may serve, best first.
        settings: names such as ``https_proxy``, as `launcher.config.Config.standard` has them.
        reporting: who wants to know.
        patience: with the mirrors.
        timeouts: of single requests.
        links: whether the cache may use symbolic links; ``None`` finds out.
        free_bytes: how much room there is at a path.
    """

    def __init__(
        self,
        cache: Path,
        endpoints: Sequence[Endpoint],
        settings: Mapping[str, str],
        *,
        reporting: Reporting | None = None,
        patience: Patience | None = None,
        timeouts: Timeouts | None = None,
        links: bool | None = None,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        self._cache = cache
        self._endpoints = tuple(endpoints)
        self._settings = settings
        self._reporting = reporting or Reporting()
        self._patience = patience or Patience()
        self._timeouts = timeouts or Timeouts()
        self._links = links
        self._free_bytes = free_bytes

    def plan(self, wanted: Wanted, *, update: bool = False) -> tuple[State, Mapping[str, str]]:
        """What a fetch would do, and the mirrors that it would leave out; writes nothing.

        Raises:
            ConfigError: for a name that is none.
            FetchError: when the mirrors cannot tell.
        """
        state = look(self._cache, wanted)
        if state is not None and not state.missing and not update:
            return state, {}
        with contextlib.closing(self._client()) as client:
            resolved = self._resolve(client, wanted)
        folder = RepoFolder(self._cache, wanted.repo, links=self._links)
        return _state(folder, resolved.tree, wanted.selection), resolved.tree.rejected

    def fetch(self, wanted: Wanted, *, update: bool = False) -> Fetched:
        """Makes sure that all wanted files are in the cache.

        Args:
            wanted: what.
            update: ask for the newest commit even when everything of the last one is there.

        Raises:
            ConfigError: for a name that is none.
            FetchError: when the mirrors cannot serve it rightly; names each and why.
            StorageError: when the disk cannot take it.
        """
        state = look(self._cache, wanted)
        if state is not None and not state.missing and not update:
            return Fetched(state)
        started = time.monotonic()
        with contextlib.closing(self._client()) as client:
            resolved = self._resolve(client, wanted)
            folder = RepoFolder(self._cache, wanted.repo, links=self._links)
            for url, reason in resolved.tree.rejected.items():
                self._reporting.note(f"{url} is left out: it {reason}.")

            def waiting() -> None:
                self._reporting.note(f"Another process is fetching {wanted.repo}; waiting for it.")

            with wait_for_lock(lock_path(self._cache, wanted.repo, "tts-launcher-fetch"), waiting):
                mirrors = [Mirror(endpoint) for endpoint in resolved.holders]
                received = self._fetch_missing(client, folder, resolved, wanted, mirrors)
                state = self._conclude(folder, resolved.tree, wanted, received, time.monotonic() - started)
        rejected = {**resolved.tree.rejected, **{mirror.url: mirror.out for mirror in mirrors if mirror.out}}
        for mirror in mirrors:
            if mirror.out:
                self._reporting.note(f"{mirror.url} was dropped: it {mirror.out}.")
        hosts: dict[str, int] = {}
        for one in received.values():
            for url, size in one.hosts.items():
                hosts[url] = hosts.get(url, 0) + size
        rates = {mirror.url: mirror.rate for mirror in mirrors if mirror.rate}
        return Fetched(state, tuple(sorted(received)), hosts, rejected, time.monotonic() - started, True, rates)

    def _client(self) -> Client:
        # All of them may lead to the same origin.
        connections = sum(endpoint.connections for endpoint in self._endpoints) + AUDIT_THREADS
        urls = tuple(endpoint.url for endpoint in self._endpoints)
        return Client(self._settings, connections=connections, timeouts=self._timeouts, siblings=urls)

    def _resolve(self, client: Client, wanted: Wanted) -> Resolved:
        if not self._endpoints:
            raise FetchError("There is no mirror to fetch from.", fix="Set LAUNCHER_MIRRORS or HF_ENDPOINT.")
        self._reporting.progress(Progress("list"))
        resolved = resolve(client, self._endpoints, wanted.repo, wanted.revision, pinned=wanted.pinned)
        if wanted.selection.include and not select(resolved.tree.files, wanted.selection).files:
            patterns = ", ".join(wanted.selection.include)
            raise FetchError(
                f"{wanted.repo} has no file that fits {patterns}.", fix="See its files with --dry-run and no --include."
            )
        return resolved

    def _fetch_missing(
        self, client: Client, folder: RepoFolder, resolved: Resolved, wanted: Wanted, mirrors: Sequence[Mirror]
    ) -> dict[str, Received]:
        received: dict[str, Received] = {}
        while True:
            missing = self._still_missing(folder, resolved.tree, wanted)
            if not missing:
                return received
            with contextlib.ExitStack() as locks:
                groups = _by_content(missing)
                free = {
                    etag: files
                    for etag, files in groups.items()
                    if locks.enter_context(try_lock(lock_path(self._cache, wanted.repo, etag)))
                }
                # Somebody may have finished one between our look and our lock.
                taken = {file.etag for file in self._still_missing(folder, resolved.tree, wanted)}
                free = {etag: files for etag, files in free.items() if etag in taken}
                if free:
                    received.update(self._transfer(client, folder, resolved, list(free.values()), mirrors))
            busy = [etag for etag in groups if etag not in free]
            if busy and not free:
                with wait_for_lock(lock_path(self._cache, wanted.repo, busy[0]), self._say_busy(wanted.repo)):
                    pass

    def _say_busy(self, repo: str) -> Callable[[], None]:
        return lambda: self._reporting.note(f"Another program is fetching a file of {repo}; waiting for it.")

    def _still_missing(self, folder: RepoFolder, tree: RepoTree, wanted: Wanted) -> list[RemoteFile]:
        state = _state(folder, tree, wanted.selection)
        return [file for file in state.missing if not folder.adopt(tree.commit, file)]

    def _transfer(
        self,
        client: Client,
        folder: RepoFolder,
        resolved: Resolved,
        groups: Sequence[Sequence[RemoteFile]],
        mirrors: Sequence[Mirror],
    ) -> dict[str, Received]:
        tree = resolved.tree
        jobs = {Job(files[0], PartialFile(folder.partial, files[0])): files for files in groups}
        self._check_space(folder, list(jobs))
        for job in jobs:
            for mirror in mirrors:
                if job.file.path in resolved.lacks.get(mirror.url, ()):
                    job.excluded[mirror] = "does not have it"
        self._resume(list(jobs))
        received: dict[str, Received] = {}

        def finish(job: Job) -> None:
            hosts = job.bytes_by_host()
            job.partial.close()
            folder.place(tree.commit, jobs[job], job.partial.path)
            job.partial.forget()
            for file in jobs[job]:
                sha256 = file.sha256 or sha256_of(folder.snapshot(tree.commit) / file.path)
                received[file.path] = Received(sha256, file.size, hosts)

        meter = JobsMeter(list(jobs), mirrors)

        def watch() -> None:
            self._reporting.progress(meter.at(time.monotonic()))

        source = Source(tree.repo, tree.commit)
        transfer = Transfer(source, list(jobs), mirrors, client, finish=finish, watch=watch, patience=self._patience)
        transfer.run()
        return received

    def _resume(self, jobs: Sequence[Job]) -> None:
        """Compares what earlier attempts left with its digests."""
        begun = [job for job in jobs if job.partial.has_journal]
        meter = Meter("resume", sum(job.file.size for job in begun))
        checked, told = 0, 0.0

        def count(size: int) -> None:
            nonlocal checked, told
            checked += size
            if (now := time.monotonic()) - told >= _TELL_S:
                told = now
                self._reporting.progress(meter.at(checked, now))

        for job in begun:
            job.open(count)

    def _check_space(self, folder: RepoFolder, jobs: Sequence[Job]) -> None:
        needed = sum(max(0, job.file.size - _allocated(job.partial.path)) for job in jobs)
        with folder.storage_errors("its folder"):
            folder.partial.mkdir(parents=True, exist_ok=True)
            free = self._free_bytes(folder.partial)
        if needed + SPARE_BYTES > free:
            raise StorageError(
                f"{folder.cache} needs {_megabytes(needed + SPARE_BYTES)} of free space and has {_megabytes(free)}.",
                fix="Free some space, or set HF_HUB_CACHE, HF_HOME or LAUNCHER_DATA_DIR to a larger disk.",
            )

    def _conclude(
        self, folder: RepoFolder, tree: RepoTree, wanted: Wanted, received: Mapping[str, Received], seconds: float
    ) -> State:
        """Notes what is there now: the revision, the library's record, the receipt."""
        state = _state(folder, tree, wanted.selection)
        files = dict(received)
        for file in state.selected.files:
            if file.path not in files:
                sha256 = file.sha256 or sha256_of(state.snapshot / file.path)
                files[file.path] = Received(sha256, file.size, {})
        if all(folder.holds(tree.commit, file.path, file.size) for file in tree.files):
            folder.write_tree(tree)
        folder.write_ref(wanted.revision, tree.commit)
        receipt = Receipt(wanted.repo, wanted.revision, tree.commit, files, tree.files, tree.vouchers, seconds)
        write_receipt(folder, receipt)
        with contextlib.suppress(OSError):
            folder.partial.rmdir()  # stays while another commit's files are on their way
        return state


def _by_content(files: Sequence[RemoteFile]) -> dict[str, list[RemoteFile]]:
    found: dict[str, list[RemoteFile]] = {}
    for file in files:
        found.setdefault(file.etag, []).append(file)
    return found


def _allocated(path: Path) -> int:
    """How much of the disk a file already has."""
    try:
        found = path.stat()
    except OSError:
        return 0
    blocks = getattr(found, "st_blocks", None)
    return found.st_size if blocks is None else min(found.st_size, blocks * 512)  # POSIX counts in 512 bytes


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
