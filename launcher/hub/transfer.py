"""Many connections to many mirrors into many files at once.

A thread per connection takes leases from the jobs' planners; one thread hashes what has no gap before it and hands
over a file that is right; `Transfer.run` watches over them all.

Invariants: a job is handed over only when its digest is right; a byte counts only when it is on disk and in the
journal; the transfer ends, rightly or with one error, whatever the mirrors do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from launcher.errors import FetchError, LauncherError
from launcher.hub.audit import Auditor
from launcher.hub.client import Client, MirrorFault, Opened
from launcher.hub.jobs import Job
from launcher.hub.journal import Block, BlockHash
from launcher.hub.mirrors import PROGRESS_BYTES, Mirror, Patience, reasons_text
from launcher.hub.partial import READ_BYTES
from launcher.hub.planner import Lease
from launcher.hub.receiving import Request, Source, check_answer, location_of

#: First size of a piece: 1.6 s at the 5 MB/s that many hosts allow a connection, so that requests cost little.
FIRST_PIECE_BYTES = 8 << 20
_LEAST_PIECE_BYTES = 1 << 20
_MOST_PIECE_BYTES = 64 << 20
#: A piece should keep its connection busy for so long: rarer requests, and still quick to notice a slow mirror.
_PIECE_S = 4.0
#: What a crash may cost each connection: so much is written between two lines of the journal.
BLOCK_BYTES = 1 << 18
#: Taken from a connection before it is written: what arrives in `_READ_S`, but neither a crumb nor a feast.
_LEAST_READ_BYTES = 1 << 16
_MOST_READ_BYTES = 1 << 20
_READ_S = 0.05
_WATCH_S = 0.2
#: How long the threads get to end. One may still wait for a mirror that has gone silent: it writes nothing any more.
_END_S = 2.0
#: What a power cut may cost: so much is written between two calls of fdatasync.
_SYNC_BYTES = 256 << 20


class Transfer:
    """Fetches jobs.

    Args:
        source: the repository at its commit.
        jobs: files; those that resume are open already.
        mirrors: who may serve them, best first.
        client: HTTP.
        finish: called with each job whose digest is right; gives the file its final name.
        watch: called about five times a second, for progress.
        patience: with the mirrors.
        clock: seconds, only forward.
    """

    def __init__(
        self,
        source: Source,
        jobs: Sequence[Job],
        mirrors: Sequence[Mirror],
        client: Client,
        *,
        finish: Callable[[Job], None],
        watch: Callable[[], None] = lambda: None,
        patience: Patience = Patience(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        # The largest first: many small ones fill the end, where one large one would leave connections idle.
        self._jobs = sorted(jobs, key=lambda job: -job.file.size)
        self._mirrors = list(mirrors)
        self._client = client
        self._finish = finish
        self._watch = watch
        self._patience = patience
        self._clock = clock
        lock = threading.RLock()
        self._condition = threading.Condition(lock)
        self._hashable = threading.Condition(lock)
        self._failure: LauncherError | None = None
        self._crash: BaseException | None = None
        self._stopping = False
        self._mark = (0.0, 0)
        self._auditor = Auditor(source, client, self._condition)

    def run(self) -> None:
        """Fetches everything.

        Raises:
            FetchError: when the mirrors cannot serve a file rightly; names each and why.
            StorageError: when the disk cannot take it.
        """
        workers = [
            threading.Thread(target=self._guarded, args=(self._work, mirror), daemon=True)
            for mirror in self._mirrors
            for _ in range(mirror.endpoint.connections)
        ]
        threads = [threading.Thread(target=self._guarded, args=(self._verify,), daemon=True), *workers]
        self._mark = (self._clock(), self._received())
        for thread in threads:
            thread.start()
        try:
            while not self._is_over():
                with self._condition:
                    self._condition.wait_for(self._is_over, _WATCH_S)
                    self._check_hope()
                self._watch()
        finally:
            with self._condition:
                self._stopping = True
                self._condition.notify_all()
            self._client.close()
            deadline = self._clock() + _END_S
            for thread in threads:
                thread.join(max(0.0, deadline - self._clock()))
            for job in self._jobs:
                job.partial.close()
        if self._crash is not None:
            raise self._crash
        if self._failure is not None:
            raise self._failure
        self._watch()

    def _is_over(self) -> bool:
        return (
            self._stopping
            or self._failure is not None
            or self._crash is not None
            or all(job.is_done for job in self._jobs)
        )

    def _guarded(self, work: Callable[..., None], *arguments: object) -> None:
        """A thread's whole life: what it fails with ends the transfer."""
        try:
            work(*arguments)
        except LauncherError as error:
            with self._condition:
                self._failure = self._failure or error
        except BaseException as error:  # noqa: BLE001 - raised again by `run`, in the caller's thread
            with self._condition:
                self._crash = self._crash or error
        finally:
            with self._condition:
                self._condition.notify_all()

    # Who fetches what

    def _work(self, mirror: Mirror) -> None:
        buffer = memoryview(bytearray(_MOST_READ_BYTES))
        while True:
            with self._condition:
                turn = None
                while not self._is_over() and not mirror.out:
                    turn = self._next_turn(mirror)
                    if turn is not None:
                        break
                    self._condition.wait(_WATCH_S)
                if turn is None:
                    return
                mirror.active += 1
            self._fetch(mirror, *turn, buffer)

    def _next_turn(self, mirror: Mirror) -> tuple[Job, Lease] | None:
        now = self._clock()
        if not mirror.is_ready(now):
            return None
        jobs = [job for job in self._jobs if not job.is_done and mirror not in job.excluded]
        if mirror.is_rangeless:
            return self._whole_turn(mirror, jobs, now)
        for job in jobs:
            if job.planner is None:
                job.open()
            lease = job.plan.take(mirror, self._piece_bytes(mirror, job), now)
            if lease is not None:
                return job, lease
        for job in jobs:
            lease = job.plan.split(mirror, mirror.rate, now)
            if lease is not None:
                return job, lease
        return None

    def _whole_turn(self, mirror: Mirror, jobs: list[Job], now: float) -> tuple[Job, Lease] | None:
        """A turn of a mirror that serves only whole files: one that nobody has begun, or when nobody else can."""
        for job in jobs:
            if job.planner is None:
                job.open()
            others = [one for one in self._mirrors if not one.out and not one.is_rangeless and one not in job.excluded]
            if others and (job.plan.done or job.file.size > FIRST_PIECE_BYTES):
                continue
            lease = job.plan.take_rest(mirror, now)
            if lease is not None:
                job.forget_from(lease.start)
                return job, lease
        return None

    def _piece_bytes(self, mirror: Mirror, job: Job) -> int:
        wish = FIRST_PIECE_BYTES
        if mirror.rate:
            wish = min(int(mirror.rate * _PIECE_S * mirror.endpoint.weight), _MOST_PIECE_BYTES)
        # Towards the end smaller ones, so that all connections end together and nothing has to be split.
        connections = sum(one.limit for one in self._mirrors if not one.out)
        return max(_LEAST_PIECE_BYTES, min(wish, job.plan.pending_bytes // max(1, connections)))

    # Fetching one lease

    def _fetch(self, mirror: Mirror, job: Job, lease: Lease, buffer: memoryview) -> None:
        started = self._clock()
        located = False
        fault = None
        try:
            request = Request.of(mirror, self._source, job, lease)
            located = request.is_located
            with self._client.open(request.url, token=request.token, headers=request.headers) as opened:
                skip = check_answer(opened, request, job.file, self._source.commit)
                self._skip(mirror, opened, skip, buffer)
                self._receive(mirror, job, lease, opened, buffer)
                if lease.end == request.end and not lease.left:
                    opened.read(1)  # the answer's end, so that its connection can be used again
                if not located:
                    self._remember(mirror, job, opened)
        except MirrorFault as error:
            fault = error
        finally:
            with self._condition:
                job.plan.release(lease)
                mirror.active -= 1
                if fault is not None:
                    self._note_fault(mirror, job, lease, fault, started=started, located=located)
                else:
                    elapsed = max(self._clock() - started, 1e-3)
                    mirror.praise((lease.recorded - lease.start) / elapsed)
                self._condition.notify_all()
                self._hashable.notify()

    def _remember(self, mirror: Mirror, job: Job, opened: Opened) -> None:
        place = location_of(mirror, opened)
        if place:
            with self._condition:
                job.locations[mirror] = place

    def _skip(self, mirror: Mirror, opened: Opened, length: int, buffer: memoryview) -> None:
        """Reads over what is there already, for a mirror that serves only whole files."""
        while length and not self._stopping:
            count = opened.read_into(buffer[:length], 1, 0)
            if not count:
                raise MirrorFault("broken", f"ended {length} bytes before the part that is missing")
            mirror.received_bytes += count
            length -= count

    def _receive(self, mirror: Mirror, job: Job, lease: Lease, opened: Opened, buffer: memoryview) -> None:
        start, found = lease.accepted, BlockHash()
        try:
            while lease.left > 0:
                rate = lease.rate(self._clock()) or mirror.rate
                wish = max(_LEAST_READ_BYTES, min(int(rate * _READ_S), _MOST_READ_BYTES))
                count = opened.read_into(buffer[: lease.left], wish, _READ_S)
                if not count:
                    raise MirrorFault("broken", f"ended {lease.left} bytes early")
                mirror.received_bytes += count
                with self._condition:
                    if self._stopping:
                        return
                    place = lease.accepted
                    taken = job.plan.accept(lease, count, self._clock())
                job.partial.write(place, buffer[:taken])
                found.update(buffer[:taken])
                if lease.accepted - start >= max(BLOCK_BYTES, wish):
                    self._record(mirror, job, lease, start, found.hexdigest())
                    start, found = lease.accepted, BlockHash()
                self._check_speed(mirror, lease)
        finally:
            if lease.accepted > start:
                self._record(mirror, job, lease, start, found.hexdigest())

    def _record(self, mirror: Mirror, job: Job, lease: Lease, start: int, digest: str) -> None:
        with self._condition:
            job.partial.record(Block(start, lease.accepted, digest, mirror.url))
            job.plan.record(lease)
            # Whoever hashes is woken for something worth it; it looks by itself, too.
            if job.plan.prefix - job.hashed >= READ_BYTES or job.plan.is_complete:
                self._hashable.notify()

    def _check_speed(self, mirror: Mirror, lease: Lease) -> None:
        now = self._clock()
        if now - lease.begun < self._patience.slow_after_s:
            return
        best = max(one.rate for one in self._mirrors)
        if lease.rate(now) < best * self._patience.slow_share:
            raise MirrorFault("slow", "is far slower than the others")

    def _note_fault(
        self, mirror: Mirror, job: Job, lease: Lease, fault: MirrorFault, *, started: float, located: bool
    ) -> None:
        mirror.last_trouble = fault.message
        if located and fault.kind in ("refused", "missing", "nonsense"):
            job.locations.pop(mirror, None)  # the location has expired: ask for a new one
        elif fault.kind == "rangeless":
            mirror.is_rangeless = True
        elif fault.kind == "elsewhere":
            mirror.out = fault.message
        elif fault.kind in ("missing", "nonsense"):
            job.excluded[mirror] = fault.message
        else:
            if located:
                job.locations.pop(mirror, None)
            if lease.recorded - lease.start >= PROGRESS_BYTES and fault.kind != "slow":
                mirror.strikes = 0
            mirror.strike(fault, started, self._clock(), self._patience)

    # Verifying

    def _verify(self) -> None:
        synced: dict[Job, int] = {}
        buffer = memoryview(bytearray(READ_BYTES))
        while True:
            with self._condition:
                job = self._next_to_hash()
                while job is None:
                    if self._is_over():
                        return
                    self._hashable.wait(_WATCH_S)
                    job = self._next_to_hash()
                prefix = job.plan.prefix
                if self._stopping or self._failure or self._crash:
                    return
            if job.hashed < prefix:
                job.hash_to(prefix, buffer)
            if job.hashed - synced.get(job, 0) >= _SYNC_BYTES:
                job.partial.sync()
                synced[job] = job.hashed
            if job.hashed == job.file.size:
                self._judge(job)

    def _next_to_hash(self) -> Job | None:
        for job in self._jobs:
            if job.planner is None or job.is_done:
                continue
            if job.hashed < job.planner.prefix or (job.hashed == job.file.size and not job.planner.leases):
                return job
        return None

    def _judge(self, job: Job) -> None:
        if job.has_right_digest():
            job.partial.sync()
            self._finish(job)
            with self._condition:
                job.is_done = True
                self._condition.notify_all()
            return
        liars = self._auditor.audit(job, self._mirrors)
        with self._condition:
            for liar, reason in liars.items():
                liar.out = reason
                for other in self._jobs:
                    if other.planner is not None and not other.is_done:
                        other.drop([block for block in other.partial.blocks if block.host == liar.url])
            self._condition.notify_all()

    # Hope

    def _received(self) -> int:
        return sum(mirror.received_bytes for mirror in self._mirrors)

    def _check_hope(self) -> None:
        """Ends the transfer when it can no longer succeed. Runs under the lock."""
        now = self._clock()
        for job in self._jobs:
            if not job.is_done and not (job.planner and job.planner.is_complete):
                able = [one for one in self._mirrors if not one.out and one not in job.excluded]
                if not able and job.suspects:
                    job.forgive()  # whoever spoke against them is out: their turn again
                    continue
                if not able:
                    self._failure = self._failure or self._hopeless(job, "No mirror can serve")
                    return
                longest = self._patience.give_up_s
                if all(one.resting_until - now > longest for one in able) and not any(one.active for one in able):
                    self._failure = self._failure or self._hopeless(job, "Every mirror asks for a long pause before")
                    return
        received, (since, before) = self._received(), self._mark
        hashing = any(job.planner and job.planner.is_complete and not job.is_done for job in self._jobs)
        came = received - before
        if came >= self._patience.give_up_s * self._patience.least_bytes_per_s or hashing:
            self._mark = (now, received)
        elif now - since > self._patience.give_up_s:
            amount = f"In {now - since:.0f} s {f'only {came / 1000:,.0f} kB' if came else 'nothing'} came of"
            self._failure = self._hopeless(next(job for job in self._jobs if not job.is_done), amount)

    def _hopeless(self, job: Job, what: str) -> FetchError:
        reasons = {
            one.url: one.out or job.excluded.get(one) or one.last_trouble or one.silence for one in self._mirrors
        }
        fix = "Run the same command again later, or add a mirror: what is there already stays."
        message = f"{what} {job.file.path} of {self._source.repo}: {reasons_text(reasons)}."
        return FetchError(message, fix=fix, rejected=reasons)
