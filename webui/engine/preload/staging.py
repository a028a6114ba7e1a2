"""Weights on their way to a device: reader threads fill pinned buffers while the device copies from the others.

Invariants: each thread has one buffer and one stream, and fills the buffer only when the copy before has left it; a
copy starts after all work that was queued when it was asked for, so memory that was just given back is not
overwritten too early; no operation of the thread that builds touches a tensor before it has arrived.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from webui.engine.preload.operations import kind_of, tensors_among

#: Four buffers of 64 MB keep a PCIe 4 x16 link busy (25 GB/s) and cost 256 MB of pinned memory for a second.
LANES = 4
BUFFER_BYTES = 64 << 20
#: Smaller tensors are copied at once: a hand-over to another thread costs as much as they do.
MIN_BYTES = 1 << 20


class Lane(Protocol):
    """One buffer on the way to a device, used by one thread."""

    buffer: Tensor

    def wait_free(self) -> None:
        """Returns when the buffer may be filled again."""

    def send(self, count: int, destination: Tensor, after: Any) -> Callable[[], None]:
        """Begins to copy the buffer's first ``count`` bytes; the result waits for their arrival."""


class CudaLane:
    """A pinned buffer and a stream of its own.

    Args:
        device: a CUDA device.
        size_bytes: of the buffer.
    """

    def __init__(self, device: torch.device, size_bytes: int = BUFFER_BYTES) -> None:
        self.buffer = torch.empty(size_bytes, dtype=torch.uint8, pin_memory=True)
        self._stream = torch.cuda.Stream(device)
        self._last: torch.cuda.Event | None = None

    def wait_free(self) -> None:
        """Returns when the buffer may be filled again."""
        if self._last is not None:
            self._last.synchronize()

    def send(self, count: int, destination: Tensor, after: Any) -> Callable[[], None]:
        """Begins to copy the buffer's first ``count`` bytes; the result waits for their arrival."""
        event = torch.cuda.Event()
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(after)
            destination.copy_(self.buffer[:count], non_blocking=True)
            event.record(self._stream)
        self._last = event
        arrived: Callable[[], None] = event.synchronize
        return arrived


class Flight:
    """One tensor on its way."""

    def __init__(self, source: Tensor, destination: Tensor, pieces: int) -> None:
        self.source, self.destination = source, destination
        self._left = pieces
        self._arrivals: list[Callable[[], None]] = []
        self._error: BaseException | None = None
        self._sent = threading.Event()
        self._lock = threading.Lock()

    def piece_sent(self, arrival: Callable[[], None] | None, error: BaseException | None = None) -> None:
        """Notes one piece; called by the lanes' threads."""
        with self._lock:
            self._left -= 1
            self._error = self._error or error
            if arrival is not None:
                self._arrivals.append(arrival)
            if self._left == 0:
                self._sent.set()

    def wait(self) -> None:
        """Returns when all of it has arrived.

        Raises:
            Exception: what a lane met on the way.
        """
        self._sent.wait()
        for arrival in self._arrivals:
            arrival()
        if self._error is not None:
            raise self._error


class Ring:
    """Lanes and their threads.

    Args:
        lanes: at least one.
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._pieces: queue.SimpleQueue[tuple[Flight, int, int, Any] | None] = queue.SimpleQueue()
        self._piece_bytes = min(lane.buffer.numel() for lane in lanes)
        self.sent_bytes = 0
        self._threads = [
            threading.Thread(target=self._serve, args=(lane,), name=f"staging-{index}", daemon=True)
            for index, lane in enumerate(lanes)
        ]
        for thread in self._threads:
            thread.start()

    def send(self, source: Tensor, destination: Tensor, after: Any = None) -> Flight:
        """Begins to copy; both must be contiguous, of the same dtype and shape, and stay as they are meanwhile.

        Args:
            source: in the processor's memory.
            destination: on the device.
            after: the lanes' sign that earlier work is done (a CUDA event).
        """
        size = source.numel() * source.element_size()
        starts = range(0, size, self._piece_bytes)
        flight = Flight(_bytes_of(source), _bytes_of(destination), len(starts))
        for start in starts:
            self._pieces.put((flight, start, min(start + self._piece_bytes, size), after))
        self.sent_bytes += size
        return flight

    def close(self) -> None:
        """Ends the threads after what was asked for; the buffers are given back with them."""
        for _ in self._threads:
            self._pieces.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self, lane: Lane) -> None:
        while (piece := self._pieces.get()) is not None:
            flight, start, end, after = piece
            try:
                lane.wait_free()
                lane.buffer[: end - start].copy_(flight.source[start:end])
                flight.piece_sent(lane.send(end - start, flight.destination[start:end], after))
            except Exception as error:  # noqa: BLE001 - raised again where somebody waits for the tensor
                flight.piece_sent(None, error)
        lane.wait_free()


class StagedCopies(TorchDispatchMode):  # type: ignore[misc]
    """While active, large copies to the device take the ring and are waited for only by who touches the tensor.

    Args:
        ring: how they travel.
        goes_by_ring: whether a copy to this device does.
        mark: the sign that a copy must wait for (a CUDA event recorded now), or ``None``.
    """

    def __init__(self, ring: Ring, goes_by_ring: Callable[[torch.device], bool], mark: Callable[[], Any]) -> None:
        super().__init__()
        self._ring = ring
        self._goes_by_ring = goes_by_ring
        self._mark = mark
        self._flights: dict[int, Flight] = {}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs one operation, or sends its tensor on its way."""
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default and self._may_fly(args[0], kwargs):
            source = args[0].detach()
            self._land(source)  # one flight at a time
            destination = torch.empty(source.shape, dtype=source.dtype, device=kwargs["device"])
            flight = self._ring.send(source, destination, self._mark())
            for tensor in (source, destination):
                self._flights[tensor.untyped_storage()._cdata] = flight
            return destination
        if self._flights and kind_of(func) != "look":
            for tensor in tensors_among(args, kwargs):
                self._land(tensor)
        return func(*args, **kwargs)

    def wait_all(self) -> None:
        """Returns when everything has arrived.

        Raises:
            Exception: what a lane met on the way.
        """
        while self._flights:
            self._flights.popitem()[1].wait()

    def _land(self, tensor: Tensor) -> None:
        if tensor.layout is torch.strided and tensor.device.type != "meta":
            flight = self._flights.pop(tensor.untyped_storage()._cdata, None)
            if flight is not None:
                flight.wait()

    def _may_fly(self, tensor: Tensor, kwargs: dict[str, Any]) -> bool:
        device, dtype = kwargs.get("device"), kwargs.get("dtype")
        return (
            isinstance(device, torch.device)
            and self._goes_by_ring(device)
            and tensor.device.type == "cpu"
            and dtype in (None, tensor.dtype)
            and tensor.is_contiguous()
            and tensor.numel() * tensor.element_size() >= MIN_BYTES
            and not kwargs.get("pin_memory")
        )


def _bytes_of(tensor: Tensor) -> Tensor:
    return tensor.detach().view(-1).view(torch.uint8)
