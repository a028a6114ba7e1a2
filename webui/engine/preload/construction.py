"""An engine built at the speed of the hardware: `construct` runs upstream's own constructor, with less waste.

Invariants: the constructor is upstream's and is not changed; everything replaced meanwhile is put back; when a guard
trips or the fast way fails, nothing of it is kept, the constructor runs upstream's own way, and why is said.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import torch

from launcher.errors import LauncherError
from launcher.progress import Progress
from webui.engine.preload.checkpoints import Checkpoints, mapped_checkpoints
from webui.engine.preload.deferral import Deferral
from webui.engine.preload.guards import check_behaviour, check_result, finish_weight_norm, modules_in
from webui.engine.preload.pagecache import WarmUp, size_bytes
from webui.engine.preload.staging import LANES, CudaLane, Ring, StagedCopies

_log = logging.getLogger(__name__)

Built = TypeVar("Built")

#: Seconds between two reports of the bytes read.
_REPORT_S = 0.25


@dataclass(frozen=True)
class Constructed(Generic[Built]):
    """What `construct` made.

    Attributes:
        value: what the constructor returned.
        fast: whether the fast way was taken.
        why_not: one sentence when it was not.
        stages: seconds by stage: ``build``, ``fill`` (what no checkpoint covered), ``arrive`` (on the device),
            ``check``; ``upstream`` when its own way was taken.
        bytes_read: size of the checkpoints that were opened.
        filled: storages that no checkpoint covered and that were initialised as upstream does.
    """

    value: Built
    fast: bool
    why_not: str
    stages: Mapping[str, float]
    bytes_read: int
    filled: int = 0


def construct(
    build: Callable[[], Built],
    *,
    files: Sequence[Path] = (),
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    report: Callable[[Progress], None] | None = None,
    warm_up: WarmUp | None = None,
) -> Constructed[Built]:
    """Runs ``build`` with no random initialisation, mapped checkpoints and overlapped copies.

    Args:
        build: upstream's constructor; may run twice, the second time upstream's own way.
        files: what it reads, for the progress shown.
        device: where it puts the weights; ``cuda:N`` gets pinned staging buffers.
        dtype: what it converts the weights to, for the log; the conversion is its own and happens on the device.
        report: told how many bytes of ``files`` are in memory while ``warm_up`` runs.
        warm_up: readers of ``files`` that were started before.

    Raises:
        LauncherError: what ``build`` raises itself, at once.
        Exception: what ``build`` raises upstream's own way.
    """
    with _reporting(files, report, warm_up):
        try:
            return _fast(build, device)
        except LauncherError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, upstream's own way decides
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        _log.warning("the fast way of loading was not taken: %s; loading upstream's own way", reason)
        gc.collect()  # what was half built, in its cycles, before the same again
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        started = time.perf_counter()
        value = build()
        stages = {"upstream": time.perf_counter() - started}
        return Constructed(value, False, reason, stages, sum(size_bytes(path) for path in files))


def _fast(build: Callable[[], Built], device: str) -> Constructed[Built]:
    check_behaviour()
    clock = _Stages()
    deferral, checkpoints = Deferral(), Checkpoints()
    checkpoints.supersede = deferral.supersede
    with ExitStack() as stack:
        staged = _staged(device, stack)
        stack.enter_context(mapped_checkpoints(checkpoints))
        with _no_garbage(), deferral:
            value = build()
        clock.end("build")
        modules = list(modules_in(value))
        filled = finish_weight_norm(modules, deferral) + deferral.settle_rest()
        checkpoints.rejoin()
        clock.end("fill")
        if staged is not None:
            staged.wait_all()
            clock.end("arrive")
    check_result(modules)
    clock.end("check")
    _log.info(
        "built in %.1f s: %d fills put off, %d needed after all; %d tensors assigned, %d copied",
        sum(clock.seconds.values()),
        deferral.put_off,
        filled + deferral.settled_early,
        checkpoints.assigned,
        checkpoints.copied,
    )
    return Constructed(value, True, "", clock.seconds, checkpoints.bytes_read, filled)


def _staged(device: str, stack: ExitStack) -> StagedCopies | None:
    """The overlapped way to a CUDA device, active until ``stack`` ends; ``None`` for other devices."""
    if not device.startswith("cuda") or not torch.cuda.is_available():
        return None
    target = torch.device(device)
    lanes = [CudaLane(target) for _ in range(LANES)]
    ring = Ring(lanes)
    stack.callback(ring.close)
    staged = StagedCopies(ring, lambda where: where.type == "cuda", lambda: _mark(target))
    stack.enter_context(staged)
    return staged


def _mark(device: torch.device) -> torch.cuda.Event:
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(device))
    return event


@contextmanager
def _no_garbage() -> Iterator[None]:
    """No search for garbage: construction makes none worth finding."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _reporting(
    files: Sequence[Path], report: Callable[[Progress], None] | None, warm_up: WarmUp | None
) -> Iterator[None]:
    """Tells ``report`` how much of the files is in memory, from a thread, until the block ends."""
    total = sum(size_bytes(path) for path in files)
    if report is None or not total:
        yield
        return
    report(Progress("weights", 0, total, "bytes"))
    ended = threading.Event()

    def tell() -> None:
        done = 0
        while not ended.wait(_REPORT_S):
            # The last piece is reported when the engine stands, not when its files are in memory.
            if warm_up is not None and done < (now := min(warm_up.done_bytes, total)) < total:
                report(Progress("weights", now, total, "bytes"))
                done = now

    thread = threading.Thread(target=tell, name="preload-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    report(Progress("weights", total, total, "bytes"))


@dataclass
class _Stages:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=time.perf_counter)

    def end(self, name: str) -> None:
        """Notes the time since the end of the stage before."""
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self._last = now
