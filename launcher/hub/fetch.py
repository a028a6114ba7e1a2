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

from launcher.cache.storage import storage_of
from launcher.errors import FetchError, StorageError
from launcher.hub.acceptance import Acceptance
from launcher.hub.audit import AUDIT_THREADS
from launcher.hub.client import Client, Timeouts
from launcher.hub.endpoints import Endpoint
from launcher.hub.fetching import Fetching, Reporting
from launcher.hub.locks import LEASE_S, Locks
from launcher.hub.mirrors import Mirror, Patience
from launcher.hub.placement import RepoFolder
from launcher.hub.receipts import Receipt, Received, sha256_of, write_receipt
from launcher.hub.remote_files import COMMIT, RepoTree
from launcher.hub.selection import select
from launcher.hub.tree import Resolved, resolve
from launcher.hub.wanted import State, Wanted, look, state_of
from launcher.progress import Progress

__all__ = ["Fetched", "Fetcher", "Reporting", "State", "Wanted", "look"]

#: What programs ask for that name no revision: it is noted for a commit that was asked for by its digits, too.
_DEFAULT_REVISION = "main"


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
        shared: whether other machines may use the cache at the same time; ``None`` asks its file system.
        lease_s: after so long without a sign of life another machine's attempt is taken over.
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
        shared: bool | None = None,
        lease_s: float = LEASE_S,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        self._cache = cache
        self._endpoints = tuple(endpoints)
        self._settings = settings
        self._reporting = reporting or Reporting()
        self._patience = patience or Patience()
        self._timeouts = timeouts or Timeouts()
        self._links = links
        self._shared = shared
        self._lease_s = lease_s
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
        return state_of(folder, resolved.tree, wanted.selection), resolved.tree.rejected

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
        folder = RepoFolder(self._cache, wanted.repo, links=self._links)
        acceptance = Acceptance(folder, self._reporting.progress, self._reporting.note)
        state = look(self._cache, wanted)
        if state is not None and not update:
            state = acceptance.confirm(state)
            if not state.missing:
                self._note_compared(folder, wanted, state, acceptance)
                return Fetched(state)
        started = time.monotonic()
        with contextlib.closing(self._client()) as client:
            resolved = self._resolve(client, wanted)
            for url, reason in resolved.tree.rejected.items():
                self._reporting.note(f"{url} is left out: it {reason}.")

            def waiting() -> None:
                self._reporting.note(f"Another process is fetching {wanted.repo}; waiting for it.")

            locks = Locks(self._cache, wanted.repo, self._is_shared(), self._lease_s)
            with locks.wait("tts-launcher-fetch", waiting):
                mirrors = [Mirror(endpoint) for endpoint in resolved.holders]
                received = Fetching(
                    client,
                    folder,
                    locks,
                    resolved,
                    wanted,
                    mirrors,
                    acceptance,
                    self._reporting,
                    self._patience,
                    self._free_bytes,
                ).run()
                state = self._conclude(folder, resolved.tree, wanted, received, time.monotonic() - started)
        return self._outcome(state, resolved, mirrors, received, time.monotonic() - started)

    def _outcome(
        self,
        state: State,
        resolved: Resolved,
        mirrors: Sequence[Mirror],
        received: Mapping[str, Received],
        seconds: float,
    ) -> Fetched:
        """What was done, and by whom."""
        for mirror in mirrors:
            if mirror.out:
                self._reporting.note(f"{mirror.url} was dropped: it {mirror.out}.")
        rejected = {**resolved.tree.rejected, **{mirror.url: mirror.out for mirror in mirrors if mirror.out}}
        hosts: dict[str, int] = {}
        for one in received.values():
            for url, size in one.hosts.items():
                hosts[url] = hosts.get(url, 0) + size
        rates = {mirror.url: mirror.rate for mirror in mirrors if mirror.rate}
        return Fetched(state, tuple(sorted(received)), hosts, rejected, seconds, True, rates)

    def _is_shared(self) -> bool:
        if self._shared is not None:
            return self._shared
        return storage_of(self._cache).kind in ("network", "shared")

    @staticmethod
    def _note_compared(folder: RepoFolder, wanted: Wanted, state: State, acceptance: Acceptance) -> None:
        """Remembers what was compared with its digest now, so that it is done once."""
        files = {
            file.path: Received(file.sha256 or sha256_of(state.snapshot / file.path), file.size, {})
            for file in state.selected.files
            if file.etag in acceptance.compared
        }
        tree = state.tree
        # A cache that only others may write works as well; it is compared again next time.
        with contextlib.suppress(StorageError):
            if files:
                write_receipt(
                    folder, Receipt(wanted.repo, wanted.revision, tree.commit, files, tree.files, whole=tree.whole)
                )

    def _client(self) -> Client:
        # All of them may lead to the same origin.
        connections = sum(endpoint.connections for endpoint in self._endpoints) + AUDIT_THREADS
        urls = tuple(endpoint.url for endpoint in self._endpoints)
        return Client(self._settings, connections=connections, timeouts=self._timeouts, siblings=urls)

    def _resolve(self, client: Client, wanted: Wanted) -> Resolved:
        if not self._endpoints:
            raise FetchError("There is no mirror to fetch from.", fix="Set LAUNCHER_MIRRORS or HF_ENDPOINT.")
        self._reporting.progress(Progress("list"))
        resolved = resolve(
            client,
            self._endpoints,
            wanted.repo,
            wanted.revision,
            pinned=wanted.pinned,
            needed=lambda files: select(files, wanted.selection).files,
        )
        if wanted.selection.include and not select(resolved.tree.files, wanted.selection).files:
            patterns = ", ".join(wanted.selection.include)
            raise FetchError(
                f"{wanted.repo} has no file that fits {patterns}.", fix="See its files with --dry-run and no --include."
            )
        return resolved

    def _conclude(
        self, folder: RepoFolder, tree: RepoTree, wanted: Wanted, received: Mapping[str, Received], seconds: float
    ) -> State:
        """Notes what is there now: the revision, the library's record, the receipt."""
        state = state_of(folder, tree, wanted.selection)
        files = dict(received)
        for file in state.selected.files:
            if file.path not in files:
                sha256 = file.sha256 or sha256_of(state.snapshot / file.path)
                files[file.path] = Received(sha256, file.size, {})
        if all(folder.holds(tree.commit, file.path, file.size) for file in tree.files):
            folder.write_tree(tree)
        folder.write_ref(wanted.revision, tree.commit)
        self._note_default(folder, tree, wanted)
        receipt = Receipt(wanted.repo, wanted.revision, tree.commit, files, tree.files, tree.vouchers, seconds)
        write_receipt(folder, receipt)
        with contextlib.suppress(OSError):
            folder.partial.rmdir()  # stays while another commit's files are on their way
        return state

    @staticmethod
    def _note_default(folder: RepoFolder, tree: RepoTree, wanted: Wanted) -> None:
        """Lets programs that name no revision find a commit that was asked for by its digits.

        What they find already, when it has all these files, stays.
        """
        known = folder.commit_of(_DEFAULT_REVISION)
        files = select(tree.files, wanted.selection).files
        if COMMIT.fullmatch(wanted.revision) and not all(
            known and folder.holds(known, file.path, file.size) for file in files
        ):
            folder.write_ref(_DEFAULT_REVISION, tree.commit)
