"""One file of a transfer: its plan, its bytes on disk, its digest so far, and who cannot serve it.

Invariants: whoever changes a job holds the transfer's lock; only the thread that verifies moves `hashed` or drops
what is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from launcher.hub.journal import Block
from launcher.hub.mirrors import Mirror
from launcher.hub.partial import PartialFile
from launcher.hub.planner import Planner
from launcher.hub.remote_files import Hash, RemoteFile


@dataclass(eq=False)
class Job:
    """One file on its way.

    Attributes:
        file: what it will be.
        partial: its bytes.
        excluded: mirrors that cannot serve it, with the reason.
        locations: where a mirror's redirect led, to be asked directly.
        planner: ``None`` until `open`.
        hashed: bytes from the beginning on that the digest has seen.
        is_done: verified and handed over.
        suspects: mirrors that are excluded because one of two must be lying.
        fresh_starts: how often everything was fetched again without anybody to blame.
    """

    file: RemoteFile
    partial: PartialFile
    excluded: dict[Mirror, str] = field(default_factory=dict)
    locations: dict[Mirror, str] = field(default_factory=dict)
    suspects: list[Mirror] = field(default_factory=list)
    planner: Planner | None = None
    hashed: int = 0
    is_done: bool = False
    fresh_starts: int = 0
    _hash: Hash | None = None

    def open(self, checked: Callable[[int], None] = lambda _size: None) -> None:
        """Opens the file and plans what is missing. See `PartialFile.open`."""
        self.partial.open(checked)
        self.planner = Planner(self.file.size, ((block.start, block.end) for block in self.partial.blocks))
        self.restart_hash()

    @property
    def plan(self) -> Planner:
        """The planner of an opened job."""
        assert self.planner is not None, "the job is not open"
        return self.planner

    @property
    def done_bytes(self) -> int:
        """Bytes that are there; those of leases included, as far as they have arrived."""
        if self.is_done:
            return self.file.size
        if self.planner is None:
            return 0
        return self.planner.done_bytes + sum(lease.accepted - lease.recorded for lease in self.planner.leases)

    def restart_hash(self) -> None:
        """The digest begins anew."""
        self._hash = self.file.start_hash()
        self.hashed = 0

    def hash_to(self, end: int, buffer: memoryview) -> None:
        """Lets the digest see the bytes up to ``end``, at most as many as ``buffer`` holds."""
        count = self.partial.read_into(self.hashed, buffer[: end - self.hashed])
        assert self._hash is not None
        self._hash.update(buffer[:count])
        self.hashed += count

    def has_right_digest(self) -> bool:
        """Whether the whole file is what the mirrors agreed on."""
        assert self._hash is not None
        return self._hash.hexdigest() == self.file.etag

    def drop(self, blocks: list[Block]) -> None:
        """Takes blocks back: they will be fetched again."""
        for block in blocks:
            self.plan.drop(*self.partial.drop(block))
            if block.start < self.hashed:
                self.restart_hash()

    def forget_from(self, place: int) -> None:
        """Whoever serves only whole files will write over everything from ``place`` on."""
        for block in self.partial.blocks:
            if block.start >= place:
                self.partial.drop(block)

    def forgive(self) -> None:
        """Those who are only suspected may serve again."""
        for suspect in self.suspects:
            self.excluded.pop(suspect, None)
        self.suspects.clear()

    def bytes_by_host(self) -> dict[str, int]:
        """How many of the bytes came from which mirror."""
        found: dict[str, int] = {}
        for block in self.partial.blocks:
            found[block.host] = found.get(block.host, 0) + block.end - block.start
        return found
