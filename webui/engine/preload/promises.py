"""Storages whose content is put off, and the steps that would have filled them.

Invariants: a promise is settled at most once, and whatever was made from it is settled with it, from the same numbers;
a promise keeps no storage alive, so a storage that nobody needs any more costs nothing; the random numbers are drawn
when a promise is settled, so they come from the same distribution as upstream's but are not the same draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, UntypedStorage
from torch.multiprocessing.reductions import StorageWeakRef


@dataclass(frozen=True)
class Place:
    """Where a tensor lies in its storage: sizes, strides and offset in elements."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Tensor) -> Place:
        """The place of ``tensor``."""
        return cls(tuple(tensor.size()), tuple(tensor.stride()), tensor.storage_offset(), tensor.dtype)

    def on(self, storage: UntypedStorage) -> Tensor:
        """The tensor that lies there in ``storage``."""
        empty = torch.empty(0, dtype=self.dtype, device=storage.device)
        return empty.set_(storage, self.offset, self.size, self.stride)


@dataclass(frozen=True)
class Step:
    """One change of a promised storage.

    Attributes:
        place: the part that is changed.
        change: changes the tensor at ``place``; runs when the promise is settled.
    """

    place: Place
    change: Callable[[Tensor], object]


class Promise:
    """One storage that will be filled when somebody needs it.

    Args:
        storage: its memory; only weakly referenced.
        sources: promises whose content the steps read; they must be older than this one.
    """

    def __init__(self, storage: UntypedStorage, sources: Sequence[Promise] = ()) -> None:
        self._ref: StorageWeakRef | None = StorageWeakRef(storage)
        self._size_bytes = storage.nbytes()
        self._device = storage.device
        self._sources = tuple(sources)
        self._steps: list[Step] = []
        self._dependents: list[Promise] = []
        self._content: UntypedStorage | None = None
        self.settled = False
        for source in self._sources:
            source._dependents.append(self)

    @property
    def wanted(self) -> bool:
        """Whether the storage is still alive and still ours to fill."""
        return self._ref is not None and not self._ref.expired()

    @property
    def has_readers(self) -> bool:
        """Whether something that is still wanted is made from this content."""
        return any(dependent.wanted or dependent.has_readers for dependent in self._dependents if not dependent.settled)

    def add(self, step: Step) -> None:
        """Puts one more change off."""
        self._steps.append(step)

    def abandon(self) -> None:
        """Says that somebody else has filled the storage; what is made from the promise still gets its own numbers."""
        self._ref = None

    def read(self, place: Place) -> Tensor:
        """The content at ``place``, for what is made from it; only while the promise is being settled."""
        assert self._content is not None
        return place.on(self._content)

    def settle(self) -> None:
        """Fills the storage, or a copy in its stead when it is gone, and everything that is made from it."""
        for source in self._sources:
            if not source.settled:
                source.settle()  # which settles this one too
        if self.settled:
            return
        self.settled = True
        self._content = self._storage()
        with torch.no_grad():
            for step in self._steps:
                step.change(step.place.on(self._content))
        for dependent in self._dependents:
            if not dependent.settled and (dependent.wanted or dependent.has_readers):
                dependent.settle()
        self._content = None
        self._steps, self._dependents, self._sources = [], [], ()

    def _storage(self) -> UntypedStorage:
        if self.wanted:
            assert self._ref is not None
            return UntypedStorage._new_with_weak_ptr(self._ref.cdata)
        return UntypedStorage(self._size_bytes, device=self._device)


@dataclass
class Computation:
    """An operation on promised tensors that is put off; runs once for all of its results.

    Attributes:
        function: the operation.
        arguments, options: its arguments; a promised tensor is an `Operand`.
    """

    function: Callable[..., Any]
    arguments: Sequence[Any]
    options: Mapping[str, Any]
    _results: tuple[Tensor, ...] | None = field(default=None, init=False)
    _given: int = field(default=0, init=False)

    def result(self, index: int, count: int) -> Tensor:
        """Result ``index`` of ``count``."""
        if self._results is None:
            arguments = [item.value() if isinstance(item, Operand) else item for item in self.arguments]
            made = self.function(*arguments, **self.options)
            self._results = (made,) if isinstance(made, Tensor) else tuple(made)
        result = self._results[index]
        self._given += 1
        if self._given == count:
            self._results = None
        return result


@dataclass(frozen=True)
class Operand:
    """A promised tensor as an argument."""

    promise: Promise
    place: Place

    def value(self) -> Tensor:
        """Its content, while its promise is being settled."""
        return self.promise.read(self.place)
