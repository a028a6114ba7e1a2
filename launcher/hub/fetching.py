"""One fetch of one repository once it is settled what to believe: locks, space, transfer, placement.

Invariants: what another process is fetching is waited for and never fetched twice; a content that is damaged is
replaced; nothing is fetched before there is room for all of it.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.errors import FetchError, StorageError
from launcher.hub.acceptance import Acceptance
from launcher.hub.client import Client
from launcher.hub.jobs import Job
from launcher.hub.locks import Locks
from launcher.hub.meter import JobsMeter, Meter
from launcher.hub.mirrors import Mirror, Patience
from launcher.hub.partial import PartialFile
from launcher.hub.placement import RepoFolder
from launcher.hub.receipts import Received, sha256_of
from launcher.hub.receiving import Source
from launcher.hub.remote_files import RemoteFile
from launcher.hub.transfer import Transfer
from launcher.hub.tree import Resolved
from launcher.hub.wanted import Wanted, state_of
from launcher.progress import Progress

#: Left free on the disk for everybody else's logs and temporary files.
SPARE_BYTES = 64 << 20
#: Between two words about progress: more often nobody can read.
_TELL_S = 0.2


@dataclass(frozen=True)
class Reporting:
    """Where a fetch says how it is doing.

    Attributes:
        progress: gets bytes, speed and time left about five times a second.
        note: gets one sentence when something is worth a person's attention.
    """

    progress: Callable[[Progress], None] = lambda _progress: None
    note: Callable[[str], None] = lambda _text: None


@dataclass(frozen=True)
class Fetching:
    """What everything that belongs to one fetch shares.

    Attributes:
        client: HTTP.
        folder: of the repository in the cache.
        locks: of the repository.
        resolved: what to believe, and who serves it.
        wanted: what was asked for.
        mirrors: those who may serve.
        acceptance: what is believed of what is there.
        reporting: who wants to know.
        patience: with the mirrors.
        free_bytes: how much room there is at a path.
    """

    client: Client
    folder: RepoFolder
    locks: Locks
    resolved: Resolved
    wanted: Wanted
    mirrors: Sequence[Mirror]
    acceptance: Acceptance
    reporting: Reporting
    patience: Patience
    free_bytes: Callable[[Path], int]

    def run(self) -> dict[str, Received]:
        """Fetches what is missing; returns what was received now, by path.

        Raises:
            FetchError: when the mirrors cannot serve it rightly.
            StorageError: when the disk cannot take it.
        """
        received: dict[str, Received] = {}
        while True:
            missing = self._still_missing()
            if not missing:
                return received
            with contextlib.ExitStack() as locks:
                groups = _by_content(missing)
                free = {etag: files for etag, files in groups.items() if locks.enter_context(self.locks.attempt(etag))}
                # Somebody may have finished one between our look and our lock.
                taken = {file.etag for file in self._still_missing()}
                free = {etag: files for etag, files in free.items() if etag in taken}
                if free:
                    received.update(self._transfer(list(free.values())))
            busy = [etag for etag in groups if etag not in free]
            if busy and not free:
                with self.locks.wait(busy[0], self._say_busy):
                    pass

    def _say_busy(self) -> None:
        self.reporting.note(f"Another program is fetching a file of {self.wanted.repo}; waiting for it.")

    def _still_missing(self) -> list[RemoteFile]:
        tree = self.resolved.tree
        state = self.acceptance.confirm(state_of(self.folder, tree, self.wanted.selection))
        return [file for file in state.missing if not self.acceptance.adopt(tree.commit, file)]

    def _transfer(self, groups: Sequence[Sequence[RemoteFile]]) -> dict[str, Received]:
        tree = self.resolved.tree
        owner = uuid.uuid4().hex[:8] if self.locks.shared else ""
        jobs = {Job(files[0], PartialFile(self.folder.partial, files[0], owner)): files for files in groups}
        self._check_space(list(jobs))
        for job in jobs:
            for mirror in self.mirrors:
                if job.file.path in self.resolved.lacks.get(mirror.url, ()):
                    job.excluded[mirror] = "does not have it"
        self._resume(list(jobs))
        received: dict[str, Received] = {}

        def finish(job: Job) -> None:
            received.update(self._finish(job, jobs[job]))

        meter = JobsMeter(list(jobs), self.mirrors)
        Transfer(
            Source(tree.repo, tree.commit),
            list(jobs),
            self.mirrors,
            self.client,
            finish=finish,
            watch=lambda: self.reporting.progress(meter.at(time.monotonic())),
            patience=self.patience,
        ).run()
        return received

    def _finish(self, job: Job, files: Sequence[RemoteFile]) -> Mapping[str, Received]:
        """Gives a content whose digest is right its names."""
        sha256, hosts = job.file.sha256 or sha256_of(job.partial.path), job.bytes_by_host()
        for file in files:
            # A small file's sha256 is in no list, so that it is compared here.
            if self.wanted.pinned.get(file.path, sha256) != sha256:
                said = f"{' and '.join(sorted(hosts))} has {sha256[:12]} as {file.path} of {self.wanted.repo}"
                raise FetchError(
                    f"{said}, and the catalog pins {self.wanted.pinned[file.path][:12]}.",
                    fix="Update the launcher if the model has moved on, or use another mirror.",
                )
        job.partial.close()
        if not job.partial.path.exists():  # after a pause so long that another machine took this one for dead
            self.reporting.note(f"Another machine has taken over {job.file.path}.")
            return {}
        self.folder.place(self.resolved.tree.commit, files, job.partial.path)
        job.partial.forget()
        self.acceptance.trust(job.file.etag)
        return {file.path: Received(sha256, file.size, hosts) for file in files}

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
                self.reporting.progress(meter.at(checked, now))

        for job in begun:
            job.open(count)

    def _check_space(self, jobs: Sequence[Job]) -> None:
        needed = sum(max(0, job.file.size - _allocated(job.partial.path)) for job in jobs)
        with self.folder.storage_errors("its folder"):
            self.folder.partial.mkdir(parents=True, exist_ok=True)
            free = self.free_bytes(self.folder.partial)
        if needed + SPARE_BYTES > free:
            raise StorageError(
                f"{self.folder.cache} needs {_megabytes(needed + SPARE_BYTES)} of free space and has "
                f"{_megabytes(free)}.",
                fix="Free some space, or set HF_HUB_CACHE, HF_HOME or LAUNCHER_DATA_DIR to a larger disk.",
            )


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
